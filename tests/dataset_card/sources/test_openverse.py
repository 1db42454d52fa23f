"""What Openverse answers an unregistered client, good and bad."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dataset_card.provenance import read_provenance
from dataset_card.sources.openverse import Openverse as Site
from dataset_card.sources.openverse import read_result
from dataset_card.sources.search_hit import SearchHit, SkippedHit
from files.errors import UserError
from tests.openweb.openverse import Openverse, result
from tests.openweb.pictures import picture
from tests.openweb.server import Answer, Fault, OpenWeb, json_answer

API = "/v1/images/"


@pytest.fixture
def site(openweb: OpenWeb) -> Iterator[Site]:
    site = Site("nritya/0.1 (tests@example.org) httpx2/2")
    with closing(site.client):
        yield site


@pytest.mark.parametrize(("there", "given", "asked"), [(0, 0, 1), (20, 20, 1), (47, 47, 3), (500, 240, 12)])
def test_pages_up_to_the_limit_of_the_api(openweb: OpenWeb, site: Site, there: int, given: int, asked: int) -> None:
    Openverse({"kathak": [result(number) for number in range(1, there + 1)]}).put_on(openweb)
    hits = list(site.search("kathak"))
    assert len(hits) == given
    assert len(openweb.requests) == asked
    assert [request.status for request in openweb.requests] == [200] * asked
    assert openweb.requests[0].query | {"page": "1"} == {
        "q": "kathak", "license": "by,by-sa,cc0,pdm", "category": "photograph", "excluded_source": "wikimedia",
        "page_size": "20", "page": "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            json_answer({"detail": "Authentication credentials were not provided."}, 401),
            "status 401 .*credentials were not",
        ),
        (json_answer({"detail": {"license": ["License 'x' does not exist."]}}, 400), "status 400 .*does not exist"),
        (json_answer({"error": "InputError", "detail": "x", "fields": ["q"]}, 400), "status 400 .*InputError"),
        (json_answer({"detail": "throttled"}, 429, Retry_After="60000"), "asks to wait for 1000 minutes"),
    ],
)
def test_refusals_of_the_api_give_one_line(openweb: OpenWeb, site: Site, answer: Answer, message: str) -> None:
    openweb.faults = [Fault(API, answer)]
    with pytest.raises(UserError, match=message) as error:
        list(site.search("kathak"))
    assert "\n" not in str(error.value)
    assert len(openweb.requests) == 1


def test_it_slows_down_to_the_stated_rate(openweb: OpenWeb, site: Site) -> None:
    Openverse({"kathak": [result(number) for number in range(1, 81)]}).put_on(openweb)

    def named(answer: Answer) -> Answer:
        headers = {"X-RateLimit-Limit-anon_burst": "240/min", "X-RateLimit-Limit-anon_sustained": "200/day"}
        return Answer(answer.body, headers=headers)

    openweb.faults = [Fault(API, named, times=9)]
    list(site.search("kathak"))
    starts = [request.start for request in openweb.requests]
    # The turn of the second was given before the first had answered.
    assert min(later - earlier for earlier, later in itertools.pairwise(starts[1:])) > 0.24


@pytest.mark.parametrize(
    ("fields", "license_id"),
    [
        ({}, "cc-by-2.0"),
        ({"license": "by-sa", "license_version": "2.0", "license_url": None}, "cc-by-sa-2.0"),
        ({"license": "cc0", "license_version": "1.0", "license_url": None, "creator": None}, "cc0-1.0"),
        ({"license": "pdm", "license_version": None, "license_url": None}, "public-domain"),
    ],
)
def test_licences(fields: dict[str, Any], license_id: str) -> None:
    hit = read_result(result(3, url="https://live.staticflickr.com/3.jpg", **fields))
    assert isinstance(hit, SearchHit)
    assert hit.license == license_id
    assert (hit.event, hit.page_url) == ("kathak evening", "https://www.flickr.com/photos/mira/3")
    assert hit.stem == f"openverse-{hashlib.sha1(result(3)['id'].encode()).hexdigest()[:16]}"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"license": "by-nc", "license_url": None}, "licence does not allow it"),
        ({"license": "by-nd", "license_url": None}, "licence does not allow it"),
        ({"license": "sampling+", "license_url": None}, "licence does not allow it"),
        ({"license_version": None, "license_url": None}, "licence does not allow it"),
        ({"license": None, "license_url": None}, "licence does not allow it"),
        ({"license_version": "4.0"}, "licence unclear"),
        ({"creator": None}, "no author named"),
        ({"mature": True}, "marked as mature"),
        ({"foreign_landing_url": None}, "no file to download"),
        ({"foreign_landing_url": "javascript:x"}, "no file to download"),
        ({"url": None}, "no file to download"),
    ],
)
def test_reasons(fields: dict[str, Any], reason: str) -> None:
    hit = read_result(result(3, **{"url": "https://live.staticflickr.com/3.jpg"} | fields))
    assert isinstance(hit, SkippedHit)
    assert hit.reason == reason


def test_nulls() -> None:
    nulls: dict[str, Any] = dict.fromkeys(("title", "creator_url", "width", "height", "filetype", "license_url"))
    hit = read_result(result(3, url="https://live.staticflickr.com/3.jpg", **nulls))
    assert isinstance(hit, SearchHit)
    assert (hit.title, hit.author_url, hit.event, hit.width) == ("", "", "", 0)


def test_the_command(openweb: OpenWeb, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    results = [result(number) for number in range(1, 7)]
    # The sign that a page shows in place of a picture that is gone: the same file for two pictures.
    results[4]["url"] = f"{openweb.url}/media/1.jpg"
    results[5]["url"] = "http://169.254.169.254/latest/meta-data"
    results[2] |= {"width": 2000, "height": 400}
    Openverse({"Kathak dancer": results, "Kathak chakkar spin": results[:1]}).put_on(openweb)
    words = ("dataset_card", "collect", tmp_path / "photos", "--dance", "kathak", "--source", "openverse")
    code, out, _ = cli(*words)
    assert code == 0
    records = read_provenance(tmp_path / "photos")
    assert len(records) == 3
    for file, record in records.items():
        assert (record.source, record.author, record.license) == ("openverse", "Mira", "cc-by-2.0")
        content = (tmp_path / "photos" / file).read_bytes()
        assert content in [picture(number) for number in (1, 2, 4, 5)]
        assert record.sha1 == hashlib.sha1(content).hexdigest()
    assert [line for line in out.splitlines() if line.startswith("left out")] == [
        "left out, address not allowed: 1",
        "left out, another picture than stated: 1",
        "left out, found twice: 1",
        "left out, same file as another: 1",
    ]
    asked = len(openweb.media())
    assert cli(*words)[0] == 0
    assert len(openweb.media()) == asked


def test_a_host_that_is_gone_does_not_stop_the_others(
    openweb: OpenWeb, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    gone = [result(number, url=f"http://no-such-host.invalid/{number}.jpg") for number in range(10, 20)]
    results = [*gone, *(result(number) for number in range(1, 4))]
    Openverse({"Kathak dancer": results}).put_on(openweb)
    photos = tmp_path / "photos"
    code, out, err = cli("dataset_card", "collect", photos, "--dance", "kathak", "--source", "openverse")
    assert code == 2
    assert "not delivered: 10\n" in out
    assert "3 new, 3 in all" in out
    assert "10 of the pictures were not delivered (no-such-host.invalid host name not found): run the same" in err
    assert sorted(path.name for path in photos.iterdir()) == ["kathak", "provenance.jsonl"]
