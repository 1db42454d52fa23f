"""Train and validation as one pool: what may be learned from and cleaned. Test has no part in it.

It is split into folds at random, or by a column such as the source of the pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import datasets
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from files.errors import UserError
from train.data import LabelledImages, groups_of, picture_names, values_of
from train.splits import TooFewPicturesError, hold_out

POOLED = ("train", "validation")
# Of what a fold does not hold out.
_VALIDATION = 1 / 6
_MOST_VALUES = 20


class FoldsError(UserError):
    """Too few pictures for as many folds, or a column that makes no folds."""


@dataclass(frozen=True)
class Fold:
    """Indices of the pictures of one fold; no group is in two of the three.

    Attributes:
        train: To learn from.
        validation: To choose the best epoch by.
        held_out: To be judged on.
        value: What these have in the column that folds are made by; empty where folds are drawn.
    """

    train: list[int]
    validation: list[int]
    held_out: list[int]
    value: str = ""


def make_folds(
    labels: Sequence[int], groups: Sequence[str], label_names: Sequence[str], folds: int, seed: int
) -> list[Fold]:
    """Makes folds by scikit-learn's StratifiedGroupKFold; each has every class in train and in validation.

    Args:
        labels: The class of every picture, its number.
        groups: The group of every picture: pictures of one group never part.
        label_names: Class names, in the order of their numbers.
        folds: How many.
        seed: Another seed makes other folds.

    Raises:
        FoldsError: A class has too few groups; says which, and how many would do.
        TooFewPicturesError: What a fold does not hold out has a single group of a class.
    """
    label, group = np.asarray(labels), np.asarray(groups)
    counts = {name: len(set(group[label == number])) for number, name in enumerate(label_names)}
    if few := {name: count for name, count in counts.items() if count < folds}:
        found = ", ".join(f"{name} has {count}" for name, count in few.items())
        raise FoldsError(
            f"folds={folds} needs at least {folds} different pictures of every class (near-duplicates count as one), "
            f"but {found}: add pictures, or lower folds (not below 3)"
        )
    made = []
    for rest, held_out in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(label, label, group):
        train, validation = hold_out(label[rest], group[rest], label_names, _VALIDATION, seed)
        made.append(Fold(rest[train].tolist(), rest[validation].tolist(), held_out.tolist()))
    return made


def make_folds_by(
    column: str,
    values: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[str],
    label_names: Sequence[str],
    seed: int,
) -> list[Fold]:
    """Makes a fold of every value of a column: it is learned from all other values, and judged on this one.

    Pictures whose group reaches into what a fold holds out are left out of what it learns from.

    Args:
        column: Its name, for errors.
        values: The value of every picture.
        labels: The class of every picture, its number.
        groups: The group of every picture.
        label_names: Class names, in the order of their numbers.
        seed: Of the draw of validation from what is learned from.

    Raises:
        FoldsError: There are fewer than two values or too many, pictures without one, or a value without which a
            class is left with too few pictures.
    """
    label, group, value = np.asarray(labels), np.asarray(groups), np.asarray(values)
    found = sorted(set(values))
    if blank := values.count(""):
        raise FoldsError(
            f"folds={column}: {blank} of {len(values)} pictures have no {column}: fill it in, or remove them"
        )
    if not 2 <= len(found) <= _MOST_VALUES:
        some = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise FoldsError(
            f"folds={column} trains a model per {column}, and there are {len(found)} ({some}): give a column with 2 "
            f"to {_MOST_VALUES} values, or a number of folds"
        )
    made = []
    for name in found:
        held_out = np.flatnonzero(value == name)
        rest = np.flatnonzero((value != name) & ~np.isin(group, group[held_out]))
        if not len(rest):
            raise FoldsError(f"folds={column}, without {name}: every other picture is like one of {name}'s")
        try:
            train, validation = hold_out(label[rest].tolist(), group[rest].tolist(), label_names, _VALIDATION, seed)
        except TooFewPicturesError as error:
            raise FoldsError(f"folds={column}, without {name}: {error}") from None
        made.append(Fold(rest[train].tolist(), rest[validation].tolist(), held_out.tolist(), name))
    return made


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
    rng = np.random.default_rng(seed)
    kept: set[str] = set()
    for number in np.unique(label):
        of_class = rng.permutation(np.unique(group[label == number]))
        kept |= set(of_class[: max(1, round(fraction * len(of_class)))].tolist())
    return replace(fold, train=[index for index, name in zip(fold.train, group, strict=True) if name in kept])


@dataclass(frozen=True)
class Pool:
    """The pictures of train and validation, a row each.

    Attributes:
        images: The dataset that they are of.
        rows: Has `image` (undecoded), `label` and maybe more.
        splits: The split of every row.
        sha256: The name of every row, by `picture_names`.
        groups: Rows of one group are near-duplicates, or alike for another reason; where the dataset doesn't tell,
            those with the same name.
    """

    images: LabelledImages
    rows: datasets.Dataset
    splits: list[str]
    sha256: list[str]
    groups: list[str]

    @property
    def labels(self) -> list[int]:
        """The class of every row."""
        return list(self.rows["label"])

    def folds(self, folds: int | str, seed: int) -> list[Fold]:
        """Returns as many folds, drawn (`make_folds`), or one per value of a column (`make_folds_by`)."""
        names = self.images.label_names
        if isinstance(folds, int):
            return make_folds(self.labels, self.groups, names, folds, seed)
        return make_folds_by(folds, values_of(self.rows, folds), self.labels, self.groups, names, seed)

    def learned_in(self, fold: Fold) -> LabelledImages:
        """Returns what a fold learns from and is validated by, as a dataset that holds nothing else."""
        splits = {"train": self.rows.select(fold.train), "validation": self.rows.select(fold.validation)}
        return replace(self.images, splits=splits)


def pool(images: LabelledImages) -> Pool:
    """Pools train and validation, or the one of them that there is; of a dataset with a single split, that one.

    Raises:
        DatasetError: There is none of them, or a row has no label.
    """
    names = list(images.splits) if len(images.splits) == 1 else [name for name in POOLED if name in images.splits]
    parts = [images.split(name) for name in names or POOLED[:1]]
    rows = datasets.concatenate_datasets(parts)
    splits = [name for name, part in zip(names, parts, strict=True) for _ in range(len(part))]
    sha256 = picture_names(rows)
    return Pool(images, rows, splits, sha256, groups_of(rows) or sha256)
