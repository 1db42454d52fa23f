import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dataset_card.shortcuts import MEANINGS, Shortcut, find_shortcuts, marks_of

LABELS = [("kathak", "odissi", "sattriya")[number % 3] for number in range(120)]
# What each picture of kathak is like; `None` leaves it as the others are.
Plant = Callable[[Image.Image], Image.Image]


def _photograph(rng: np.random.Generator) -> Image.Image:
    """A picture of random colours, light, size and shape, with nothing about its class."""
    level, spread = rng.uniform(70, 180), rng.uniform(20, 60)
    colours = rng.normal(level + rng.normal(0, 25, 3), spread, (6, 6, 3)).clip(0, 255).astype(np.uint8)
    side, aspect = rng.uniform(120, 240), np.exp(rng.normal(0, 0.2))
    return Image.fromarray(colours).resize((int(side * aspect), int(side / aspect)), Image.Resampling.BICUBIC)


def _pictures(plant: Plant, quality: int | None = None) -> Iterator[bytes]:
    rng = np.random.default_rng(8)
    for label in LABELS:
        image = _photograph(rng)
        usual = int(rng.integers(60, 96))
        if label == "kathak":
            image = plant(image)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality if quality and label == "kathak" else usual)
        yield file.getvalue()


def _found(plant: Plant, **options: Any) -> dict[str, Shortcut]:
    files = list(_pictures(plant, **options))
    marks = [marks_of(Image.open(io.BytesIO(file)).convert("RGB"), file) for file in files]
    return {found.name: found for found in find_shortcuts(marks, LABELS, [str(n) for n in range(len(LABELS))])}


def _framed(image: Image.Image) -> Image.Image:
    framed = image.copy()
    ImageDraw.Draw(framed).rectangle((0, 0, *(side - 1 for side in image.size)), outline="black", width=12)
    return framed


def _marked(image: Image.Image) -> Image.Image:
    """An agency's strip along the bottom."""
    image.paste("black", (0, int(image.height * 0.95), image.width, image.height))
    return image


@pytest.mark.parametrize(
    ("name", "plant", "options"),
    [
        ("light", lambda image: image.point(lambda level: level // 3), {}),
        ("colour", lambda image: Image.blend(image, Image.new("RGB", image.size, "red"), 0.4), {}),
        ("border", _framed, {}),
        ("size", lambda image: image.resize((image.width * 3, image.height * 3)), {}),
        ("aspect", lambda image: image.resize((2 * image.width, image.height // 2)), {}),
        ("compression", lambda image: image, {"quality": 30}),
        ("bottom strip", _marked, {}),
    ],
)
def test_each_is_found_where_it_gives_a_class_away(name: str, plant: Plant, options: dict[str, Any]) -> None:
    shortcut = _found(plant, **options)[name]
    assert shortcut.tells
    [best, *_] = shortcut.classes
    assert best == "kathak"
    assert shortcut.classes["kathak"] > 0.8
    assert shortcut.chance == pytest.approx(1 / 3)
    assert shortcut.interval[0] < shortcut.accuracy < shortcut.interval[1]
    assert f"a model that sees only {MEANINGS[name]} is right in {shortcut.accuracy:.0%}" in shortcut.sentence()


def test_where_there_is_none_none_is_found() -> None:
    found = _found(lambda image: image)
    assert found.keys() == MEANINGS.keys()
    assert [name for name, shortcut in found.items() if shortcut.tells] == []
    assert list(found) == sorted(found, key=lambda name: -found[name].accuracy)


def test_pictures_of_one_group_are_never_on_both_sides() -> None:
    # Twelve sizes, each of one group and one class: whoever sees the group knows the class, and nobody else.
    rng = np.random.default_rng(0)
    groups = [f"event {number % 30}" for number in range(120)]
    sizes = {group: int(rng.integers(100, 400)) for group in set(groups)}
    marks = []
    for group in groups:
        file = io.BytesIO()
        Image.new("RGB", (sizes[group], sizes[group])).save(file, "PNG")
        marks.append(marks_of(Image.open(file), file.getvalue()))
    found = {shortcut.name: shortcut for shortcut in find_shortcuts(marks, LABELS, groups)}
    assert not found["size"].tells


@pytest.mark.parametrize(("pictures", "classes"), [(99, 3), (120, 1), (120, 40)])
def test_too_few_pictures_tell_nothing(pictures: int, classes: int) -> None:
    mark = np.zeros(61, np.float32).tobytes()
    labels = [f"class {number % classes}" for number in range(pictures)]
    assert find_shortcuts([mark] * pictures, labels, [str(number) for number in range(pictures)]) == []


def test_check_and_the_card_tell(tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    photos, out = tmp_path / "photos", tmp_path / "dances"
    for number, (label, file) in enumerate(zip(LABELS, _pictures(_marked), strict=True)):
        (photos / label).mkdir(parents=True, exist_ok=True)
        (photos / label / f"{number}.jpg").write_bytes(file)
    assert cli("dataset_card", "build", photos, "--out", out)[0] == 0
    card = (out / "README.md").read_text()
    [line] = [line for line in card.splitlines() if line.startswith(f"| {MEANINGS['bottom strip']} | **")]
    assert "| 33 % | kathak " in line
    _, text, _ = cli("dataset_card", "check", out)
    assert (
        " ".join(text.split()).count("shortcuts, bottom strip: look whether one source, photographer or agency") == 1
    )


def test_a_jpeg_that_throws_nothing_away_on_paper() -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", qtables=[[1] * 64, [1] * 64])
    content = bytearray(file.getvalue())
    start = content.index(b"\xff\xdb") + 5
    content[start : start + 64] = bytes(64)
    assert np.isfinite(np.frombuffer(marks_of(Image.new("RGB", (16, 16)), bytes(content)), np.float32)).all()
