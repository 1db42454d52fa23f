"""Near-duplicates: which pictures are one picture to the eye, mirrored, cropped or framed copies included.

A picture is known by 15 hashes of 256 bits: the perceptual hash of the whole (`imagehash.phash`, the signs of the
lowest 16 x 16 DCT coefficients against their median) and the same hash of 14 windows in it, each the picture with
2.5 to 10 % cut off some sides. A crop is found because its whole equals a window of the picture it was cut from. A
mirrored copy is found because mirroring negates the odd columns of a DCT and leaves the even ones: those 128 bits are
compared as they are and inverted, and the smaller distance counts.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

PERCEPTUAL_BYTES = 32
"""The first bytes of a picture's hashes: the 16 x 16 bits of `imagehash.phash`, row by row."""

WINDOWS = (
    (0, 0, 1, 1),
    *((margin, margin, 1 - margin, 1 - margin) for margin in (0.025, 0.05, 0.075, 0.1)),
    *((margin, 0, 1, 1) for margin in (0.05, 0.1)),
    *((0, margin, 1, 1) for margin in (0.05, 0.1)),
    *((0, 0, 1 - margin, 1) for margin in (0.05, 0.1)),
    *((0, 0, 1, 1 - margin) for margin in (0.05, 0.1)),
    (0.1, 0, 0.9, 1),
    (0, 0.1, 1, 0.9),
)
"""What is hashed of a picture, as fractions of its width and height: left, top, right, bottom. First the whole."""

HASH_BYTES = PERCEPTUAL_BYTES * len(WINDOWS)
"""Bytes that `image_hashes` returns."""

SPLIT_DISTANCE = 70
"""Bits of 256 within which two pictures may be one picture, so that no split may part them.

Measured on 1,288 photographs of dancers from three collections: of 828,828 pairs, 55 lie within 70 bits. All 55,
looked at one by one, show one picture (49, up to 38 bits) or one moment or pose of a performance (6, from 62 bits);
the first unrelated pair is at 72. Of 300 copies each, all are found that were scaled to half (largest distance 4
bits), saved at JPEG quality 30 (8), made 30 % brighter (34), framed by 2.5 % or 5 % (36), mirrored (18), cut by 2.5,
5, 7.5 or 10 % on every side (14; mirrored 24), by 5 or 10 % on one side (12) or by 10 % on two opposite sides (12).
Larger crops escape step by step: 299 of 300 are found at 12.5 % off every side, 247 at 15 % off the bottom.
"""

SAME_DISTANCE = 40
"""Bits of 256 within which two pictures are the same picture, for a takedown or a conflict of labels.

For direct neighbours only, never for groups. All copies listed above lie within it, crops larger than 10 % aside.
Among the 1,288 photographs, no pair lies between 39 and 61 bits. Among 480 drawings, which share poses and
backgrounds, the closest two lie at 42 and 52 bits, 10 pairs within 70, none of them of two classes.
"""

_SIDE = 64
_FREQUENCIES = 16
_BITS = _FREQUENCIES * _FREQUENCIES
# Rows and columns of a block of pairs. Smaller ones cost more in Python than they gain in the cache.
_BLOCK = (64, 4096)
_BLOCKS_AT_ONCE = 16
# Pairs that are kept before they are united, some tens of megabytes.
_PAIRS_AT_ONCE = 1_000_000
# The estimate of the distance: pictures of the sample, and how many of their pairs are the closest ones.
_SAMPLE = 2000
_TAIL = 1e-3
_TAIL_PAIRS = 100


def _cosines(start: float, end: float) -> npt.NDArray[np.float64]:
    """Returns the (frequencies, pixels) matrix that takes the DCT-II of a part of a line of pixels."""
    pixels = np.arange(_SIDE + 1) / _SIDE
    low, high = np.clip(pixels[:-1], start, end), np.clip(pixels[1:], start, end)
    phase = ((low + high) / 2 - start) / (end - start)
    return np.cos(np.pi * np.arange(_FREQUENCIES)[:, None] * phase) * (high - low) * _SIDE


_ROWS = np.stack([_cosines(top, bottom) for _, top, _, bottom in WINDOWS])
_COLUMNS = np.stack([_cosines(left, right) for left, _, right, _ in WINDOWS])


def image_hashes(image: Image.Image) -> bytes:
    """Computes everything by which a picture is found again.

    Args:
        image: An upright picture.

    Returns:
        `HASH_BYTES` bytes: the 32 of `imagehash.phash(image, hash_size=16)`, then 32 for each further window.
    """
    # Averaged down first, to three times the size that is hashed: a fifth of the time, for a bit or two. The box
    # leaves out what of the last column and row lies beyond the picture.
    factor = max(1, min(image.size) // (3 * _SIDE))
    box = (0, 0, image.width / factor, image.height / factor)
    small = image.reduce(factor).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box)
    partly = _ROWS.reshape(-1, _SIDE) @ np.asarray(small, np.float64)
    coefficients = partly.reshape(len(WINDOWS), _FREQUENCIES, _SIDE) @ _COLUMNS.transpose(0, 2, 1)
    # Rounded, lest a flat or symmetric picture be known by the rounding errors of its zeros.
    coefficients = coefficients.reshape(len(WINDOWS), _BITS).round(6)
    middle = np.partition(coefficients, (_BITS // 2 - 1, _BITS // 2), axis=1)
    median = middle[:, _BITS // 2 - 1 : _BITS // 2 + 1].mean(axis=1, keepdims=True)
    return np.packbits(coefficients > median, axis=1).tobytes()


def hash_rows(hashes: Iterable[bytes]) -> npt.NDArray[np.uint8]:
    """Puts hashes one under the other for the search.

    A perceptual hash alone, 32 bytes from an older file, stands in for all windows: such a picture is found among its
    copies, mirrored ones included, and as a crop of another picture, yet no crop of it is found.

    Args:
        hashes: `HASH_BYTES` or `PERCEPTUAL_BYTES` bytes each.

    Returns:
        Shape (pictures, HASH_BYTES).
    """
    whole = [each * (HASH_BYTES // len(each)) for each in hashes]
    return np.frombuffer(b"".join(whole), np.uint8).reshape(-1, HASH_BYTES)


def near_pairs(
    hashes: npt.NDArray[np.uint8], distance: int = SPLIT_DISTANCE, known: int = 0, within: bool = True
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8]]]:
    """Finds the pairs of pictures that lie close, block by block: the memory does not grow with the pairs.

    The distance of two pictures is the smallest of 58 Hamming distances: one's whole against the other's whole and
    windows, and the reverse, each as it is and mirrored. Half of the bits are compared first, and the others only
    where the half leaves hope: of pairs exactly at `distance` some 0.01 % are missed, of closer ones less. On two
    cores, 10,000 pictures take 1.2 s and 60,000 some 40 s; memory is 480 bytes a picture twice, and some 20 MB a thread.

    Args:
        hashes: Shape (pictures, HASH_BYTES): see `hash_rows`.
        distance: Largest distance, in bits of 256.
        known: So many pictures at the beginning are not compared with each other, such as those of an earlier build.
        within: Whether the pictures after the known ones are compared with each other. Without, one set is searched
            against another: train against test.

    Yields:
        The first and the second positions of some pairs, first < second, and their distances.
    """
    if not len(hashes):
        return
    words = _words(hashes)
    height, width = _BLOCK
    count = len(hashes)
    rows = range(0, count if within else known, height)
    blocks = [
        (slice(top, min(top + height, rows.stop)), slice(left, min(left + width, count)))
        for top in rows
        for left in range(max(top, known), count, width)
    ]

    def search(block: tuple[slice, slice]) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
        ours, theirs = block
        near, least = _near_in_block(words[:, ours], words[:, theirs], distance)
        first, second = np.divmod(near, theirs.stop - theirs.start)
        first, second = first + ours.start, second + theirs.start
        ordered = first < second
        return first[ordered], second[ordered], least[ordered]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
            yield from pool.map(search, blocks[start : start + _BLOCKS_AT_ONCE])


def _words(hashes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Returns the hashes as words of shape (windows, pictures, 4): even columns in words 0 and 2, odd in 1 and 3.

    Words 0 and 1 have every second frequency in either direction, so that they tell of the other two.
    """
    row, column = np.divmod(np.arange(_BITS), _FREQUENCIES)
    order = np.lexsort((column, row, column % 2, (row + column // 2) % 2))
    words = np.empty((len(WINDOWS), len(hashes), 4), np.uint64)
    for window, packed in enumerate(np.split(hashes, len(WINDOWS), axis=1)):
        words[window] = np.packbits(np.unpackbits(packed, axis=1).take(order, axis=1), axis=1).view(np.uint64)
    return words


def _near_in_block(
    ours: npt.NDArray[np.uint64], theirs: npt.NDArray[np.uint64], distance: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Returns the near pairs of a block as flat positions in it, and their distances."""
    shape = ours.shape[1], theirs.shape[1]
    different = np.empty((2, *shape), np.uint64)
    counts = np.empty((2, *shape), np.uint8)
    mirrored = np.empty(shape, np.uint8)
    least = np.full(ours.shape[1] * theirs.shape[1], 255, np.uint8)
    # How many of the differing bits of a pair at `distance` lie in one half is hypergeometric: four standard
    # deviations above the mean.
    share = distance / _BITS
    half = int(distance / 2 + 4 * np.sqrt(_BITS / 8 * share * (1 - share)))
    comparisons = [(0, window) for window in range(len(WINDOWS))] + [(window, 0) for window in range(1, len(WINDOWS))]
    our_halves, their_halves = (np.ascontiguousarray(words[:, :, :2].transpose(0, 2, 1)) for words in (ours, theirs))
    for left, right in comparisons:
        np.bitwise_xor(our_halves[left, :, :, None], their_halves[right, :, None], out=different)
        even, odd = np.bitwise_count(different, out=counts)
        np.minimum(odd, np.subtract(_BITS // 4, odd, out=mirrored), out=odd)
        # Much faster than `nonzero` of two dimensions.
        hopeful = np.flatnonzero(np.add(even, odd, out=even) <= half)
        first, second = np.divmod(hopeful, shape[1])
        counted = np.bitwise_count(ours[left].take(first, axis=0) ^ theirs[right].take(second, axis=0))
        odd = counted[:, 1] + counted[:, 3]
        found = counted[:, 0] + counted[:, 2] + np.minimum(odd, _BITS // 2 - odd)
        least[hopeful] = np.minimum(least[hopeful], found)
    near = np.flatnonzero(least <= distance)
    return near, least[near]


def near_groups(
    hashes: npt.NDArray[np.uint8], pairs: Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], object]]
) -> npt.NDArray[np.int64]:
    """Groups pictures that are near, directly or through others: single linkage.

    Args:
        hashes: Shape (pictures, HASH_BYTES).
        pairs: What `near_pairs` yields for them.

    Returns:
        For every picture the number of its group.
    """
    group = np.arange(len(hashes))
    waiting: list[tuple[npt.NDArray, npt.NDArray]] = []
    count = 0
    for first, second, _ in pairs:
        apart = group[first] != group[second]
        waiting.append((first[apart], second[apart]))
        count += int(np.count_nonzero(apart))
        if count > _PAIRS_AT_ONCE:
            group, waiting, count = _unite(group, waiting), [], 0
    return _unite(group, waiting)


def _unite(group: npt.NDArray[np.int64], pairs: list[tuple[npt.NDArray, npt.NDArray]]) -> npt.NDArray[np.int64]:
    if not pairs:
        return group
    first, second = (group[np.concatenate(side)] for side in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(group), len(group)))
    return connected_components(graph, directed=False)[1][group]


def estimate_distance(hashes: npt.NDArray[np.uint8], labels: Sequence[object], seed: int = 0) -> int:
    """Estimates the distance for splitting at which one pair of unrelated pictures is to be expected.

    Pictures of different classes are unrelated, but for mistakes. Towards small distances the share of such pairs
    falls exponentially; the tail is fitted to the closest thousandth of them in a sample (peaks over a threshold,
    Pickands 1975, with shape 0) and extended to the number of all pairs. What lies within `SAME_DISTANCE` is taken
    for one picture with two labels, and left out.

    Args:
        hashes: Shape (pictures, HASH_BYTES).
        labels: The class of each picture.
        seed: Of the sample of 2,000 pictures, where there are more.

    Returns:
        Bits of 256, from `SAME_DISTANCE` to `SPLIT_DISTANCE`; the latter where pairs are too few for an estimate.
    """
    classes = np.unique(np.asarray(labels), return_inverse=True)[1]
    count = len(classes)
    chosen = np.random.default_rng(seed).permutation(count)[:_SAMPLE]
    classes = classes[chosen]
    sizes = np.bincount(classes)
    unrelated = (len(classes) ** 2 - int((sizes**2).sum())) // 2
    tail = max(_TAIL_PAIRS, round(_TAIL * unrelated))
    if unrelated < 10 * tail:
        return SPLIT_DISTANCE
    histogram = np.zeros(_BITS, np.int64)
    for first, second, distances in near_pairs(hashes[chosen], _BITS // 2):
        apart = classes[first] != classes[second]
        histogram += np.bincount(distances[apart], minlength=_BITS)
    histogram[: SAME_DISTANCE + 1] = 0
    below = np.cumsum(histogram)
    threshold = int(np.searchsorted(below, tail))
    excess = threshold - np.arange(threshold + 1)
    # Nearly all distances are even: an excess stands for the two bits that begin at it.
    scale = float((histogram[: threshold + 1] * (excess + 1)).sum() / below[threshold])
    expected = below[threshold] / unrelated * count * (count - 1) / 2
    return int(np.clip(threshold - scale * np.log(expected), SAME_DISTANCE, SPLIT_DISTANCE))
