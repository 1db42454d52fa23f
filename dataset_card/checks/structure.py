"""Splits, columns, class names and labels, and whether every class has enough pictures in every split."""

import re
from collections import Counter
from collections.abc import Iterator

import datasets
import pandas as pd

from dataset_card.checks import Result, judge
from dataset_card.checks.opening import OpenDataset
from dataset_card.curate.splits import SPLITS
from dataset_card.listing import SPLIT_FOLDERS
from dataset_card.write.parquet import dataset_features

FEW = 10
"""A class with fewer pictures in a split can neither be learned nor judged there: one answer is over 10 points."""
UNEVEN = 3
"""Times as many pictures in the largest class as in the smallest."""


def check_structure(dataset: OpenDataset, table: pd.DataFrame) -> Iterator[Result]:
    """Looks at splits, columns, class names, labels and the column `sha256`."""
    yield _splits(dataset, table)
    yield from _columns(dataset)
    if dataset.label:
        yield _class_names(dataset)
        wrong = table[table["label_fault"] != ""]
        yield judge(
            "labels",
            "FOUND",
            (wrong["row"] + ": " + wrong["label_fault"]).tolist(),
            what="rows without a valid label",
            advice="give these rows a label or leave them out",
            fine="every row has a valid one",
        )
    if dataset.has_text("sha256"):
        yield _sha256(table)


def check_balance(dataset: OpenDataset, table: pd.DataFrame) -> Iterator[Result]:
    """Counts pictures per class and split."""
    totals = table["label"].value_counts()
    if totals.empty:
        return
    classes = list(dict.fromkeys(dataset.label_names or sorted(totals.index)))
    cells = pd.MultiIndex.from_product([list(dataset.splits), classes])
    counts = table.groupby(["split", "label"]).size().reindex(cells, fill_value=0)
    yield judge(
        "missing",
        "FOUND",
        [f"no {label} in {split}" for split, label in counts.index[counts == 0]],
        what="classes that a split lacks",
        advice="add pictures, split again, or remove the class",
        fine="every class is in every split",
    )
    few = counts[(counts > 0) & (counts < FEW)].sort_values(kind="stable")
    yield judge(
        "few",
        "NOTE",
        [f"{count} x {label} in {split}" for (split, label), count in few.items()],
        what=f"classes with under {FEW} pictures in a split",
        advice="add pictures before you trust a number per class",
        fine=f"{counts.min()} or more everywhere",
    )
    most, least = totals.iloc[0], totals.iloc[-1]
    ratio = f"largest to smallest {most / least:.1f} ({totals.index[0]} {most}, {totals.index[-1]} {least})"
    yield judge(
        "ratio",
        "NOTE",
        [ratio] if most > UNEVEN * least else [],
        advice="report macro F1 beside accuracy, and weigh or add pictures",
        fine=ratio,
    )


def _splits(dataset: OpenDataset, table: pd.DataFrame) -> Result:
    counts = table["split"].value_counts().reindex(list(dataset.splits), fill_value=0)
    listed = ", ".join(f"{split} {count}" for split, count in counts.items())
    usual = {SPLIT_FOLDERS.get(split, split) for split in counts.index[counts > 0]}
    missing = [split for split in SPLITS if split not in usual]
    empty = list(counts.index[counts == 0])
    return judge(
        "splits",
        "NOTE" if missing in (["validation"], ["test"]) and not empty else "FOUND",
        [f"no {split}" for split in missing] + [f"{split} is empty" for split in empty],
        what=listed,
        advice="judge models by cross-validation: the pictures that choose a model can't judge it"
        if missing == ["test"]
        else "split into train, validation and test by whole groups (`dataset_card build` does)",
        fine=listed,
    )


def _columns(dataset: OpenDataset) -> Iterator[Result]:
    if dataset.label is None:
        yield judge(
            "label column",
            "FOUND",
            [", ".join(dataset.features)],
            what="no column of class labels among",
            advice="add a column `label` of type ClassLabel",
        )
    untyped = []
    if not isinstance(dataset.features[dataset.image], datasets.Image):
        untyped.append(f"{dataset.image} is no Image")
    if dataset.label and dataset.label_names is None:
        untyped.append(f"{dataset.label} is no ClassLabel")
    columns = f"{dataset.image} and {dataset.label}" if dataset.label else dataset.image
    yield judge(
        "column types",
        "NOTE",
        untyped,
        advice="declare Image() and ClassLabel(names=[...]) with `cast_column`",
        fine=f"{columns} are declared",
    )
    expected = [column for column in dataset_features([]) if column not in {"image", "label"}]
    yield judge(
        "more columns",
        "NOTE",
        [column for column in expected if not dataset.has_text(column)],
        what="missing",
        advice="nothing, unless the dataset is to say where its pictures come from",
        fine=", ".join(expected),
    )


def _class_names(dataset: OpenDataset) -> Result:
    names = dataset.label_names or []
    spellings = Counter(name.strip().casefold() for name in names)
    faults = [f"{name!r} is there twice" for name, count in spellings.items() if count > 1]
    faults += [f"{name!r} has spaces around it" for name in names if name.strip() not in {name, ""}]
    faults += ["an empty name" for name in names if not name.strip()]
    return judge(
        "class names",
        "FOUND",
        faults,
        what=f"{len(names)} classes",
        advice="name every class once, in words",
        fine=f"{len(names)}: {', '.join(names)}" if names else "not declared",
    )


def _sha256(table: pd.DataFrame) -> Result:
    valid = table["sha256"].map(lambda text: re.fullmatch("[0-9a-f]{64}", text) is not None).astype(bool)
    wrong = table[~valid]
    faults = [f"{row} has {sha256 or 'none'}" for row, sha256 in zip(wrong["row"], wrong["sha256"], strict=True)]
    repeated = table[valid & table["sha256"].duplicated(keep=False)]
    faults += [" = ".join(rows.iloc[:2]) for _, rows in repeated.groupby("sha256", sort=False)["row"]]
    return judge(
        "sha256",
        "FOUND",
        faults,
        what="values that repeat or are no SHA-256",
        advice="give every row the SHA-256 of its own file: corrections name pictures by it",
        fine="every row has its own",
    )
