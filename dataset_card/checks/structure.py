"""Are the splits, the columns and the labels what users of a dataset expect?"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import datasets

from dataset_card.checks.opening import OpenDataset
from dataset_card.checks.pictures import Picture
from dataset_card.checks.result import Result, judge
from dataset_card.curate.splits import SPLITS
from dataset_card.write.parquet import dataset_features

_ALSO_VALIDATION = {"val", "valid", "dev"}


def check_structure(dataset: OpenDataset, pictures: Sequence[Picture]) -> Iterator[Result]:
    """Looks at splits, columns, class names, labels and the pictures' names."""
    yield _splits(dataset, pictures)
    yield from _columns(dataset)
    if dataset.label:
        yield _class_names(dataset)
        yield judge(
            "labels",
            "FOUND",
            [f"{p.where}: {p.label_fault}" for p in pictures if p.label_fault],
            what="rows without a valid label",
            advice="give these rows a label or leave them out",
            fine="every row has a valid one",
        )
    if dataset.has_text("sha256"):
        yield _names(pictures)


def _splits(dataset: OpenDataset, pictures: Sequence[Picture]) -> Result:
    counts = dict.fromkeys(dataset.splits, 0) | Counter(picture.split for picture in pictures)
    listed = ", ".join(f"{split} {count}" for split, count in counts.items())
    usual = {"validation" if split in _ALSO_VALIDATION else split for split, count in counts.items() if count}
    lacking = [split for split in SPLITS if split not in usual]
    faults = [f"no {split}" for split in lacking] + [
        f"{split} is empty" for split, count in counts.items() if not count
    ]
    return judge(
        "splits",
        "NOTE" if lacking in (["validation"], ["test"]) and 0 not in counts.values() else "FOUND",
        faults,
        what=listed,
        advice="judge models by cross-validation: what chose them can't judge them"
        if lacking == ["test"]
        else "split into train, validation and test by whole groups (`dataset_card build` does)",
        fine=listed,
    )


def _columns(dataset: OpenDataset) -> Iterator[Result]:
    kinds = {column: type(kind).__name__ for column, kind in dataset.features.items()}
    if dataset.label is None:
        yield judge(
            "label column",
            "FOUND",
            [", ".join(kinds)],
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
    plain = Counter(name.strip().casefold() for name in names)
    faults = [f"{name!r} is there twice" for name, count in plain.items() if count > 1]
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


def _names(pictures: Sequence[Picture]) -> Result:
    rows: dict[str, list[str]] = defaultdict(list)
    for picture in pictures:
        rows[picture.sha256].append(picture.where)
    faults = [
        f"{where} has {sha256 or 'none'}" for sha256, of in rows.items() for where in of if not _is_sha256(sha256)
    ]
    faults += [" = ".join(of[:2]) for sha256, of in rows.items() if len(of) > 1 and _is_sha256(sha256)]
    return judge(
        "sha256",
        "FOUND",
        faults,
        what="values that repeat or are none",
        advice="give every row the SHA-256 of its own file: corrections go by it",
        fine="every row has its own",
    )


def _is_sha256(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{64}", text) is not None
