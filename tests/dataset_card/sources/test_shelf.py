"""The states in which a killed collector can leave the folder."""

from contextlib import suppress
from pathlib import Path

import pytest

from dataset_card.provenance import Provenance, append_provenance, read_provenance
from dataset_card.sources.fetch import Fetched
from dataset_card.sources.finding import Candidate
from dataset_card.sources.shelf import Shelf

PAGE = "https://commons.wikimedia.org/wiki/File:{}.jpg"


def _candidate(number: int, sha1: str = "") -> Candidate:
    return Candidate("commons", str(number), "x", PAGE.format(number), "https://x", sha1=sha1)


def test_a_file_that_had_its_provenance_moves_in(tmp_path: Path) -> None:
    staging = tmp_path / ".collecting"
    staging.mkdir()
    for name in ("commons-1.jpg", "commons-2.jpg", "commons-3.part", "lock"):
        (staging / name).write_text(name)
    append_provenance(tmp_path, Provenance("kathak/commons-1.jpg", source_url=PAGE.format(1)))
    with suppress(KeyError), Shelf(tmp_path, "odissi") as shelf:
        assert (tmp_path / "kathak" / "commons-1.jpg").read_text() == "commons-1.jpg"
        assert shelf.reason_against(_candidate(1)) == "already here as kathak"
        assert shelf.reason_against(_candidate(2)) is None
        raise KeyError("something goes wrong")
    # Whole, but nothing is known of it yet: the next run needs not fetch it.
    assert [path.name for path in staging.iterdir()] == ["commons-2.jpg"]
    with Shelf(tmp_path, "odissi") as shelf:
        shelf.put(_candidate(2), Fetched(staging / "commons-2.jpg", "a" * 40, "b" * 64))
        assert shelf.count == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kathak", "odissi", "provenance.jsonl"]
    assert list(read_provenance(tmp_path)) == ["kathak/commons-1.jpg", "odissi/commons-2.jpg"]


@pytest.mark.parametrize(
    "file", ["../commons-1.jpg", "../evil/commons-1.jpg", "a/b/commons-1.jpg", "/tmp/commons-1.jpg"]
)
def test_nothing_moves_out_of_the_folder(tmp_path: Path, file: str) -> None:
    photos = tmp_path / "photos"
    (photos / ".collecting").mkdir(parents=True)
    (photos / ".collecting" / "commons-1.jpg").touch()
    append_provenance(photos, Provenance(file))
    with Shelf(photos, "kathak"):
        assert (photos / ".collecting" / "commons-1.jpg").exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["photos", "provenance.jsonl"]


@pytest.mark.parametrize(
    ("known", "candidate"),
    [
        ({"source_url": PAGE.format("Kathak%20%C3%A9_1")}, _candidate(1)),
        ({"sha1": "a" * 40}, _candidate(9, "a" * 40)),
    ],
)
def test_one_picture_by_page_or_by_hash(tmp_path: Path, known: dict[str, str], candidate: Candidate) -> None:
    (tmp_path / "kathak").mkdir()
    (tmp_path / "kathak" / "a.jpg").touch()
    append_provenance(tmp_path, Provenance("kathak/a.jpg", **known))
    if "source_url" in known:
        candidate = Candidate("commons", "5", "x", PAGE.format("Kathak_é 1"), "https://x")
    with Shelf(tmp_path, "kathak") as shelf:
        assert shelf.reason_against(candidate) == "already here"
        assert shelf.reason_against(_candidate(4)) is None
        assert shelf.reason_against(_candidate(4)) == "found twice"


def test_pictures_without_a_hash_are_not_one(tmp_path: Path) -> None:
    with Shelf(tmp_path, "kathak") as shelf:
        assert shelf.reason_against(_candidate(1)) is None
        assert shelf.reason_against(_candidate(2)) is None
