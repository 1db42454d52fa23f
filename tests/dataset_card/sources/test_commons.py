"""What Wikimedia Commons answers, good and bad: replies over real HTTP, the facts of a page, the HTML in them."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from dataset_card.sources.commons import Commons as Site
from dataset_card.sources.commons import first_link, plain_text, read_page
from dataset_card.sources.search_hit import SearchHit, SkippedHit
from files.errors import UserError
from tests.openweb.commons import Commons, File
from tests.openweb.server import Answer, Fault, OpenWeb, json_answer

NAME = "nritya/0.1 (tests@example.org) httpx2/2"
API = "/w/api.php"


@pytest.fixture
def site(openweb: OpenWeb) -> Iterator[Site]:
    site = Site(NAME)
    with closing(site.client):
        yield site


def _names(hits: list[SearchHit | SkippedHit]) -> list[str]:
    assert all(isinstance(hit, SearchHit) for hit in hits)
    return [hit.title for hit in hits if isinstance(hit, SearchHit)]


def _all(site: Site, *names: str, depth: int = 0) -> list[str]:
    return _names(list(site.in_categories(list(names), depth, lambda name: name == "Kathak videos")))


def _kathak(count: int, **fields: object) -> Commons:
    files = [File(f"{number}.jpg", 100 + number) for number in range(count)]
    return Commons(files, {"Kathak": [file.name for file in files]}, **fields)


@pytest.mark.parametrize("split", [False, True])
def test_continued_replies_are_put_together(openweb: OpenWeb, site: Site, split: bool) -> None:
    commons = _kathak(7, batch=3, split=split)
    # A licence that only the second reply for the same page tells.
    commons.files[4].license, commons.files[4].hidden = "Public domain", ["CC-BY-SA-3.0"]
    commons.put_on(openweb)
    hits = list(site.in_categories(["Kathak"], 0, lambda name: False))
    assert _names(hits) == [f"{number}.jpg" for number in range(7)]
    assert [hit.license for hit in hits if isinstance(hit, SearchHit)][4] == "cc-by-sa-3.0"
    assert len(openweb.requests) == (6 if split else 3)


def test_search_gives_the_best_first(openweb: OpenWeb, site: Site) -> None:
    commons = _kathak(5, batch=2, split=True)
    commons.search_results["Kathak dancer"] = ["3.jpg", "1.jpg", "4.jpg"]
    commons.put_on(openweb)
    assert _names(list(site.search("Kathak dancer"))) == ["3.jpg", "1.jpg", "4.jpg"]
    assert list(site.search("nothing of the kind")) == []


def test_sub_categories_by_depth_with_cycles(openweb: OpenWeb, site: Site) -> None:
    files = [File(f"{name}.jpg", number) for number, name in enumerate("abcd", 1)]
    commons = Commons(
        files,
        {"Kathak": ["a.jpg"], "Dancers": ["b.jpg"], "Deeper": ["c.jpg"], "Kathak videos": ["d.jpg"]},
        {"Kathak": ["Dancers", "Kathak videos"], "Dancers": ["Kathak", "Deeper"], "Deeper": ["Dancers"]},
        batch=1,
    )
    commons.put_on(openweb)
    assert _all(site, "Kathak", depth=0) == ["a.jpg"]
    assert _all(site, "Kathak", depth=1) == ["a.jpg", "b.jpg"]
    assert _all(site, "Kathak", depth=5) == ["a.jpg", "b.jpg", "c.jpg"]


def test_pages_are_requested_lazily(openweb: OpenWeb, site: Site) -> None:
    _kathak(9, batch=3).put_on(openweb)
    hits = site.in_categories(["Kathak"], 2, lambda name: False)
    for _ in range(3):
        next(hits)
    assert len(openweb.requests) == 1


def test_existing_categories(openweb: OpenWeb, site: Site) -> None:
    commons = _kathak(1, articles={"Kathak": "Kathak"})
    commons.below, commons.members["Moved"] = {"Odissi": ["Odissi dancers"]}, []
    commons.put_on(openweb)
    assert site.category_of_article("Kathak") == "Kathak"
    assert site.category_of_article("Kathak (disambiguation)") is None
    asked = ["category:kathak", "Kathak", "No such", "Moved", "odissi"]
    assert site.existing([name.removeprefix("category:") for name in asked]) == ["Kathak", "Odissi"]
    assert site.existing(["Category:Kathak_"]) == ["Kathak"]


def test_an_article_without_the_claim_may_have_the_link(openweb: OpenWeb, site: Site) -> None:
    _kathak(1).put_on(openweb)
    entity = {"claims": [], "sitelinks": {"commonswiki": {"site": "commonswiki", "title": "Category:Odissi"}}}
    openweb.faults = [Fault("/wikidata", json_answer({"entities": {"Q1": entity}}))]
    assert site.category_of_article("Odissi") == "Odissi"


LAGGED = {"error": {"code": "maxlag", "info": "Waiting for db1: 6.5 seconds lagged", "lag": 6.5}}


def _in_a_second() -> str:
    # Whole seconds: up to one of the two is gone by the time it is read.
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize(
    ("answer", "at_least"),
    [
        (lambda: json_answer({}, 429, Retry_After="1"), 1.0),
        (lambda: json_answer({}, 503, Retry_After=_in_a_second()), 0.9),
        (lambda: Answer(b"<html>Too many requests</html>", 429, "text/html"), 0.05),
        (lambda: json_answer(LAGGED, 200, Retry_After="1"), 1.0),
        (lambda: json_answer(LAGGED, 200), 0.05),
        (lambda: json_answer(LAGGED, 503, Retry_After="1"), 1.0),
        (lambda: json_answer({"error": {"code": "ratelimited", "info": "slow down"}}), 0.05),
        (lambda: Answer(b'{"batchcomplete": true, "query": {"pag'), 0.05),
        (lambda: Answer(b'{"batchcomplete": true, "query"', cut=9), 0.05),
        (lambda: Answer(b"<html>Sign in to the hotel</html>", kind="text/html"), 0.05),
        (lambda: Answer(b"[1, 2]"), 0.05),
    ],
)
def test_it_waits_and_asks_again(openweb: OpenWeb, site: Site, answer: object, at_least: float) -> None:
    _kathak(1).put_on(openweb)
    assert callable(answer)
    openweb.faults = [Fault(API, answer())]
    assert _all(site, "Kathak") == ["0.jpg"]
    first, second = openweb.requests
    assert second.start - first.start >= at_least
    assert second.query == first.query


@pytest.mark.parametrize(
    ("answer", "tries", "message"),
    [
        (
            json_answer({}, 503),
            5,
            "127.0.0.1 is busy .status 503., also when asked 5 times: run the same command again",
        ),
        (json_answer(LAGGED), 5, "is busy .maxlag., also when asked 5 times"),
        (Answer(b"<p>hi", kind="text/html"), 5, "answers text/html where JSON was expected, also when asked 5 times"),
        (
            json_answer({}, 429, Retry_After="7200"),
            1,
            "asks to wait for 120 minutes: run the same command again later",
        ),
        (Answer(b"<h1>Bad  agent</h1>", 403, "text/html"), 1, "answered with status 403 .Bad agent.*check --contact"),
        (
            json_answer({"error": {"code": "toomanyvalues", "info": "50"}}),
            1,
            "refuses to answer .toomanyvalues: 50.: check",
        ),
    ],
)
def test_an_api_that_does_not_answer_gives_one_line(
    openweb: OpenWeb, site: Site, answer: Answer, tries: int, message: str
) -> None:
    openweb.faults = [Fault(API, answer, times=9)]
    with pytest.raises(UserError, match=message) as error:
        _all(site, "Kathak")
    assert "\n" not in str(error.value)
    assert len(openweb.requests) == tries


def test_a_continuation_that_repeats_itself(openweb: OpenWeb, site: Site) -> None:
    again = json_answer({"continue": {"gcmcontinue": "x", "continue": "-||"}, "batchcomplete": True})
    openweb.faults = [Fault(API, again, times=9)]
    with pytest.raises(UserError, match="repeats one page of results"):
        _all(site, "Kathak")
    assert len(openweb.requests) == 2


URL = "https://upload.example.org"


def _page(**fields: Any) -> dict[str, Any]:
    file = File(**{"name": "Kathak in Pune (3).jpg", "pageid": 7} | fields)
    page = {"pageid": 7, "ns": 6, "title": f"File:{file.name}", "imageinfo": [file.described(URL, 960)]}
    if file.hidden:
        page["categories"] = [{"ns": 14, "title": f"Category:{name}"} for name in file.hidden]
    return page


def _hit(**fields: Any) -> SearchHit:
    result = read_page(_page(**fields))
    assert isinstance(result, SearchHit), result
    return result


def _reason(**fields: Any) -> str:
    result = read_page(_page(**fields))
    assert isinstance(result, SkippedHit), result
    return result.reason


def test_the_original_where_it_is_small_enough_else_a_scaled_copy() -> None:
    small, large = _hit(), _hit(size=(4000, 6000))
    assert (small.is_original, small.is_exact, small.width, small.height) == (True, False, 320, 240)
    assert (large.is_original, large.is_exact, large.width, large.height) == (False, True, 960, 1440)
    assert "/960px-" in large.file_url
    assert len(large.sha1) == 40
    assert large.stem == "commons-7"


@pytest.mark.parametrize(
    ("meta", "author"),
    [
        ({"Artist": "<b>Ravi</b>&nbsp;Kumar"}, "Ravi Kumar"),
        ({"Artist": "Ravi", "Attribution": "<p>Photo:\nRavi Kumar</p>"}, "Photo: Ravi Kumar"),
        ({"Artist": 'Ravi<span style="display: none">Unknown author</span>'}, "Ravi"),
        ({"Artist": "Ravi", "AuthorCount": "3"}, "Ravi and others"),
    ],
)
def test_author(meta: dict[str, str], author: str) -> None:
    assert _hit(meta=meta).author == author


@pytest.mark.parametrize("author", ["", "Unknown author", "<i>unknown</i>", "Anonymous photographer", "n/a", "—"])
def test_no_author(author: str) -> None:
    assert _reason(author=author) == "no author named"
    assert _hit(author=author, license="CC0").author == ""


def test_a_statement_may_want_an_author_where_the_licence_does_not() -> None:
    assert _reason(author="", license="Public domain", meta={"AttributionRequired": "true"}) == "no author named"


@pytest.mark.parametrize(
    ("license", "hidden", "license_id"),
    [
        ("CC BY-SA 2.0", ["CC-BY-SA-2.0"], "cc-by-sa-2.0"),
        ("CC BY-SA 3.0", ["GFDL", "CC-BY-SA-3.0-migrated", "License migration redundant"], "cc-by-sa-3.0"),
        ("Public domain", ["CC-BY-SA-4.0"], "cc-by-sa-4.0"),
        ("CC0", ["CC-BY-3.0"], "cc-by-3.0"),
        ("CC BY 4.0", ["CC-BY-SA-3.0,2.5,2.0,1.0"], "cc-by-sa-3.0"),
        ("GODL-India", [], "godl-india"),
        ("FAL", [], "free-art-license"),
        ("PD-India", [], "public-domain"),
    ],
)
def test_the_stricter_of_two_licences(license: str, hidden: list[str], license_id: str) -> None:
    hit = _hit(license=license, hidden=hidden)
    assert hit.license == license_id
    if license_id.startswith("cc-by") and not license.startswith("CC BY-SA"):
        assert f"/licenses/{license_id[3:-4]}/{license_id[-3:]}" in hit.license_url


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"license": ""}, "licence does not allow it"),
        ({"license": "GFDL"}, "licence does not allow it"),
        ({"license": "All rights reserved"}, "licence does not allow it"),
        ({"license": "Public domain", "hidden": ["CC-BY-NC-SA-2.0"]}, "licence does not allow it"),
        ({"meta": {"LicenseUrl": "https://creativecommons.org/licenses/by-sa/3.0/"}}, "licence unclear"),
        ({"meta": {"LicenseUrl": "https://creativecommons.org/licenses/by-nc/4.0/"}}, "licence unclear"),
        ({"no_meta": True}, "licence does not allow it"),
        ({"meta": {"NonFree": "true"}}, "not free"),
        ({"meta": {"DeletionReason": "<b>No permission</b>"}}, "up for deletion"),
        ({"meta": {"Restrictions": "insignia"}}, "restricted by other rights"),
        ({"info": {"mime": "video/webm"}}, "no photograph"),
        ({"info": {"thumberror": "too big"}}, "no file to download"),
        ({"info": {"url": None}}, "no file to download"),
    ],
)
def test_reasons(fields: dict[str, Any], reason: str) -> None:
    assert _reason(**fields) == reason


def test_a_page_without_a_file() -> None:
    result = read_page({"ns": 6, "title": "File:Gone.jpg", "missing": True})
    assert result == SkippedHit("https://commons.wikimedia.org/wiki/File:Gone.jpg", "no file to download")


def test_people_who_can_be_recognised_are_no_reason() -> None:
    assert _hit(meta={"Restrictions": "personality"}).license == "cc-by-sa-4.0"


def test_the_day_or_the_title_tells_the_event() -> None:
    assert _hit(date="2019-01-26 18:30:11").event == "2019-01-26"
    assert _hit().event == "kathak in pune"


@pytest.mark.parametrize(
    ("html", "text", "link"),
    [
        ("", "", ""),
        ("Ravi &amp; Mira", "Ravi & Mira", ""),
        ('<a href="//commons.wikimedia.org/wiki/User:U">U</a>', "U", "https://commons.wikimedia.org/wiki/User:U"),
        ('<a href="/wiki/User:U">U</a>', "U", "https://commons.wikimedia.org/wiki/User:U"),
        ('<a href="javascript:alert(1)">U</a> <a href="https://x.org">X</a>', "U X", "https://x.org"),
        ("<style>.a{color:red}</style>Ravi<script>x()</script>", "Ravi", ""),
        ('<div><span style="display:none;">Un<b>known<br></b></span>Ravi</div>', "Ravi", ""),
        ("<table><tr><td>Ravi<td>Mira</table>", "Ravi Mira", ""),
        ("a\n\t b\u00a0c", "a b c", ""),
        ("<b>open", "open", ""),
        ("1 < 2", "1 < 2", ""),
    ],
)
def test_visible_text_and_first_link(html: str, text: str, link: str) -> None:
    assert plain_text(html) == text
    assert first_link(html) == link
