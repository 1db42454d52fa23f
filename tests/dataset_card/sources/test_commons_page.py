"""One page of Wikimedia Commons: what it gives, and when it gives nothing."""

from typing import Any

import pytest

from dataset_card.sources.commons_page import read_page
from dataset_card.sources.finding import Candidate, Skipped
from tests.openweb.commons import File

URL = "https://upload.example.org"


def _page(**fields: Any) -> dict[str, Any]:
    file = File(**{"name": "Kathak in Pune (3).jpg", "pageid": 7} | fields)
    page = {"pageid": 7, "ns": 6, "title": f"File:{file.name}", "imageinfo": [file.described(URL, 960)]}
    if file.hidden:
        page["categories"] = [{"ns": 14, "title": f"Category:{name}"} for name in file.hidden]
    return page


def _candidate(**fields: Any) -> Candidate:
    found = read_page(_page(**fields))
    assert isinstance(found, Candidate), found
    return found


def _reason(**fields: Any) -> str:
    found = read_page(_page(**fields))
    assert isinstance(found, Skipped), found
    return found.reason


def test_the_original_where_it_is_small_enough_else_a_scaled_copy() -> None:
    small, large = _candidate(), _candidate(size=(4000, 6000))
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
def test_whom_to_name(meta: dict[str, str], author: str) -> None:
    assert _candidate(meta=meta).author == author


@pytest.mark.parametrize("author", ["", "Unknown author", "<i>unknown</i>", "Anonymous photographer", "n/a", "—"])
def test_nobody_to_name(author: str) -> None:
    assert _reason(author=author) == "no author named"
    assert _candidate(author=author, license="CC0").author == ""


def test_a_statement_may_want_an_author_where_the_licence_does_not() -> None:
    assert _reason(author="", license="Public domain", meta={"AttributionRequired": "true"}) == "no author named"


@pytest.mark.parametrize(
    ("license", "hidden", "result"),
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
def test_the_stricter_of_two_licences(license: str, hidden: list[str], result: str) -> None:
    found = _candidate(license=license, hidden=hidden)
    assert found.license == result
    if result.startswith("cc-by") and not license.startswith("CC BY-SA"):
        assert f"/licenses/{result[3:-4]}/{result[-3:]}" in found.license_url


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
        ({"info": {"thumberror": "too big"}}, "no file to fetch"),
        ({"info": {"url": None}}, "no file to fetch"),
    ],
)
def test_reasons(fields: dict[str, Any], reason: str) -> None:
    assert _reason(**fields) == reason


def test_a_page_without_a_file() -> None:
    found = read_page({"ns": 6, "title": "File:Gone.jpg", "missing": True})
    assert found == Skipped("https://commons.wikimedia.org/wiki/File:Gone.jpg", "no file to fetch")


def test_people_who_can_be_recognised_are_no_reason() -> None:
    assert _candidate(meta={"Restrictions": "personality"}).license == "cc-by-sa-4.0"


def test_the_day_or_the_title_tells_the_event() -> None:
    assert _candidate(date="2019-01-26 18:30:11").event == "2019-01-26"
    assert _candidate().event == "kathak in pune"
