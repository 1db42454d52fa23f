"""Datasets of any make in one shape: names of splits, columns, folders of photographs, shards that are streamed.

A validation split that is missing is drawn from train by `hold_out`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, IterableDataset
from tqdm.contrib.concurrent import thread_map

from files.errors import UserError
from hub.repo import RepoId

# What splits are also called.
_SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "dev": "validation", "eval": "validation", "validate": "validation", "test": "test", "testing": "test",
}  # fmt: skip
_MOST_CLASSES = 10_000
# Beside the label, all that training and its model card need of a row whose picture is streamed.
_SMALL_COLUMNS = ("sha256", "license", "source")
_READERS = 8


class DatasetError(UserError):
    """A dataset that can't be found or can't be trained on."""


class TooFewPicturesError(UserError):
    """A class that has too few different pictures to be in two splits."""


class NoShardsError(ValueError):
    """A dataset that is not made of parquet files, or not of the splits that training needs."""


def load_photographs(folder: Path, files: Sequence[Path]) -> dict[str, Dataset]:
    """Loads photographs that are sorted into folders by class, or by split and class.

    `datasets` goes by what looks like a split anywhere in a path: for it, kathak/my-train-pic.jpg is all of train.
    """
    tops = {file.parts[0] for file in files if len(file.parts) > 1}
    named = {top for top in tops if top.lower() in _SPLITS}
    by_split = any(len(file.parts) > 2 and file.parts[0] in named for file in files)
    if by_split and (strangers := sorted(tops - named)):
        raise DatasetError(
            f"{folder} has folders of splits ({', '.join(sorted(named))}) beside others ({', '.join(strangers)}): "
            "move the others away"
        )
    by_class: dict[str, list[tuple[str, str]]] = {}
    for file in files:
        if len(file.parts) > 1 + by_split:
            split = file.parts[0] if by_split else "train"
            by_class.setdefault(split, []).append((str(folder / file), file.parts[by_split]))
    if not by_class:
        raise DatasetError(f"{folder} has photographs in no folder of a class: sort them, such as into kathak/1.jpg")
    label_names = sorted({label for pairs in by_class.values() for _, label in pairs})
    features = datasets.Features(image=datasets.Image(decode=False), label=ClassLabel(names=label_names))
    loaded = {}
    for split, pairs in by_class.items():
        files_of_split, labels = zip(*pairs, strict=True)
        columns = {"image": list(files_of_split), "label": list(labels)}
        loaded[split] = Dataset.from_dict(columns, features=features, split=datasets.NamedSplit(split))
    return loaded


def standard_names(loaded: dict[str, Any], trains: bool) -> dict[str, Any]:
    """Returns splits by their usual names; a single one is `train` where something is to be trained."""
    if trains and len(loaded) == 1:
        return {"train": next(iter(loaded.values()))}
    names = {name: _SPLITS.get(name.lower(), name) for name in loaded}
    # Of `val` and `validation`, the second is the one.
    taken = [
        new for name, new in names.items() if name != new and (new in loaded or list(names.values()).count(new) > 1)
    ]
    return {name if new in taken else new: loaded[name] for name, new in names.items()}


def find_columns(
    name: str, features: datasets.Features, image_column: str | None, label_column: str | None
) -> tuple[str, str]:
    """Returns the names of the image column and of the label column."""
    columns = ", ".join(f"{column} ({_kind(feature)})" for column, feature in features.items())
    images = [column for column, feature in features.items() if isinstance(feature, datasets.Image)]
    labels = [column for column, feature in features.items() if isinstance(feature, ClassLabel)]
    if image_column is not None and image_column not in images:
        raise DatasetError(f"image_column={image_column} is no image column of {name}: it has {columns}")
    if label_column is not None and not re.match(
        "ClassLabel|(large_)?string|u?int|bool", _kind(features.get(label_column))
    ):
        raise DatasetError(
            f"label_column={label_column} is no column of class labels, text or integers of {name}: it has {columns}"
        )
    image = image_column or _only("image", images)
    label = label_column or _only("label", labels)
    if image is None:
        raise DatasetError(f"{name} needs one image column, or image_column=NAME: it has {columns}")
    if label is None:
        raise DatasetError(
            f"{name} needs one column of class labels (ClassLabel), or label_column=NAME: it has {columns}"
        )
    return image, label


def _kind(feature: Any) -> str:
    return feature.dtype if isinstance(feature, datasets.Value) else type(feature).__name__


def _only(usual: str, columns: list[str]) -> str | None:
    if usual in columns:
        return usual
    return columns[0] if len(columns) == 1 else None


def class_labels(name: str, loaded: dict[str, Any], column: str) -> tuple[dict[str, Any], list[str]]:
    """Returns the splits with a column of class labels, and the class names."""
    feature = next(iter(loaded.values())).features[column]
    if isinstance(feature, ClassLabel):
        label_names = feature.names
    elif any(isinstance(rows, IterableDataset) for rows in loaded.values()):
        raise DatasetError(f"{name} has no class labels in {column}, which streaming=true needs: leave it out")
    else:
        values = sorted({value for rows in loaded.values() for value in rows.unique(column)} - {None})
        if len(values) > _MOST_CLASSES:
            raise DatasetError(
                f"label_column={column} of {name} has {len(values):,} different values, more than {_MOST_CLASSES:,}: "
                "choose a column of classes"
            )
        label_names = [str(value) for value in values]
        number_of = {None: None, **{value: number for number, value in enumerate(values)}}
        loaded = {
            split: with_labels(rows, [number_of[value] for value in rows[column]], label_names, column)
            for split, rows in loaded.items()
        }
    if len(label_names) < 2:
        raise DatasetError(f"{name} has one class only ({', '.join(label_names)}): a classifier needs two or more")
    return loaded, label_names


def with_labels(rows: Dataset, labels: Sequence[int | None], label_names: list[str], column: str = "label") -> Dataset:
    """Returns the rows with other labels, as class labels."""
    # Not by `map`, which would write all pictures anew.
    return rows.remove_columns(column).add_column(column, labels, feature=ClassLabel(names=label_names))


def standard_columns(rows: Any, image: str, label: str) -> Any:
    """Returns the rows with `image`, undecoded, and `label` in place of what may be called so."""
    renames = {old: new for old, new in ((image, "image"), (label, "label")) if old != new}
    if replaced := [new for new in renames.values() if new in rows.features and new not in (image, label)]:
        rows = rows.remove_columns(replaced)
    rows = rows.rename_columns(renames) if renames else rows
    for column, feature in rows.features.items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(column, datasets.Image(decode=False))
    return rows


def open_shards(place: Path | RepoId) -> tuple[dict[str, Any], list[str]]:
    """Opens the splits that training needs without storing the training pictures.

    Returns:
        `train` as a stream and `validation` whole, and the addresses of the training shards.
    """
    name, revision = (place.repo_id, place.revision) if isinstance(place, RepoId) else (str(place), None)
    builder = datasets.load_dataset_builder(name, revision=revision)
    files = builder.config.data_files or {}
    if builder.name.split("-")[0] != "parquet":
        raise NoShardsError(
            "streaming=true needs parquet shards: leave it out, or push it to the Hub as parquet first"
        )
    names = {new: old for old, new in zip(files, standard_names(dict(files), False), strict=True)}
    if missing := {"train", "validation"} - names.keys():
        raise NoShardsError(
            f"streaming=true needs a split {', '.join(sorted(missing))}, which can't be drawn from a stream: it has "
            f"{', '.join(files)}; leave streaming out, or add that split"
        )
    stream = builder.as_streaming_dataset(split=names["train"])
    validation = datasets.load_dataset(
        "parquet",
        data_files={"validation": list(files[names["validation"]])},
        split="validation",
        features=stream.features,
    )
    return {"train": stream, "validation": validation}, list(files[names["train"]])


def small_columns(files: Sequence[str], label: str, label_names: list[str]) -> Dataset:
    """Reads the label of every row and, where there are, sha256 and license: some bytes a row, by their ranges."""

    def read(file: str) -> pa.Table:
        # Neither read-ahead nor joined ranges: they would fetch pictures.
        with fsspec.open(file, "rb", cache_type="none") as opened:
            shard = pq.ParquetFile(opened, pre_buffer=False)
            columns = [label, *(name for name in _SMALL_COLUMNS if name in shard.schema_arrow.names)]
            return shard.read(columns=columns).replace_schema_metadata(None)

    tables = thread_map(read, files, max_workers=_READERS, desc="Reading labels", unit="shard", leave=False)
    rows = Dataset(pa.concat_tables(tables), split=datasets.Split.TRAIN)
    rows = rows if label == "label" else rows.rename_column(label, "label")
    return rows.cast_column("label", ClassLabel(names=label_names))


def hold_out(
    labels: Sequence[int], groups: Sequence[str], label_names: Sequence[str], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Splits pictures in two by whole groups, so that both parts have every class.

    Groups come in random order; one is held out where that brings the classes nearer to their shares.

    Args:
        labels: The class of every picture, its number.
        groups: The group of every picture.
        label_names: Class names, in the order of their numbers.
        share: Of every class, what is held out: 0 to 0.5, and never less than a picture.
        seed: Another seed holds out others.

    Returns:
        Indices of the pictures that stay and of those that are held out, in ascending order.

    Raises:
        TooFewPicturesError: A class has a single group; names it.
    """
    label, members = np.asarray(labels), dict[str, list[int]]()
    for index, name in enumerate(groups):
        members.setdefault(name, []).append(index)
    sizes = np.bincount(label, minlength=len(label_names))
    left = np.maximum(1, share * sizes)
    is_held = np.zeros(len(label), bool)
    unordered = list(members.values())
    order = [unordered[number] for number in np.random.default_rng(seed).permutation(len(unordered))]
    for group in order:
        classes, counts = np.unique(label[group], return_counts=True)
        before, after = left[classes] / sizes[classes], (left[classes] - counts) / sizes[classes]
        if (after**2).sum() < (before**2).sum():
            left[classes] -= counts
            is_held[group] = True
    for number, class_name in enumerate(label_names):
        of_class = label == number
        if not is_held[of_class].any() and (candidates := [group for group in order if of_class[group].any()]):
            is_held[min(candidates, key=len)] = True
        if is_held[of_class].all():
            raise TooFewPicturesError(
                f"{class_name} has too few different pictures to learn from and to validate by (near-duplicates count "
                "as one): add some"
            )
    return np.flatnonzero(~is_held).tolist(), np.flatnonzero(is_held).tolist()
