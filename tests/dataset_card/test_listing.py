import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_card.build import build
from dataset_card.listing import list_photos
from files.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("kathak/a.jpg", "kathak/tour/b.jpg", "odissi/c.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text(name)
    return tmp_path / "photos"


def _files(photos: Path) -> list[str]:
    files = list_photos(photos).files
    return list(files["file"][files["reason"] == ""])


def _rejected(photos: Path) -> dict[str, tuple[str, str]]:
    files = list_photos(photos).files
    return {row.file: (row.label, row.reason) for row in files[files["reason"] != ""].itertuples()}


def test_files_come_class_by_class_in_a_fixed_order(photos: Path) -> None:
    assert _files(photos) == ["kathak/a.jpg", "kathak/tour/b.jpg", "odissi/c.jpg"]
    assert list_photos(photos).label_names == ["kathak", "odissi"]
    assert _rejected(photos) == {}


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
    assert _rejected(photos) == {}


def test_files_in_no_class_folder_are_refused(photos: Path) -> None:
    (photos / "loose.jpg").touch()
    assert _rejected(photos) == {"loose.jpg": ("", "in no class folder")}


def test_links_that_lead_outside_are_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "me.jpg").touch()
    (photos / "kathak" / "folder").symlink_to(tmp_path / "private")
    (photos / "kathak" / "file.jpg").symlink_to(tmp_path / "private" / "me.jpg")
    (photos / "kathak" / "up").symlink_to("../..")
    (photos / "sattriya").symlink_to(tmp_path / "private")
    outside = "link that leads outside"
    assert _files(photos) == ["kathak/a.jpg", "kathak/tour/b.jpg", "odissi/c.jpg"]
    assert _rejected(photos) == {
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
    assert {file: reason for file, (_, reason) in _rejected(photos).items()} == {
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
    rejected = report.curated.rejected.set_index("file")["reason"]
    copies = rejected[rejected == "exact duplicate"]
    assert len(copies) == 1
    assert copies.index[0] in ("kathak/alias.jpg", f"kathak/{path.name}")
    assert rejected.drop(copies.index).to_dict() == {
        "kathak/pipe.jpg": "not a regular file",
        "kathak/socket.jpg": "not a regular file",
        "kathak/device.jpg": "link that leads outside",
        "kathak/broken.jpg": "cannot be read",
        "kathak/huge.jpg": "too large",
    }
    assert len(report.curated.rows) == 10


def _make(photos: Path, *names: str) -> None:
    for name in names:
        (photos / name).mkdir(parents=True)
        (photos / name / "a.jpg").touch()


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (
            ("train/kathak", "train/odissi", "dev/kathak", "dev/odissi"),
            "dev, train, which are splits.* add --splits folders",
        ),
        (("training/kathak", "training/odissi", "testing/kathak"), "testing, training, which are splits"),
        (
            ("train/k", "train/o", "test/k", "test/o", "extra"),
            r"splits \(test, train, which hold k, o\) beside .*\(extra\)",
        ),
        (("setA/kathak", "setA/odissi", "setB/kathak"), "setA, setB all hold kathak, so they are no classes"),
        (("train", "test"), "test, train, which are splits, not classes, and hold no sub-folders"),
        (
            ("archive/kathak", "archive/odissi"),
            "one sub-folder only .archive., which holds kathak, odissi: give .*archive",
        ),
    ],
)
def test_splits_and_extra_levels_are_not_taken_for_classes(tmp_path: Path, names: tuple[str, ...], why: str) -> None:
    _make(tmp_path / "photos", *names)
    with pytest.raises(UserError, match=why):
        list_photos(tmp_path / "photos")


def test_parts_of_classes_may_have_the_same_names(tmp_path: Path) -> None:
    _make(tmp_path / "photos", "kathak/2019", "odissi/2019", "odissi/2020")
    listing = list_photos(tmp_path / "photos")
    assert listing.label_names == ["kathak", "odissi"]
    assert listing.notes == [
        "kathak, odissi hold sub-folders of the same names (2019): read as parts of these classes"
    ]


@pytest.mark.parametrize("names", [("training", "dev", "testing"), ("Train", "VAL", "Test")])
def test_splits_may_be_called_otherwise(tmp_path: Path, names: tuple[str, ...]) -> None:
    _make(tmp_path / "photos", *(f"{name}/{label}" for name in names for label in ("kathak", "odissi")))
    files = list_photos(tmp_path / "photos", by_split=True).files
    assert set(zip(files["given"], files["label"], strict=True)) == {
        (split, label) for split in ("train", "validation", "test") for label in ("kathak", "odissi")
    }
