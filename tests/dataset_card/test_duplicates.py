import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from dataset_card.duplicates import exact_duplicates, near_duplicate_groups
from dataset_card.images import Photo, inspect_photo


@pytest.fixture
def inspect(save_image: Callable[..., Path]) -> Callable[..., Photo]:
    def make(name: str, label: str = "kathak", seed: int = 0) -> Photo:
        return inspect_photo(save_image(name, seed, size=(200, 160)), label, 1024)

    return make


def test_one_of_identical_pictures_is_kept(inspect: Callable[..., Photo]) -> None:
    photos = [inspect("a.png"), inspect("b.bmp"), inspect("c.png", seed=1)]
    stay, rejected = exact_duplicates(photos, [()] * 3)
    assert stay.count(True) == 2
    assert stay[2]
    assert [r.reason for r in rejected] == ["exact duplicate"]
    again, _ = exact_duplicates(photos[::-1], [()] * 3)
    assert again == stay[::-1]


def test_of_identical_pictures_the_preferred_one_is_kept(inspect: Callable[..., Photo]) -> None:
    photos = [inspect("a.png"), inspect("b.bmp")]
    assert exact_duplicates(photos, [(True, False), (False, True)])[0] == [True, False]
    assert exact_duplicates(photos, [(False, False), (False, True)])[0] == [False, True]


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
