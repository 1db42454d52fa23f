"""Is what a model is judged on hidden from what it learns from?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from dataset_card.checks.opening import OpenDataset
from dataset_card.checks.pictures import Look, Picture
from dataset_card.checks.result import Result, judge
from dataset_card.choosing.duplicates import near_duplicate_pairs

_REMEDY = "leave these out of one of the two splits, or split again by whole groups (`dataset_card build` does)"


def check_leaks(dataset: OpenDataset, pictures: Sequence[Picture]) -> Iterator[Result]:
    """Looks for pictures and groups that are on two sides, and for pictures under two labels."""
    seen = [(picture, picture.look) for picture in pictures if picture.look]
    yield from _same_pixels(seen)
    yield from _look_alikes(list(dataset.splits), seen)
    if dataset.has_text("group"):
        yield _groups(pictures)


def _same_pixels(seen: Sequence[tuple[Picture, Look]]) -> Iterator[Result]:
    copies: dict[str, list[Picture]] = defaultdict(list)
    for picture, look in seen:
        copies[look.pixels_hash].append(picture)
    across, inside, two_labels = [], [], []
    for same in copies.values():
        first_of: dict[str, Picture] = {}
        for picture in same:
            if twin := first_of.get(picture.split):
                inside.append(f"{picture.where} = {twin.where}")
            elif first_of:
                across.append(f"{picture.where} = {same[0].where}")
            first_of.setdefault(picture.split, picture)
        labels = sorted({p.label for p in same if p.label is not None})
        if len(labels) > 1:
            two_labels.append(f"{same[0].where} = {same[1].where} ({', '.join(labels)})")
    yield judge(
        "same pixels",
        "FOUND",
        across,
        what="pictures that are in another split, too",
        advice=_REMEDY,
        fine="no picture is in two splits",
    )
    yield judge(
        "two labels",
        "FOUND",
        two_labels,
        what="pictures under several labels",
        advice="decide which label is right and keep one",
        fine="no picture has two",
    )
    yield judge(
        "copies",
        "NOTE",
        inside,
        what="pictures that are in their split more than once",
        advice="keep one of each",
        fine="no picture is twice in a split",
    )


def _look_alikes(splits: list[str], seen: Sequence[tuple[Picture, Look]]) -> Iterator[Result]:
    """Compares every two pictures; of two alike, the one of the later split counts."""
    # Numbers, so that a block of pairs is judged at once. Same pixels have a check of their own.
    split = np.array([splits.index(picture.split) for picture, _ in seen])
    label = np.unique([picture.label or "" for picture, _ in seen], return_inverse=True)[1]
    pixels = np.unique([look.pixels_hash for _, look in seen], return_inverse=True)[1]
    across: dict[int, int] = {}
    two_labels: dict[int, int] = {}
    for left, right in near_duplicate_pairs([look.perceptual_hash for _, look in seen]):
        other = pixels[left] != pixels[right]
        for found, differing in ((across, split), (two_labels, label)):
            pairs = other & (differing[left] != differing[right])
            swap = split[left[pairs]] > split[right[pairs]]
            later = np.where(swap, left[pairs], right[pairs])
            earlier = np.where(swap, right[pairs], left[pairs])
            for index in np.unique(later, return_index=True)[1]:
                found.setdefault(int(later[index]), int(earlier[index]))

    def named(found: dict[int, int]) -> list[str]:
        return [f"{seen[of][0].where} ~ {seen[like][0].where}" for of, like in sorted(found.items())]

    yield judge(
        "look-alikes",
        "FOUND",
        named(across),
        what="pictures that look like one of another split",
        advice=_REMEDY,
        fine="no picture looks like one of another split",
    )
    yield judge(
        "alike, two labels",
        "NOTE",
        named(two_labels),
        what="pictures that look like one of another class",
        advice="look at both: one label may be wrong",
        fine="no picture looks like one of another class",
    )


def _groups(pictures: Sequence[Picture]) -> Result:
    sides: dict[str, dict[str, str]] = defaultdict(dict)
    for picture in pictures:
        if picture.group:
            sides[picture.group].setdefault(picture.split, picture.where)
    divided = [f"{group}: {', '.join(of.values())}" for group, of in sides.items() if len(of) > 1]
    return judge(
        "groups",
        "FOUND",
        divided,
        what="groups on two sides",
        advice=_REMEDY,
        fine=f"{len(sides)}, each in one split",
    )
