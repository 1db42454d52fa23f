import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_card.build import build
from dataset_card.reading.listing import list_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("kathak/a.jpg", "kathak/tour/b.jpg", "odissi/c.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text(name)
    return tmp_path / "photos"


def _files(photos: Path) -> list[str]:
    return [path.relative_to(photos).as_posix() for paths in list_photos(photos).files.values() for path in paths]


def _refused(photos: Path) -> dict[str, tuple[str, str]]:
    refused = list_photos(photos).refused
    return {r.path.relative_to(photos).as_posix(): (r.label, r.reason) for r in refused}


def test_files_come_class_by_class_in_a_fixed_order(photos: Path) -> None:
    assert _files(photos) == ["kathak/a.jpg", "kathak/tour/b.jpg", "odissi/c.jpg"]
    assert list(list_photos(photos).files) == ["kathak", "odissi"]
    assert _refused(photos) == {}


@pytest.mark.parametrize(
    "name",
    [
        "provenance.jsonl", ".DS_Store", "._a.jpg", "Thumbs.db", "desktop.ini", "a.xmp", "A.JPG.JSON", "a.AAE",
        "__MACOSX/._a.jpg", ".thumbnails/a.jpg", "@eaDir/a.jpg",
    ],
)  # fmt: skip
def test_what_other_programs_leave_is_passed_over(photos: Path, name: str) -> None:
    for folder in (photos, photos / "kathak", photos / "kathak" / "tour"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("left behind")
    assert _files(photos) == ["kathak/a.jpg", "kathak/tour/b.jpg", "odissi/c.jpg"]
    assert _refused(photos) == {}


def test_files_in_no_class_folder_are_refused(photos: Path) -> None:
    (photos / "loose.jpg").touch()
    assert _refused(photos) == {"loose.jpg": ("", "in no class folder")}


def test_links_that_lead_outside_are_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "me.jpg").touch()
    (photos / "kathak" / "folder").symlink_to(tmp_path / "private")
    (photos / "kathak" / "file.jpg").symlink_to(tmp_path / "private" / "me.jpg")
    (photos / "kathak" / "up").symlink_to("../..")
    (photos / "sattriya").symlink_to(tmp_path / "private")
    outside = "link that leads outside"
    assert _files(photos) == ["kathak/a.jpg", "kathak/tour/b.jpg", "odissi/c.jpg"]
    assert _refused(photos) == {
        "kathak/folder": ("kathak", outside),
        "kathak/file.jpg": ("kathak", outside),
        "kathak/up": ("kathak", outside),
        "sattriya": ("sattriya", outside),
    }


def test_links_that_stay_inside_are_followed_once_and_circles_end(photos: Path) -> None:
    (photos / "kathak" / "alias.jpg").symlink_to("a.jpg")
    (photos / "kathak" / "all").symlink_to("..")
    (photos / "kathak" / "tour" / "back").symlink_to("../../kathak")
    (photos / "kathak" / "tour" / "self").symlink_to("self")
    (photos / "odissi" / "guests").symlink_to("../kathak/tour")
    assert _files(photos) == [
        "kathak/a.jpg", "kathak/alias.jpg", "kathak/tour/b.jpg", "kathak/tour/self",
        "odissi/c.jpg", "odissi/guests/b.jpg", "odissi/guests/back/a.jpg", "odissi/guests/back/alias.jpg",
        "odissi/guests/back/tour/b.jpg", "odissi/guests/back/tour/self", "odissi/guests/self",
    ]  # fmt: skip
    twice = "link to a folder listed already"
    assert {file: reason for file, (_, reason) in _refused(photos).items()} == {
        "kathak/all": twice,
        "kathak/tour/back": twice,
        "odissi/guests/back/all": twice,
        "odissi/guests/back/tour/back": twice,
    }


def test_no_oddity_stops_a_build_or_makes_it_wait(
    save_image: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed in range(10):
        path = save_image(f"photos/{'kathak' if seed % 2 else 'odissi'}/{seed}.jpg", seed)
    kathak, photos = tmp_path / "photos" / "kathak", path.parents[1]
    os.mkfifo(kathak / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(kathak / "socket.jpg"))
        (kathak / "device.jpg").symlink_to("/dev/zero")
        (kathak / "broken.jpg").symlink_to("nowhere.jpg")
        (kathak / "alias.jpg").symlink_to(path.name)
        with (kathak / "huge.jpg").open("wb") as huge:
            huge.truncate(200_000_001)
        report = build(photos, tmp_path / "out", seed=8)
    assert {r.path.name: r.reason for r in report.contents.rejected if r.path.name != path.name} | {
        "alias.jpg": ""
    } == {
        "pipe.jpg": "not a regular file",
        "socket.jpg": "not a regular file",
        "device.jpg": "link that leads outside",
        "broken.jpg": "cannot be read",
        "huge.jpg": "too large",
        "alias.jpg": "",
    }
    assert sum(r.reason == "exact duplicate" for r in report.contents.rejected) == 1
    assert sum(len(rows) for rows in report.contents.rows.values()) == 10
