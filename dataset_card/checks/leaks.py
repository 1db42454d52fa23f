"""Pictures and groups that several splits share, and pictures under several labels."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from dataset_card.checks import Result, judge
from dataset_card.checks.opening import OpenDataset
from dataset_card.curate.duplicates import SAME_DISTANCE, estimate_distance, hash_rows, near_pairs

_REMEDY = "leave these out of one of the two splits, or split again by whole groups (`dataset_card build` does)"


def check_leaks(dataset: OpenDataset, table: pd.DataFrame) -> Iterator[Result]:
    """Compares every two pictures, by their pixels and by their hashes."""
    decoded = table[table["reason"] == ""]
    yield from _same_pixels(decoded)
    yield from _near_duplicates(dataset, decoded)
    if dataset.has_text("group"):
        yield _groups(table)


def _same_pixels(decoded: pd.DataFrame) -> Iterator[Result]:
    first = decoded.groupby("pixels", sort=False)["row"].transform("first")
    first_here = decoded.groupby(["pixels", "split"], sort=False)["row"].transform("first")
    is_across, is_inside = (decoded["row"] == first_here) & (first != first_here), decoded["row"] != first_here
    yield judge(
        "same pixels",
        "FOUND",
        (decoded["row"] + " = " + first)[is_across].tolist(),
        what="pictures that are in another split, too",
        advice=_REMEDY,
        fine="no picture is in two splits",
    )
    labelled = decoded[decoded["label"].notna()].drop_duplicates(["pixels", "label"])
    labelled = labelled[labelled["pixels"].duplicated(keep=False)].sort_values("label", kind="stable")
    yield judge(
        "two labels",
        "FOUND",
        [
            f"{' = '.join(same['row'])} ({', '.join(same['label'])})"
            for _, same in labelled.groupby("pixels", sort=False)
        ],
        what="pictures under several labels",
        advice="decide which label is right and keep one",
        fine="no picture has two",
    )
    yield judge(
        "copies",
        "NOTE",
        (decoded["row"] + " = " + first_here)[is_inside].tolist(),
        what="pictures that are in their split more than once",
        advice="keep one of each",
        fine="no picture is twice in a split",
    )


def _near_duplicates(dataset: OpenDataset, decoded: pd.DataFrame) -> Iterator[Result]:
    """Of two pictures that look alike, the one of the later split is reported, with the one it is most like."""
    # Numbers, so that a block of pairs is judged at once. Same pixels have a check of their own.
    split = decoded["split"].map(list(dataset.splits).index).to_numpy(int)
    label, pixels = pd.factorize(decoded["label"])[0], pd.factorize(decoded["pixels"])[0]
    hashes = hash_rows(decoded["hashes"])
    distance = estimate_distance(hashes, label.tolist())
    across, two_labels = _Closest(len(decoded)), _Closest(len(decoded))
    for left, right, bits in near_pairs(hashes, max(distance, SAME_DISTANCE)):
        swap = split[left] > split[right]
        later, earlier = np.where(swap, left, right), np.where(swap, right, left)
        other = pixels[left] != pixels[right]
        across.add(later, earlier, bits, other & (split[left] != split[right]))
        # The distance at which `build` finds labels that contradict each other.
        two_labels.add(later, earlier, bits, other & (label[left] != label[right]) & (bits <= SAME_DISTANCE))
    rows = decoded["row"].tolist()
    yield judge(
        "look-alikes",
        "FOUND",
        across.describe(rows, 0, SAME_DISTANCE),
        what="pictures that look like one of another split, mirrored and cropped copies included",
        advice=_REMEDY,
        fine=f"none within {SAME_DISTANCE} of 256 bits of one of another split",
    )
    # `build` keeps these together to be safe; of two that it did not see together, this is no proof of a fault.
    yield judge(
        "maybe alike",
        "NOTE",
        across.describe(rows, SAME_DISTANCE + 1, distance),
        what="pictures that may look like one of another split",
        advice="look at both: if they show one moment, leave one out",
        fine=f"none within {distance} of 256 bits of one of another split",
    )
    yield judge(
        "alike, two labels",
        "NOTE",
        two_labels.describe(rows, 0, SAME_DISTANCE),
        what="pictures that look like one of another class",
        advice="look at both: one label may be wrong",
        fine="no picture looks like one of another class",
    )


class _Closest:
    """For every picture the one most like it, out of any number of pairs, in memory for the pictures alone."""

    def __init__(self, count: int) -> None:
        self._bits = np.full(count, 255, np.uint8)
        self._like = np.zeros(count, np.int64)

    def add(
        self,
        picture: npt.NDArray[np.int64],
        like: npt.NDArray[np.int64],
        bits: npt.NDArray[np.uint8],
        where: npt.NDArray[np.bool_],
    ) -> None:
        better = np.flatnonzero(where & (bits < self._bits[picture]))
        # The closest last: of several values for one place, numpy keeps the last.
        order = better[np.lexsort((like[better], bits[better]))[::-1]]
        self._bits[picture[order]], self._like[picture[order]] = bits[order], like[order]

    def describe(self, rows: list[str], least: int, most: int) -> list[str]:
        """Returns a line per picture whose closest is `least` to `most` bits away, the most alike first."""
        order = np.argsort(self._bits, kind="stable")
        order = order[(self._bits[order] >= least) & (self._bits[order] <= most)]
        return [f"{rows[at]} ~ {rows[self._like[at]]} ({self._bits[at]} bits)" for at in order]


def _groups(table: pd.DataFrame) -> Result:
    sides = table[table["group"] != ""].drop_duplicates(["group", "split"])
    divided = sides[sides["group"].duplicated(keep=False)].groupby("group", sort=False)["row"].agg(", ".join)
    return judge(
        "groups",
        "FOUND",
        [f"{group}: {rows}" for group, rows in divided.items()],
        what="groups in several splits",
        advice=_REMEDY,
        fine=f"{sides['group'].nunique()}, each in one split",
    )
