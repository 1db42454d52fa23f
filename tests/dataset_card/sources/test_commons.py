"""What Wikimedia Commons answers, good and bad, over real HTTP."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from dataset_card.sources.commons import Commons as Site
from dataset_card.sources.finding import Candidate, Finding
from dataset_card.sources.http import WebError
from tests.openweb.commons import Commons, File
from tests.openweb.server import Answer, Fault, OpenWeb, said

NAME = "nritya/0.1 (tests@example.org) httpx2/2"
API = "/w/api.php"


@pytest.fixture
def site(openweb: OpenWeb) -> Iterator[Site]:
    site = Site(NAME)
    with closing(site.web):
        yield site


def _names(findings: list[Finding]) -> list[str]:
    assert all(isinstance(finding, Candidate) for finding in findings)
    return [finding.title for finding in findings if isinstance(finding, Candidate)]


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
    found = list(site.in_categories(["Kathak"], 0, lambda name: False))
    assert _names(found) == [f"{number}.jpg" for number in range(7)]
    assert [finding.license for finding in found if isinstance(finding, Candidate)][4] == "cc-by-sa-3.0"
    assert len(openweb.requests) == (6 if split else 3)


def test_search_gives_the_best_first(openweb: OpenWeb, site: Site) -> None:
    commons = _kathak(5, batch=2, split=True)
    commons.found["Kathak dancer"] = ["3.jpg", "1.jpg", "4.jpg"]
    commons.put_on(openweb)
    assert _names(list(site.search("Kathak dancer"))) == ["3.jpg", "1.jpg", "4.jpg"]
    assert list(site.search("nothing of the kind")) == []


def test_a_walk_keeps_to_its_depth_and_comes_back_from_circles(openweb: OpenWeb, site: Site) -> None:
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


def test_nothing_is_asked_before_it_is_wanted(openweb: OpenWeb, site: Site) -> None:
    _kathak(9, batch=3).put_on(openweb)
    findings = site.in_categories(["Kathak"], 2, lambda name: False)
    for _ in range(3):
        next(findings)
    assert len(openweb.requests) == 1


def test_names_of_categories_are_looked_up(openweb: OpenWeb, site: Site) -> None:
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
    openweb.faults = [Fault("/wikidata", said({"entities": {"Q1": entity}}))]
    assert site.category_of_article("Odissi") == "Odissi"


LAGGED = {"error": {"code": "maxlag", "info": "Waiting for db1: 6.5 seconds lagged", "lag": 6.5}}


def _in_a_second() -> str:
    # Whole seconds: up to one of the two is gone by the time it is read.
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize(
    ("answer", "at_least"),
    [
        (lambda: said({}, 429, Retry_After="1"), 1.0),
        (lambda: said({}, 503, Retry_After=_in_a_second()), 0.9),
        (lambda: Answer(b"<html>Too many requests</html>", 429, "text/html"), 0.05),
        (lambda: said(LAGGED, 200, Retry_After="1"), 1.0),
        (lambda: said(LAGGED, 200), 0.05),
        (lambda: said(LAGGED, 503, Retry_After="1"), 1.0),
        (lambda: said({"error": {"code": "ratelimited", "info": "slow down"}}), 0.05),
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
        (said({}, 503), 5, "127.0.0.1 is busy .status 503., also when asked 5 times: run the same command again"),
        (said(LAGGED), 5, "is busy .maxlag., also when asked 5 times"),
        (Answer(b"<p>hi", kind="text/html"), 5, "answers text/html where JSON was expected, also when asked 5 times"),
        (said({}, 429, Retry_After="7200"), 1, "asks to wait for 120 minutes: run the same command again later"),
        (Answer(b"<h1>Bad  agent</h1>", 403, "text/html"), 1, "answered with status 403 .Bad agent.*check --contact"),
        (said({"error": {"code": "toomanyvalues", "info": "50"}}), 1, "refuses to answer .toomanyvalues: 50.: check"),
    ],
)
def test_in_the_end_it_says_so_in_one_line(
    openweb: OpenWeb, site: Site, answer: Answer, tries: int, message: str
) -> None:
    openweb.faults = [Fault(API, answer, times=9)]
    with pytest.raises(WebError, match=message) as error:
        _all(site, "Kathak")
    assert "\n" not in str(error.value)
    assert len(openweb.requests) == tries


def test_a_server_that_repeats_itself_is_left(openweb: OpenWeb, site: Site) -> None:
    again = said({"continue": {"gcmcontinue": "x", "continue": "-||"}, "batchcomplete": True})
    openweb.faults = [Fault(API, again, times=9)]
    with pytest.raises(WebError, match="goes round in circles"):
        _all(site, "Kathak")
    assert len(openweb.requests) == 2
