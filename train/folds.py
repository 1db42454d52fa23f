"""Train and validation as one pool: what may be learned from and cleaned. Test has no part in it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import datasets
import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from files.errors import UserError
from train.data import LabelledImages, image_bytes

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


POOLED = ("train", "validation")


@dataclass(frozen=True)
class Pool:
    """The pictures of train and validation, a row each.

    Attributes:
        images: The dataset that they are of.
        rows: Has `image` (upright RGB), `label` and maybe more.
        splits: The split of every row.
        sha256: The name of every row: that of the file as it was collected or, where the dataset doesn't tell, that
            of the picture's bytes.
        groups: Rows of one group are near-duplicates, or alike for another reason; where the dataset doesn't tell,
            those with the same bytes.
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

    def learned_in(self, fold: Fold) -> LabelledImages:
        """Returns what a fold learns from and is validated by, as a dataset that holds nothing else."""
        splits = {"train": self.rows.select(fold.train), "validation": self.rows.select(fold.validation)}
        return replace(self.images, splits=splits)


def pool(images: LabelledImages) -> Pool:
    """Pools train and validation, or the one of them that there is.

    Raises:
        DatasetError: There is neither, or a row has no label.
    """
    names = [name for name in POOLED if name in images.splits] or ["train"]
    parts = [images.split(name) for name in names]
    rows = datasets.concatenate_datasets(parts)
    splits = [name for name, part in zip(names, parts, strict=True) for _ in range(len(part))]
    if "sha256" in rows.column_names:
        sha256 = list(rows["sha256"])
    else:
        raw = rows.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))
        sha256 = [hashlib.sha256(image_bytes(row["image"])).hexdigest() for row in raw]
    groups = list(rows["group"]) if "group" in rows.column_names else sha256
    return Pool(images, rows, splits, sha256, groups)
