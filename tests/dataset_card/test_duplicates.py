import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from dataset_card.duplicates import drop_exact_duplicates, near_duplicate_groups
from dataset_card.images import Photo, inspect_photo


@pytest.fixture
def inspect(save_image: Callable[..., Path]) -> Callable[..., Photo]:
    def make(name: str, label: str = "kathak", seed: int = 0) -> Photo:
        return inspect_photo(save_image(name, seed, size=(200, 160)), label, 1024)

    return make


def test_one_of_identical_pictures_is_kept(inspect: Callable[..., Photo]) -> None:
    kept, rejected = drop_exact_duplicates([inspect("a.png"), inspect("b.bmp"), inspect("c.png", seed=1)])
    assert len(kept) == 2
    assert [r.reason for r in rejected] == ["exact duplicate"]


def test_identical_pictures_under_two_labels_are_all_refused(inspect: Callable[..., Photo]) -> None:
    photos = [inspect("a.png", "kathak"), inspect("b.bmp", "odissi"), inspect("c.png", "odissi", seed=1)]
    kept, rejected = drop_exact_duplicates(photos)
    assert [photo.path.name for photo in kept] == ["c.png"]
    assert {(r.path.name, r.reason, r.detail) for r in rejected} == {
        ("a.png", "same picture under several labels", "kathak, odissi"),
        ("b.bmp", "same picture under several labels", "kathak, odissi"),
    }


def test_copies_that_look_the_same_form_a_group(save_image: Callable[..., Path], tmp_path: Path) -> None:
    original = save_image("original.png", size=(400, 320))
    with Image.open(original) as image:
        image.resize((200, 160)).save(tmp_path / "small.png")
        image.save(tmp_path / "poor.jpg", quality=30)
        image.point(lambda value: min(255, value * 1.3)).save(tmp_path / "bright.png")
    other = save_image("other.png", seed=1, size=(400, 320))
    names = [original.name, "small.png", "poor.jpg", "bright.png", other.name]
    photos = [inspect_photo(tmp_path / name, "kathak", 1024) for name in names]
    groups = near_duplicate_groups(photos)
    assert len(set(groups[:4])) == 1
    assert groups[4] != groups[0]
    order = list(range(5))
    random.Random(0).shuffle(order)
    assert near_duplicate_groups([photos[i] for i in order]) == [groups[i] for i in order]


def test_groups_chain_through_neighbours(inspect: Callable[..., Photo]) -> None:
    # 0, 40 and 80 bits set: the ends are 80 bits apart, each 40 from the middle.
    base = inspect("a.png")
    chain = [
        dataclasses.replace(base, sha256=str(bits), perceptual_hash=((1 << bits) - 1).to_bytes(32, "little"))
        for bits in (0, 80, 40)
    ]
    assert len(set(near_duplicate_groups(chain))) == 1
    assert len(set(near_duplicate_groups(chain[:2]))) == 2


def test_no_pictures_no_groups() -> None:
    assert near_duplicate_groups([]) == []
