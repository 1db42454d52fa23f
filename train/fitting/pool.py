"""Train and validation as one pool: what may be learned from and cleaned. Test has no part in it."""

import hashlib
from dataclasses import dataclass, replace

import datasets

from train.fitting.data import LabelledImages, image_bytes
from train.fitting.folds import Fold

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
