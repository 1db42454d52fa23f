"""Which photographs are the same picture, to the pixel or to the eye."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dataset_card.images import Photo
from dataset_card.rejected import Rejected

NEAR_DISTANCE = 52
"""Bits of 256 within which two perceptual hashes mean one picture.

Measured on 291 photographs of dancers: unrelated pictures differ by 88 bits or more (99 % by more than 105);
the same picture scaled to half, saved at JPEG quality 30, made 30 % brighter or cropped by 2 % on every side differs
by at most 4, 8, 28 and 48. One copy with a frame drawn around it differs by 64 and is not found.
"""

# A block of distances: its words, 8 MB, stay in the cache of a core.
_BLOCK = (64, 4096)
_BLOCKS_AT_ONCE = 16
# Pairs that are kept before they are united, some tens of megabytes.
_PAIRS_AT_ONCE = 1_000_000


def drop_exact_duplicates(photos: Sequence[Photo]) -> tuple[list[Photo], list[Rejected]]:
    """Keeps one of each set of pixel-identical pictures, and none where their labels disagree.

    Raises:
        ChangedFileError: A file is not the one that was inspected.
    """
    kept: list[Photo] = []
    rejected: list[Rejected] = []
    for copies in _same_pixels(photos):
        labels = sorted({photo.label for photo in copies})
        # The smallest hash stays, so that the choice does not depend on the order of the files.
        copies.sort(key=lambda photo: (photo.sha256, photo.path))
        if len(labels) == 1:
            kept.append(copies[0])
            dropped, reason, detail = copies[1:], "exact duplicate", f"of {copies[0].path.name}"
        else:
            dropped, reason, detail = copies, "same picture under several labels", ", ".join(labels)
        rejected += [Rejected(photo.path, photo.label, reason, detail) for photo in dropped]
    return kept, rejected


def _same_pixels(photos: Sequence[Photo]) -> Iterator[list[Photo]]:
    """Divides pictures into sets of equal pixels, reading again only files that differ and yet look the same."""
    alike: dict[tuple[int, int, bytes], dict[str, list[Photo]]] = defaultdict(lambda: defaultdict(list))
    for photo in photos:
        alike[photo.width, photo.height, photo.perceptual_hash][photo.sha256].append(photo)
    for files in alike.values():
        if len(files) == 1:
            yield from files.values()
            continue
        same: dict[str, list[Photo]] = defaultdict(list)
        for copies in files.values():
            same[copies[0].pixels_sha256] += copies
        yield from same.values()


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
