from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_card.choosing.conflicts import label_conflicts
from dataset_card.reading.images import Photo, inspect_photo


@pytest.fixture
def photos(save_image: Callable[..., Path]) -> list[Photo]:
    """Three near-duplicates, the second under another label, and a picture of its own."""
    labels = ["kathak", "odissi", "kathak", "odissi"]
    return [inspect_photo(save_image(f"{n}.png", n), label, 1024) for n, label in enumerate(labels)]


NEAR = ["one", "one", "one", "two"]


def test_disagreeing_copies_all_go(photos: list[Photo]) -> None:
    stay, gone = label_conflicts(photos, NEAR, frozenset())
    assert stay == [False, False, False, True]
    assert {(r.path.name, r.reason, r.detail, r.sha256) for r in gone} == {
        (photo.path.name, "same picture under several labels", "kathak, odissi", photo.sha256) for photo in photos[:3]
    }


def test_a_decision_settles_it(photos: list[Photo]) -> None:
    assert label_conflicts(photos, NEAR, {photos[0].sha256})[0] == [True, False, True, True]
    assert label_conflicts(photos, NEAR, {photos[1].sha256})[0] == [False, True, False, True]


def test_two_decisions_speak_for_themselves(photos: list[Photo]) -> None:
    assert label_conflicts(photos, NEAR, {photos[0].sha256, photos[1].sha256})[0] == [True, True, False, True]
