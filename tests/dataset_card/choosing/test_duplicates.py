import dataclasses
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.sparse.csgraph import connected_components

from dataset_card.choosing.duplicates import (
    NEAR_DISTANCE,
    exact_duplicates,
    near_duplicate_groups,
    near_duplicate_pairs,
    pixel_names,
)
from dataset_card.reading.images import ChangedFileError, Photo, inspect_photo


@pytest.fixture
def inspect(save_image: Callable[..., Path]) -> Callable[..., Photo]:
    def make(name: str, label: str = "kathak", seed: int = 0) -> Photo:
        return inspect_photo(save_image(name, seed, size=(200, 160)), label, 1024)

    return make


def test_one_of_identical_pictures_is_kept(inspect: Callable[..., Photo]) -> None:
    photos = [inspect("a.png"), inspect("b.bmp"), inspect("c.png", seed=1)]
    stay, rejected = exact_duplicates(photos, [()] * 3, [""] * 3)
    assert stay.count(True) == 2
    assert stay[2]
    assert [r.reason for r in rejected] == ["exact duplicate"]
    again, _ = exact_duplicates(photos[::-1], [()] * 3, [""] * 3)
    assert again == stay[::-1]


def test_of_identical_pictures_the_preferred_one_is_kept(inspect: Callable[..., Photo]) -> None:
    photos = [inspect("a.png"), inspect("b.bmp")]
    assert exact_duplicates(photos, [(True, False), (False, True)], [""] * 2)[0] == [True, False]
    assert exact_duplicates(photos, [(False, False), (False, True)], [""] * 2)[0] == [False, True]


def test_copies_that_look_the_same_form_a_group(save_image: Callable[..., Path], tmp_path: Path) -> None:
    original = save_image("original.png", size=(400, 320))
    with Image.open(original) as image:
        image.resize((200, 160)).save(tmp_path / "small.png")
        image.save(tmp_path / "poor.jpg", quality=30)
        image.point(lambda value: min(255, value * 1.3)).save(tmp_path / "bright.png")
        ImageOps.expand(image, 4, "darkred").save(tmp_path / "framed.png")
    other = save_image("other.png", seed=1, size=(400, 320))
    names = [original.name, "small.png", "poor.jpg", "bright.png", "framed.png", other.name]
    photos = [inspect_photo(tmp_path / name, "kathak", 1024) for name in names]
    groups = near_duplicate_groups(photos)
    assert len(set(groups[:5])) == 1
    assert groups[5] != groups[0]
    order = list(range(6))
    random.Random(0).shuffle(order)
    assert near_duplicate_groups([photos[i] for i in order]) == [groups[i] for i in order]


def test_groups_chain_through_neighbours(inspect: Callable[..., Photo]) -> None:
    # 0, 60 and 120 bits set: the ends are 120 bits apart, each 60 from the middle.
    base = inspect("a.png")
    chain = [
        dataclasses.replace(base, sha256=str(bits), perceptual_hash=((1 << bits) - 1).to_bytes(32, "little"))
        for bits in (0, 120, 60)
    ]
    assert len(set(near_duplicate_groups(chain))) == 1
    assert len(set(near_duplicate_groups(chain[:2]))) == 2


def test_no_pictures_no_groups() -> None:
    assert near_duplicate_groups([]) == []


def _photos(hashes: list[bytes]) -> list[Photo]:
    return [Photo(Path(str(i)), "kathak", f"{i:064d}"[::-1], look, 100, 100, True) for i, look in enumerate(hashes)]


def test_groups_are_those_of_a_plain_search(monkeypatch: pytest.MonkeyPatch) -> None:
    # Few centres with many around them, so that groups of all sizes cross the borders of the blocks.
    generator = np.random.default_rng(8)
    centres = generator.integers(0, 2, (150, 256), np.uint8)
    bits = centres[generator.integers(0, 150, 600)] ^ (generator.random((600, 256)) < 0.11)
    distances = (bits[:, None] != bits[None]).sum(axis=-1)
    expected = connected_components(distances <= NEAR_DISTANCE, directed=False)[1]
    assert 100 < len(set(expected)) < 400
    hashes = [row.tobytes() for row in np.packbits(bits, axis=1)]
    pairs = {(i, j) for firsts, seconds in near_duplicate_pairs(hashes) for i, j in zip(firsts, seconds, strict=True)}
    assert pairs == set(zip(*np.nonzero(np.triu(distances <= NEAR_DISTANCE, k=1)), strict=True))
    monkeypatch.setattr("dataset_card.choosing.duplicates._PAIRS_AT_ONCE", 20)
    groups = near_duplicate_groups(_photos(hashes))
    assert len(set(zip(groups, expected, strict=True))) == len(set(groups)) == len(set(expected))


def test_the_exact_complement_is_far_away() -> None:
    assert list(map(len, next(near_duplicate_pairs([bytes(32), b"\xff" * 32])))) == [0, 0]


@pytest.mark.parametrize("flipped", [0, 25])
def test_thousands_of_one_look_fill_no_memory(flipped: int) -> None:
    # 4,000 that are all near each other: 8 million pairs, 128 MB as a list.
    generator = np.random.default_rng(8)
    bits = np.zeros((4000, 256), np.uint8)
    for row in bits:
        row[generator.choice(256, flipped, replace=False)] = 1
    photos = _photos([row.tobytes() for row in np.packbits(bits, axis=1)])
    tracemalloc.start()
    assert len(set(near_duplicate_groups(photos))) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256_000_000


def test_pictures_that_look_the_same_and_are_not_stay(save_image: Callable[..., Path], tmp_path: Path) -> None:
    path = save_image("a.png", size=(200, 160))
    with Image.open(path) as image:
        red, green, blue = image.getpixel((100, 80))
        image.putpixel((100, 80), (red, green, blue ^ 1))
        image.save(tmp_path / "b.png")
    photos = [inspect_photo(tmp_path / name, "kathak", 1024) for name in ("a.png", "b.png")]
    assert photos[0].perceptual_hash == photos[1].perceptual_hash
    assert exact_duplicates(photos, [()] * 2, [""] * 2) == ([True, True], [])
    assert len(set(near_duplicate_groups(photos))) == 1


def test_only_files_that_differ_and_look_the_same_are_read_again(inspect: Callable[..., Photo]) -> None:
    one, other, alone = inspect("a.png"), inspect("b.bmp"), inspect("c.png", seed=1)
    alone.path.unlink()
    names = pixel_names([one, other, alone])
    assert names[0] == names[1] != names[2]
    other.path.unlink()
    twin = dataclasses.replace(one, path=Path("twin.png"))
    assert len(set(pixel_names([one, twin, alone]))) == 2
    with pytest.raises(ChangedFileError, match=r"b.bmp could be read a moment ago"):
        pixel_names([one, other])
