"""Wrong and hostile archives of reference pictures."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_folder.folder import PICTURES, ModelFolder, ModelFolderError, open_model_folder
from model_folder.reference_pictures import LIST, open_pictures

Content = tuple[list[dict[str, Any]], dict[str, bytes]]


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> ModelFolder:
    return open_model_folder(str(shutil.copytree(model_folder, tmp_path / "model")))


def _read(file: Path) -> Content:
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(content.pop(LIST)), content


def _write(file: Path, told: object, jpegs: dict[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(LIST, told if isinstance(told, str) else json.dumps(told))
        for name, content in jpegs.items():
            archive.writestr(name, content)


def test_every_reference_has_its_picture(folder: ModelFolder) -> None:
    pictures = open_pictures(folder, 48)
    shutil.rmtree(folder.path)
    assert {picture.label for picture in pictures} == set(folder.label_names)
    for picture in pictures:
        assert (picture.license, picture.author) == ("cc0-1.0", "Nritya")
        assert len(picture.sha256) == 64
        assert picture.jpeg is not None
        assert picture.jpeg.startswith(b"\xff\xd8\xff")


def test_a_folder_without_them_shows_none(folder: ModelFolder) -> None:
    (folder.path / PICTURES).unlink()
    assert open_pictures(folder, 48) == []


def test_links_of_other_kinds_and_line_breaks_go(folder: ModelFolder) -> None:
    told, jpegs = _read(folder.path / PICTURES)
    told[0] |= {"source_url": "javascript:alert(1)", "author": "A\nB" + "x" * 500}
    told[1] |= {"source_url": "https://a.example/1", "file": None}
    _write(folder.path / PICTURES, told, jpegs)
    first, second, *_ = open_pictures(folder, 48)
    assert first.source_url == ""
    assert first.author.startswith("A Bxx")
    assert len(first.author) == 300
    assert (second.source_url, second.jpeg) == ("https://a.example/1", None)


FAULTS: dict[str, tuple[Callable[[Path, Content], object], str]] = {
    "no archive": (lambda file, _: file.write_bytes(b"MZ" * 500), "File is not a zip file"),
    "cut off": (lambda file, _: file.write_bytes(file.read_bytes()[:2000]), "File is not a zip file"),
    "no list": (lambda file, of: zipfile.ZipFile(file, "w").close(), "There is no item named 'pictures.json'"),
    "list no JSON": (lambda file, of: _write(file, "{", of[1]), "reference_pictures.zip: "),
    "other number": (lambda file, of: _write(file, of[0][:-1], of[1]), "does not tell of 48 pictures"),
    "no entry": (lambda file, of: _write(file, [7] * 48, of[1]), "has an entry without label, sha256"),
    "no text": (lambda file, of: _write(file, [{**of[0][0], "author": 7}] * 48, of[1]), "has an entry without"),
    "no picture": (lambda file, of: _write(file, of[0], {}), "There is no item named"),
    "a script": (
        lambda file, of: _write(file, of[0], dict.fromkeys(of[1], b"<script>alert(1)</script>")),
        "0000.jpg is no JPEG",
    ),
    "a bomb": (
        lambda file, of: _write(file, of[0], dict.fromkeys(of[1], b"\xff\xd8\xff" + bytes(10_000_000))),
        "0000.jpg has more than 100,000 bytes",
    ),
    "a bomb of text": (lambda file, of: _write(file, " " * 5_000_000, {}), "pictures.json has more than 4,000,000"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_changed_one_is_refused_clearly(folder: ModelFolder, fault: str) -> None:
    change, message = FAULTS[fault]
    change(folder.path / PICTURES, _read(folder.path / PICTURES))
    with pytest.raises(ModelFolderError) as error:
        open_pictures(folder, 48)
    assert message in str(error.value)
    assert "is not to be trusted: reference_pictures.zip: " in str(error.value)
    assert "\n" not in str(error.value)
