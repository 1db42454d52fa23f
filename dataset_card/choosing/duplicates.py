"""Which photographs are the same picture, to the pixel or to the eye."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dataset_card.reading.images import Photo, pixels_sha256
from dataset_card.reading.rejected import Rejected

NEAR_DISTANCE = 70
"""Bits of 256 within which two perceptual hashes mean one picture.

Measured on 291 photographs of dancers: unrelated pictures differ by 88 bits or more (99 % by more than 105); the
same picture scaled to half, saved at JPEG quality 30, made 30 % brighter, cropped by 2.5 % on every side or put into
a frame differs by at most 4, 8, 28, 58 and 64.
"""

# A block of distances: its words, 8 MB, stay in the cache of a core.
_BLOCK = (64, 4096)
_BLOCKS_AT_ONCE = 16
# Pairs that are kept before they are united, some tens of megabytes.
_PAIRS_AT_ONCE = 1_000_000


def pixel_names(photos: Sequence[Photo]) -> list[str]:
    """Names pictures by their pixels: among those given, two have one name if and only if their pixels are equal.

    Only files that differ and yet look the same are read again.

    Raises:
        ChangedFileError: A file is not the one that was inspected.
    """
    alike: dict[tuple[int, int, bytes], dict[str, Photo]] = defaultdict(dict)
    for photo in photos:
        alike[photo.width, photo.height, photo.perceptual_hash][photo.sha256] = photo
    doubtful = [photo for files in alike.values() if len(files) > 1 for photo in files.values()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = pool.map(pixels_sha256, doubtful)
        names = dict(zip((photo.sha256 for photo in doubtful), hashes, strict=True))
    return [names.get(photo.sha256, photo.sha256) for photo in photos]


def exact_duplicates(
    photos: Sequence[Photo], preferred: Sequence[tuple[bool, ...]], given: Sequence[str]
) -> tuple[list[bool], list[Rejected]]:
    """Finds pixel-identical pictures and keeps one of each, in every split that was given.

    Args:
        photos: The pictures.
        preferred: For every picture what speaks for keeping it rather than a copy, most important first.
        given: For every picture the split that it came in, empty where it has none yet.

    Returns:
        For every picture whether it may stay, and a line for each that must go.
    """
    pixels = dict(zip((photo.sha256 for photo in photos), pixel_names(photos), strict=True))
    names = [(pixels[photo.sha256], split) for photo, split in zip(photos, given, strict=True)]
    first: dict[tuple[str, str], Photo] = {}
    # Last the smallest hash, so that the choice does not depend on the order of the files.
    ranked = sorted(
        zip(photos, preferred, names, strict=True),
        key=lambda each: ([not good for good in each[1]], each[0].sha256, each[0].path),
    )
    for photo, _, name in ranked:
        first.setdefault(name, photo)
    stay = [photo is first[name] for photo, name in zip(photos, names, strict=True)]
    gone = [
        Rejected(photo.path, photo.label, "exact duplicate", f"of {first[name].path.name}", photo.sha256)
        for photo, name, stays in zip(photos, names, stay, strict=True)
        if not stays
    ]
    return stay, gone


def near_duplicate_pairs(
    hashes: Sequence[bytes], distance: int = NEAR_DISTANCE
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Finds the pairs of perceptual hashes that lie close, block by block: the memory does not grow with the pairs.

    Args:
        hashes: 32 bytes each.
        distance: Largest Hamming distance, in bits of 256.

    Yields:
        The first and the second positions of some pairs, first < second.
    """
    if not hashes:
        return
    words = np.frombuffer(b"".join(hashes), np.uint64).reshape(len(hashes), -1).T.copy()
    height, width = _BLOCK
    corners = [(top, left) for top in range(0, len(hashes), height) for left in range(top, len(hashes), width)]

    def search(corner: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        top, left = corner
        different = words[:, top : top + height, None] ^ words[:, None, left : left + width]
        near = np.bitwise_count(different).sum(axis=0, dtype=np.uint16) <= distance
        first, second = np.nonzero(np.triu(near, k=1) if top == left else near)
        return first + top, second + left

    # Counting bits beats a matrix product of +-1 vectors by two, and does not depend on how BLAS uses threads.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(corners), _BLOCKS_AT_ONCE):
            yield from pool.map(search, corners[start : start + _BLOCKS_AT_ONCE])


def near_duplicate_groups(photos: Sequence[Photo], distance: int = NEAR_DISTANCE) -> list[str]:
    """Groups pictures whose perceptual hashes lie close, directly or through others.

    Args:
        photos: The pictures, in any order: it does not change the groups.
        distance: Largest Hamming distance, in bits of 256, between two neighbours of one group.

    Returns:
        For every picture its group's name: the first 16 hex digits of the group's smallest SHA-256.
    """
    hashes = sorted({photo.perceptual_hash for photo in photos})
    group_of = dict(zip(hashes, _connected(hashes, distance).tolist(), strict=True))
    smallest: dict[int, str] = {}
    for photo in photos:
        group = group_of[photo.perceptual_hash]
        smallest[group] = min(smallest.get(group, photo.sha256), photo.sha256)
    return [smallest[group_of[photo.perceptual_hash]][:16] for photo in photos]


def _connected(hashes: list[bytes], distance: int) -> np.ndarray:
    """Numbers the connected components of different hashes, never holding more than some of the pairs."""
    component = np.arange(len(hashes))
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    count = 0
    for first, second in near_duplicate_pairs(hashes, distance):
        apart = component[first] != component[second]
        waiting.append((first[apart], second[apart]))
        count += int(np.count_nonzero(apart))
        if count > _PAIRS_AT_ONCE:
            component, waiting, count = _unite(component, waiting), [], 0
    return _unite(component, waiting)


def _unite(component: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    if not pairs:
        return component
    first, second = (component[np.concatenate(side)] for side in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(component), len(component)))
    return connected_components(graph, directed=False)[1][component]
