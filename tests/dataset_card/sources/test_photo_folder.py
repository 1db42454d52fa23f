"""The states in which a killed collector can leave the folder."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import filelock
import pytest

from dataset_card.provenance import Provenance, append_provenance, read_provenance
from dataset_card.sources.photo_folder import Download, open_photo_folder
from dataset_card.sources.search_hit import SearchHit
from files.errors import UserError

PAGE = "https://commons.wikimedia.org/wiki/File:{}.jpg"


def _hit(number: int, sha1: str = "") -> SearchHit:
    return SearchHit("commons", str(number), "x", PAGE.format(number), "https://x", sha1=sha1)


def test_a_file_that_has_its_provenance_is_moved_to_its_place(tmp_path: Path) -> None:
    staging = tmp_path / ".collecting"
    staging.mkdir()
    for name in ("commons-1.jpg", "commons-2.jpg", "commons-3.part"):
        (staging / name).write_text(name)
    append_provenance(tmp_path, Provenance("kathak/commons-1.jpg", source_url=PAGE.format(1)))
    with suppress(KeyError), open_photo_folder(tmp_path, "odissi") as folder:
        assert (tmp_path / "kathak" / "commons-1.jpg").read_text() == "commons-1.jpg"
        assert folder.reason_to_skip(_hit(1)) == "already here as kathak"
        assert folder.reason_to_skip(_hit(2)) is None
        raise KeyError("something goes wrong")
    # Whole, but without provenance: the next run need not download it.
    assert [path.name for path in staging.iterdir()] == ["commons-2.jpg"]
    with open_photo_folder(tmp_path, "odissi") as folder:
        folder.add(_hit(2), Download(staging / "commons-2.jpg", "a" * 40, "b" * 64))
        assert folder.count == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kathak", "odissi", "provenance.jsonl"]
    assert list(read_provenance(tmp_path)) == ["kathak/commons-1.jpg", "odissi/commons-2.jpg"]


@pytest.mark.parametrize(
    "file", ["../commons-1.jpg", "../evil/commons-1.jpg", "a/b/commons-1.jpg", "/tmp/commons-1.jpg"]
)
def test_nothing_is_moved_out_of_the_folder(tmp_path: Path, file: str) -> None:
    photos = tmp_path / "photos"
    (photos / ".collecting").mkdir(parents=True)
    (photos / ".collecting" / "commons-1.jpg").touch()
    append_provenance(photos, Provenance(file))
    with open_photo_folder(photos, "kathak"):
        assert (photos / ".collecting" / "commons-1.jpg").exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["photos", "provenance.jsonl"]


@pytest.mark.parametrize(
    ("known", "hit"),
    [
        ({"source_url": PAGE.format("Kathak%20%C3%A9_1")}, _hit(1)),
        ({"sha1": "a" * 40}, _hit(9, "a" * 40)),
    ],
)
def test_one_picture_by_page_or_by_hash(tmp_path: Path, known: dict[str, str], hit: SearchHit) -> None:
    (tmp_path / "kathak").mkdir()
    (tmp_path / "kathak" / "a.jpg").touch()
    append_provenance(tmp_path, Provenance("kathak/a.jpg", **known))
    if "source_url" in known:
        hit = SearchHit("commons", "5", "x", PAGE.format("Kathak_é 1"), "https://x")
    with open_photo_folder(tmp_path, "kathak") as folder:
        assert folder.reason_to_skip(hit) == "already here"
        assert folder.reason_to_skip(_hit(4)) is None
        assert folder.reason_to_skip(_hit(4)) == "found twice"


def test_pictures_without_a_hash_are_different(tmp_path: Path) -> None:
    with open_photo_folder(tmp_path, "kathak") as folder:
        assert folder.reason_to_skip(_hit(1)) is None
        assert folder.reason_to_skip(_hit(2)) is None


def test_a_released_lock_is_never_that_of_the_next_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second collector starts in the moment in which the first one releases its lock."""
    release = filelock.FileLock.release
    with ExitStack() as second:

        def release_and_start(lock: filelock.FileLock, *args: Any, **options: Any) -> None:
            release(lock, *args, **options)
            monkeypatch.undo()
            second.enter_context(open_photo_folder(tmp_path / "photos", "odissi"))

        with open_photo_folder(tmp_path / "photos", "kathak"):
            monkeypatch.setattr(filelock.FileLock, "release", release_and_start)
        with (
            pytest.raises(UserError, match="is being written by another process"),
            open_photo_folder(tmp_path / "photos", "kathak"),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_on_disk_before_its_name_and_both_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    steps: list[str] = []

    def name_of(handle: int) -> str:
        return os.path.relpath(Path(f"/proc/self/fd/{handle}").readlink(), photos)

    fsync, replace = os.fsync, os.replace
    with open_photo_folder(photos, "kathak") as folder:
        (folder.staging / "commons-1.jpg").write_bytes(b"x")
        monkeypatch.setattr(os, "fsync", lambda handle: (steps.append(f"fsync {name_of(handle)}"), fsync(handle)))
        monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
        folder.add(_hit(1), Download(folder.staging / "commons-1.jpg", "a" * 40, "b" * 64))
    assert steps == [
        "fsync provenance.jsonl", "fsync .collecting/commons-1.jpg", "replace", "fsync kathak", "fsync .",
    ]  # fmt: skip
