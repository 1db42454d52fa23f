"""The leak report: measured on the finished rows, whatever the way they were split."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from dataset_card.choosing.duplicates import NEAR_DISTANCE, pixel_names
from dataset_card.choosing.groups import event_of
from dataset_card.writing.tables import Row

_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Leaks:
    """What two splits share.

    Attributes:
        left: One split.
        right: The other.
        exact: Pictures of the left one whose pixels are in the right one, too.
        near: Pictures of the left one with a near-duplicate in the right one.
        events: Events, each one photographer's, that have pictures in both.
        closest: Bits of 256 between the perceptual hashes of the two most alike.
    """

    left: str
    right: str
    exact: int
    near: int
    events: int
    closest: int


def leak_report(rows: dict[str, list[Row]]) -> list[Leaks]:
    """Compares every two splits, picture by picture."""
    photos = [row.photo for split in rows.values() for row in split]
    pixels = dict(zip((photo.sha256 for photo in photos), pixel_names(photos), strict=True))
    return [_compare(left, right, rows[left], rows[right], pixels) for left, right in combinations(rows, 2)]


def _compare(left: str, right: str, ours: list[Row], theirs: list[Row], pixels: dict[str, str]) -> Leaks:
    shown = {pixels[row.photo.sha256] for row in theirs}
    distances = _nearest(_hashes(ours), _hashes(theirs))
    return Leaks(
        left,
        right,
        exact=sum(pixels[row.photo.sha256] in shown for row in ours),
        near=int((distances <= NEAR_DISTANCE).sum()),
        events=len(_events(ours) & _events(theirs)),
        closest=int(distances.min()),
    )


def _events(rows: list[Row]) -> set[str]:
    return {event for row in rows if (event := event_of(row.photo.label, row.provenance))}


def _hashes(rows: list[Row]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join(row.photo.perceptual_hash for row in rows), np.uint64).reshape(len(rows), -1)


def _nearest(ours: npt.NDArray[np.uint64], theirs: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Returns for each of our hashes the Hamming distance to the nearest of theirs, in bits."""
    nearest = [
        np.bitwise_count(ours[start : start + _ROWS_AT_ONCE, None] ^ theirs[None]).sum(2, dtype=np.uint16).min(1)
        for start in range(0, len(ours), _ROWS_AT_ONCE)
    ]
    return np.concatenate(nearest).astype(np.int64)
