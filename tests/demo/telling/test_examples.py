import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from demo.telling.examples import jpeg_uri, read_examples


def _picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (300, 200), "teal").save(path, comment=b"secret")
    return path


def test_each_has_its_class_and_credit(tmp_path: Path) -> None:
    path = _picture(tmp_path / "kathak-3.jpg")
    entry = {"file": path.name, "label": "kathak", "author": "A. Uthor", "license": "cc-by-4.0"}
    (tmp_path / "examples.json").write_text(json.dumps([entry]))
    (example,) = read_examples([path])
    assert (example.path, example.label, example.credit) == (path, "kathak", "A. Uthor, cc-by-4.0")


@pytest.mark.parametrize("told", [None, "{", "[]", "3", '[{"file": "kathak.jpg", "author": 3}]', "[1]"])
def test_without_a_word_on_them_their_names_say_what_they_are(tmp_path: Path, told: str | None) -> None:
    path = _picture(tmp_path / "kathak.jpg")
    if told is not None:
        (tmp_path / "examples.json").write_text(told)
    (example,) = read_examples([path])
    assert (example.label, example.credit) == ("kathak", "")


def test_a_broken_one_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no picture")
    good = _picture(tmp_path / "good.jpg")
    assert [example.path for example in read_examples([tmp_path / "bad.jpg", good])] == [good]
    assert read_examples([]) == []


def test_a_small_copy_holds_the_picture_alone(tmp_path: Path) -> None:
    with Image.open(_picture(tmp_path / "a.jpg")) as image:
        uri = jpeg_uri(image, 160)
    content = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    assert b"secret" not in content
    with Image.open(io.BytesIO(content)) as small:
        assert small.size == (160, 107)
