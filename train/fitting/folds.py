"""Grouped, stratified folds: every picture is held out once, and none that looks like it is learned from meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from files.errors import UserError

# One part in so many of what a fold learns from is what it is validated by.
_PARTS = 6


class FoldsError(UserError):
    """Pictures that can't be dealt into as many folds."""


@dataclass(frozen=True)
class Fold:
    """Indices of the pictures of one fold; no group is in two of the three.

    Attributes:
        train: To learn from.
        validation: To choose the best epoch by.
        held_out: To be judged on.
    """

    train: list[int]
    validation: list[int]
    held_out: list[int]


def deal_folds(
    labels: Sequence[int], groups: Sequence[str], label_names: Sequence[str], folds: int, seed: int
) -> list[Fold]:
    """Deals pictures into folds by scikit-learn's StratifiedGroupKFold; every fold learns and validates every class.

    Args:
        labels: The class of every picture, its number.
        groups: The group of every picture: pictures of one group never part.
        label_names: Class names, in the order of their numbers.
        folds: How many.
        seed: Another seed deals anew.

    Raises:
        FoldsError: A class has too few groups; says which, and how many would do.
    """
    label, group = np.asarray(labels), np.asarray(groups)
    counts = {name: len(set(group[label == number])) for number, name in enumerate(label_names)}
    if few := {name: count for name, count in counts.items() if count < folds}:
        found = ", ".join(f"{name} has {count}" for name, count in few.items())
        raise FoldsError(
            f"folds={folds} needs at least {folds} different pictures of every class (near-duplicates count as one), "
            f"but {found}: add pictures, or lower folds (not below 3)"
        )
    dealt = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(label, label, group)
    return [_with_validation(rest, held_out, label, group, label_names, seed) for rest, held_out in dealt]


def thin(fold: Fold, fraction: float, labels: Sequence[int], groups: Sequence[str], seed: int) -> Fold:
    """Returns a fold that learns from a part of its training pictures; validation and what it holds out stay.

    Of every class that share of its groups stays, one at least. What a smaller fraction keeps, a larger one does, too.

    Args:
        fold: The whole fold.
        fraction: Above 0, up to 1.
        labels: The class of every picture.
        groups: Its group.
        seed: Another seed keeps others.
    """
    label, group = np.asarray(labels)[fold.train], np.asarray(groups)[fold.train]
    chance = np.random.default_rng(seed)
    kept: set[str] = set()
    for number in np.unique(label):
        of_class = chance.permutation(np.unique(group[label == number]))
        kept |= set(of_class[: max(1, round(fraction * len(of_class)))].tolist())
    return replace(fold, train=[index for index, name in zip(fold.train, group, strict=True) if name in kept])


def _with_validation(
    rest: np.ndarray, held_out: np.ndarray, label: np.ndarray, group: np.ndarray, label_names: Sequence[str], seed: int
) -> Fold:
    """Parts what a fold learns from into train and validation, with every class in both."""
    classes = set(range(len(label_names)))
    of_class = {number: len(set(group[rest][label[rest] == number])) for number in classes}
    parts = min(_PARTS, *of_class.values())
    if parts >= 2:
        inner = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
        for train, validation in inner.split(rest, label[rest], group[rest]):
            if set(label[rest][train]) == set(label[rest][validation]) == classes:
                return Fold(rest[train].tolist(), rest[validation].tolist(), held_out.tolist())
    rarest = label_names[min(of_class, key=lambda number: of_class[number])]
    raise FoldsError(
        f"a fold has too few different pictures of {rarest} to learn from and to validate by: add some, "
        "or take more folds"
    )
