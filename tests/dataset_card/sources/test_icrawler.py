"""The crawler of the walk-through, whose pictures may not be published."""

import html
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dataset_card.provenance import read_provenance
from tests.conftest import ROOT
from tests.openweb.openverse import Openverse
from tests.openweb.server import Answer, OpenWeb

WORDS = ("dataset_card", "collect")
OPTIONS = ("--dance", "kathak", "--source", "icrawler", "--query", "kathak dancer", "--limit", "3")


def _results(path: str, query: dict[str, str], url: str) -> Answer:
    """A page of results as Bing lays it out; the second one has none."""
    if query["first"] != "0":
        return Answer(b"", kind="text/html")
    assert query["q"] == "kathak dancer"
    results = [
        {"murl": f"{url}/media/{number}.jpg", "purl": f"https://blog.example.org/{number}", "t": f"Kathak {number}"}
        for number in range(1, 4)
    ]
    links = [f'<div class="imgpt"><a m="{html.escape(json.dumps(one))}"></a></div>' for one in [*results, [], "x"]]
    return Answer(("<html>" + "".join(links) + '<div class="imgpt"><a m="{"></a></div>').encode(), kind="text/html")


def test_its_pictures_have_no_licence(
    openweb: OpenWeb, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    Openverse().put_on(openweb)
    openweb.routes["/bing"] = _results
    code, out, _ = cli(*WORDS, tmp_path / "photos", *OPTIONS)
    assert code == 0
    records = read_provenance(tmp_path / "photos")
    assert {record.license for record in records.values()} == {"unknown"}
    assert {record.source_url for record in records.values()} == {f"https://blog.example.org/{n}" for n in (1, 2, 3)}
    assert "Nobody knows their licences: train with them, but push --public will refuse them." in out
    assert len({request.headers["User-Agent"] for request in openweb.requests}) == 1
    assert not any("Mozilla" in request.headers["User-Agent"] for request in openweb.requests)


def test_nothing_found(openweb: OpenWeb, tmp_path: Path, refused: Callable[..., str]) -> None:
    openweb.routes["/bing"] = lambda path, query, url: Answer(b"<html>new layout</html>", kind="text/html")
    assert "nothing found for kathak" in refused(*WORDS, tmp_path / "photos", *OPTIONS)


def test_without_icrawler_it_says_what_to_install(openweb: OpenWeb, tmp_path: Path) -> None:
    words = [*WORDS[1:], str(tmp_path / "photos"), *OPTIONS]
    code = f"import sys; sys.modules['icrawler'] = None; from dataset_card.__main__ import main; main({words})"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: --source icrawler needs icrawler: pip install -r requirements-crawl.txt;")
    assert len(answer.stderr.splitlines()) == 1
