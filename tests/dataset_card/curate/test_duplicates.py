import random
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.sparse.csgraph import connected_components

from benchmarks.near_duplicates import CHANGES, distances_to_originals, open_image
from dataset_card.curate.duplicates import (
    HASH_BYTES,
    PERCEPTUAL_BYTES,
    SAME_DISTANCE,
    SPLIT_DISTANCE,
    WINDOWS,
    estimate_distance,
    hash_rows,
    image_hashes,
    near_groups,
    near_pairs,
)
from tests.conftest import SHARED


@pytest.fixture(scope="module")
def drawings(photos: Path) -> list[Image.Image]:
    return [open_image(path) for path in sorted(photos.glob("*/*"))[::3]]


@pytest.fixture(scope="module")
def hashes(drawings: list[Image.Image]) -> np.ndarray:
    return hash_rows(map(image_hashes, drawings))


def _pairs(*args: object, **options: object) -> dict[tuple[int, int], int]:
    found = [
        pair for block in near_pairs(*args, **options) for pair in zip(*map(np.ndarray.tolist, block), strict=True)
    ]
    assert len({pair[:2] for pair in found}) == len(found)
    return {(first, second): distance for first, second, distance in found}


def _noise(count: int, seed: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, HASH_BYTES), np.uint8)


def _rows_with_bits_set(counts: Sequence[int]) -> np.ndarray:
    """Hashes whose first bits of the whole are set, and their windows alike."""
    return hash_rows(np.packbits(np.arange(256) < count).tobytes() for count in counts)


def test_the_first_bytes_are_the_perceptual_hash(drawings: list[Image.Image], hashes: np.ndarray) -> None:
    for image, row in zip(drawings, hashes, strict=True):
        factor = max(1, min(image.size) // 192)
        box = (0, 0, image.width / factor, image.height / factor)
        small = image.reduce(factor).convert("L").resize((64, 64), Image.Resampling.LANCZOS, box)
        expected = np.packbits(imagehash.phash(small, hash_size=16).hash.ravel())
        np.testing.assert_array_equal(row[:PERCEPTUAL_BYTES], expected)


@pytest.mark.parametrize("name", [name for name in CHANGES if name[:3] not in ("12.", "15 ")])
def test_a_changed_copy_is_the_same_picture(name: str, drawings: list[Image.Image], hashes: np.ndarray) -> None:
    copies = hash_rows(image_hashes(CHANGES[name](image)) for image in drawings)
    assert distances_to_originals(hashes, copies).max() <= SAME_DISTANCE


def test_it_does_not_matter_which_of_two_is_the_crop(hashes: np.ndarray, drawings: list[Image.Image]) -> None:
    crops = hash_rows(image_hashes(CHANGES["mirrored, 10 % off every side"](image)) for image in drawings)
    np.testing.assert_array_equal(distances_to_originals(hashes, crops), distances_to_originals(crops, hashes))


def test_rounding_tells_nothing_about_flat_and_symmetric_pictures() -> None:
    flat = [Image.new("RGB", (300, 200), (level, level, level)) for level in (0, 100, 101, 255)]
    assert len({image_hashes(image) for image in flat[1:]}) == 1
    half = Image.effect_noise((100, 200), 60).convert("RGB")
    symmetric = Image.new("RGB", (200, 200))
    symmetric.paste(half)
    symmetric.paste(ImageOps.mirror(half), (100, 0))
    odd = np.unpackbits(np.frombuffer(image_hashes(symmetric)[:32], np.uint8)).reshape(16, 16)[:, 1::2]
    assert len(set(odd.ravel())) == 1


@pytest.mark.parametrize("options", [{}, {"known": 130}, {"known": 130, "within": False}])
def test_pairs_are_those_of_a_plain_search(options: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_card.curate.duplicates._BLOCK", (16, 64))
    # Copies of a few, one window of one being the whole of another, straight or mirrored, and blurred by some bits.
    rng = np.random.default_rng(8)
    bits = np.unpackbits(_noise(200).reshape(200, len(WINDOWS), 32), axis=2)
    mirror = np.tile(np.arange(16) % 2, 16).astype(np.uint8)
    for one, other in rng.integers(0, 200, (300, 2)):
        bits[one, 0] = bits[other, rng.integers(len(WINDOWS))] ^ (rng.random(256) < rng.random() / 2)
        bits[one, 0] ^= mirror * rng.integers(2, dtype=np.uint8)
    whole = bits[:, 0].astype(int)
    expected = np.full((200, 200), 256)
    for window in bits.transpose(1, 0, 2).astype(int):
        for turned in (window, window ^ mirror):
            distances = np.abs(whole[:, None] - turned).sum(axis=2)
            expected = np.minimum(expected, np.minimum(distances, distances.T))
    known = options.get("known", 0)
    asked = {
        (first, second): expected[first, second]
        for second in range(known, 200)
        for first in range(second if options.get("within", True) else known)
        if expected[first, second] <= SPLIT_DISTANCE
    }
    assert len(asked) > 20
    rows = np.packbits(bits, axis=2).reshape(200, HASH_BYTES)
    assert _pairs(rows, **options) == asked


def test_all_pairs_at_the_very_distance_are_found() -> None:
    rng = np.random.default_rng(8)
    copies = np.zeros((2000, 256), np.uint8)
    for row in copies:
        row[rng.choice(256, SPLIT_DISTANCE, replace=False)] = 1
    original = bytes(PERCEPTUAL_BYTES)
    rows = hash_rows([original, *(row.tobytes() for row in np.packbits(copies, axis=1))])
    assert sum(len(first) for first, _, _ in near_pairs(rows, known=1, within=False)) >= 1999


def test_an_old_perceptual_hash_finds_copies_and_what_it_was_cut_from(
    drawings: list[Image.Image], hashes: np.ndarray
) -> None:
    old = hash_rows(row[:PERCEPTUAL_BYTES].tobytes() for row in hashes)
    assert old.shape == hashes.shape
    assert distances_to_originals(old, hashes).max() == 0
    mirrored = hash_rows(image_hashes(ImageOps.mirror(image)) for image in drawings)
    assert distances_to_originals(old, mirrored).max() <= SAME_DISTANCE
    crops = hash_rows(image_hashes(CHANGES["10.0% off every side"](image))[:PERCEPTUAL_BYTES] for image in drawings)
    assert distances_to_originals(crops, hashes).max() <= SAME_DISTANCE


def test_groups_chain_through_neighbours() -> None:
    rows = _rows_with_bits_set([0, 120, 60])
    assert len(set(near_groups(rows, near_pairs(rows)))) == 1
    assert len(set(near_groups(rows[:2], near_pairs(rows[:2])))) == 2


def test_groups_are_those_of_all_pairs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    bits = np.unpackbits(_noise(100)[:, :32], axis=1)[rng.integers(0, 100, 300)] ^ (rng.random((300, 256)) < 0.11)
    rows = hash_rows(row.tobytes() for row in np.packbits(bits, axis=1))
    pairs = list(_pairs(rows))
    near = np.zeros((300, 300), bool)
    near[tuple(np.transpose(pairs))] = True
    expected = connected_components(near, directed=False)[1]
    assert 50 < len(set(expected)) < 250
    monkeypatch.setattr("dataset_card.curate.duplicates._PAIRS_AT_ONCE", 20)
    monkeypatch.setattr("dataset_card.curate.duplicates._BLOCK", (16, 64))
    groups = near_groups(rows, near_pairs(rows))
    assert len(set(zip(groups, expected, strict=True))) == len(set(groups)) == len(set(expected))


def test_no_pictures_no_pairs() -> None:
    assert _pairs(hash_rows([])) == {}
    assert len(near_groups(hash_rows([]), [])) == 0
    assert _pairs(_noise(3), known=3) == {}


@pytest.mark.parametrize("flipped", [0, 25])
def test_thousands_of_one_look_fill_no_memory(flipped: int) -> None:
    # 3,000 that are all near each other: 4.5 million pairs, 76 MB as a list.
    rng = np.random.default_rng(8)
    bits = np.zeros((3000, 256), np.uint8)
    for row in bits:
        row[rng.choice(256, flipped, replace=False)] = 1
    rows = hash_rows(row.tobytes() for row in np.packbits(bits, axis=1))
    tracemalloc.start()
    assert len(set(near_groups(rows, near_pairs(rows)))) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256_000_000


def test_the_estimated_distance_falls_where_unrelated_pictures_are_alike() -> None:
    rng = np.random.default_rng(8)
    labels = [str(index % 4) for index in range(600)]
    apart = _noise(600)
    assert estimate_distance(apart, labels) == SPLIT_DISTANCE
    # Bits that are set in most pictures: unrelated ones come within 60 of 256 bits.
    alike = np.packbits(rng.random((600, 8 * HASH_BYTES)) < 0.26, axis=1)
    closest = min(distance for (one, other), distance in _pairs(alike, 80).items() if labels[one] != labels[other])
    estimate = estimate_distance(alike, labels)
    assert SAME_DISTANCE < closest - 8 <= estimate <= closest + 2 < SPLIT_DISTANCE
    # Twenty pictures with two labels say nothing about unrelated ones.
    mistaken = alike.copy()
    mistaken[1:41:2] = mistaken[0:40:2]
    assert abs(estimate_distance(mistaken, labels) - estimate) <= 1


def test_without_pairs_of_two_classes_nothing_is_estimated() -> None:
    assert estimate_distance(_noise(500), ["kathak"] * 500) == SPLIT_DISTANCE
    assert estimate_distance(_noise(6), list("ababab")) == SPLIT_DISTANCE
    assert estimate_distance(hash_rows([]), []) == SPLIT_DISTANCE


@pytest.mark.shared
def test_photographs() -> None:
    folders = [SHARED / "data" / name for name in ("dances", "dances_b", "dances_c")]
    paths = [path for folder in folders for path in sorted(folder.glob("*/*.jpg"))]
    hashes = hash_rows(image_hashes(open_image(path)) for path in paths)
    chosen = random.Random(8).sample(range(len(paths)), 60)
    for name in ("10.0% off every side", "5.0% off every side", "mirrored", "mirrored, 10 % off every side"):
        copies = hash_rows(image_hashes(CHANGES[name](open_image(paths[index]))) for index in chosen)
        assert (distances_to_originals(hashes[chosen], copies) <= SAME_DISTANCE).mean() >= 0.9, name
    pairs = _pairs(hashes)
    assert not [distance for distance in pairs.values() if SAME_DISTANCE < distance <= 60]
    # One photograph came with two labels; every other pair was looked at and shows one picture, or one performance.
    assert len(pairs) == 55
    across = {frozenset(paths[index].name for index in pair) for pair in pairs if _differ(paths, *pair)}
    assert across == {frozenset({name, "e21b5524e287.jpg"}) for name in ("497.jpg", "503.jpg")}


def _differ(paths: list[Path], first: int, second: int) -> bool:
    return paths[first].parent.name != paths[second].parent.name
