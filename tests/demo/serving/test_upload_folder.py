import os
import time
from pathlib import Path

import pytest

from demo.serving import upload_folder
from demo.serving.upload_folder import UploadFolder


@pytest.fixture
def uploads(tmp_path: Path) -> UploadFolder:
    return UploadFolder(tmp_path)


def _file(uploads: UploadFolder, name: str, size: int = 10) -> Path:
    file = uploads.path / name / "dancer.jpg"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(size))
    # Files are told apart by the time of their last change, which is coarse.
    time.sleep(0.02)
    return file


def test_old_files_go_and_examples_stay(uploads: UploadFolder) -> None:
    example = _file(uploads, "example")
    named = {str(example)}
    uploads.keep_what_is_there([named])
    old = _file(uploads, "old")
    named.add(str(old))
    time.sleep(0.3)
    new = _file(uploads, "new")
    uploads.sweep(max_age=0.2)
    assert (example.exists(), old.exists(), new.exists()) == (True, False, True)
    assert named == {str(example)}


def test_the_oldest_go_when_there_is_too_much(uploads: UploadFolder) -> None:
    example = _file(uploads, "example", 100)
    uploads.keep_what_is_there([])
    files = [_file(uploads, str(number), 100) for number in range(5)]
    uploads.max_bytes = 300
    uploads.sweep()
    assert example.exists()
    assert [file.exists() for file in files] == [False, False, False, True, True]


def test_the_oldest_go_when_there_are_too_many(uploads: UploadFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_folder, "MAX_FILES", 2)
    files = [_file(uploads, str(number), 0) for number in range(4)]
    uploads.sweep()
    assert [file.exists() for file in files] == [False, False, True, True]


def test_empty_folders_go_unless_they_were_just_made(uploads: UploadFolder) -> None:
    old, new = uploads.path / "old", uploads.path / "new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    uploads.sweep()
    assert (old.exists(), new.exists()) == (False, True)


def test_much_that_arrives_at_once_is_looked_at_at_once(uploads: UploadFolder) -> None:
    uploads.keep_what_is_there([])
    uploads.max_bytes = 5
    file = _file(uploads, "large")
    uploads.arrived(300 * 2**20)
    end = time.monotonic() + 5
    while file.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not file.exists()


def test_it_holds_its_files_only(uploads: UploadFolder, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = _file(uploads, "one")
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_text("x")
    link = uploads.path / "link"
    link.symlink_to(secret)
    circle = uploads.path / "circle"
    circle.symlink_to(circle)
    assert uploads.holds(str(file))
    assert uploads.holds(f"{file.parent}/../one/dancer.jpg")
    for path in (
        secret,
        link,
        circle,
        file.parent,
        f"{uploads.path}/../{secret.parent.name}/secret",
        f"{file}\0",
        "x" * 9999,
        "",
    ):
        assert not uploads.holds(str(path))
