"""Opens any dataset of labelled pictures, here or on the Hub, without copying it."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from datasets.data_files import get_data_patterns
from fsspec.implementations.dirfs import DirFileSystem
from huggingface_hub import HfApi

from dataset_card.checks.card_file import Card, matching, read_card, unmatched
from files.errors import UserError
from hub.errors import HubError, one_line_errors, redact
from hub.repo import RepoId, parse

_IMAGES = ("image", "img", "picture", "photo", "jpg", "png")
_LABELS = ("label", "labels", "class", "category", "target", "dance", "dance_form", "style", "cls")
_UNREADABLE = (
    datasets.data_files.EmptyDatasetError,
    datasets.exceptions.DatasetsError,
    pa.ArrowException,
    yaml.YAMLError,
    NotImplementedError,
    ValueError,
)
_SAID = 300
_TEXTS = {"string", "large_string"}


class DatasetError(UserError):
    """No dataset of pictures, or one that can't be read."""


@dataclass(frozen=True)
class OpenDataset:
    """A dataset of pictures, ready to be read once.

    Attributes:
        name: The folder or Hub id it was opened from.
        place: The same, as the two kinds of place.
        root: Its folder, or its `hf://` address with the commit.
        files: The files below `root`.
        card: Its README.md.
        config: Which of its configurations this is.
        features: Its columns.
        image: Name of the column of pictures.
        label: Name of the column of classes, or None.
        splits: The rows of every split, pictures undecoded.
        rows: How many rows there will be, where that is known beforehand: for a progress bar.
    """

    name: str
    place: Path | RepoId
    root: str
    files: DirFileSystem
    card: Card
    config: str
    features: datasets.Features
    image: str
    label: str | None
    splits: dict[str, datasets.IterableDataset]
    rows: int | None

    @property
    def label_names(self) -> list[str] | None:
        """Class names in the order of their numbers; None when the label column does not declare them."""
        kind = self.features.get(self.label)
        return kind.names if isinstance(kind, datasets.ClassLabel) else None

    def has_text(self, column: str) -> bool:
        """Tells whether there is a column of text of this name."""
        return is_text(self.features.get(column))


def open_dataset(name: str, config: str | None) -> OpenDataset:
    """Opens a dataset.

    Its rows are streamed: `load_dataset` would first copy every picture into its cache, and nothing is read twice.

    Args:
        name: A folder or Hub id, maybe with a revision.
        config: Which configuration, where there are several.

    Raises:
        DatasetError: Neither a folder nor a Hub id, no dataset, or none of pictures.
        HubError: The Hub, or the way to it, says no.
    """
    place = parse(name)
    if place is None:
        raise DatasetError(f"{name} is neither a folder nor a Hub id (user/name): give a dataset")
    with readable(name, place):
        if isinstance(place, RepoId):
            # The commit, not the branch: the card and every shard are of one moment.
            commit = HfApi().dataset_info(place.repo_id, revision=place.revision).sha
            root = f"hf://datasets/{place.repo_id}@{commit}"
        else:
            commit, root = None, place.resolve().as_posix()
        fs, path = fsspec.url_to_fs(root)
        files = DirFileSystem(path, fs)
        card = read_card(files)
        described = card.data_files()
        if card.broken or any(unmatched(root, patterns) for patterns in described.values()):
            config = config or next(iter(described), "default")
            builder = _builder_without_card(name, root, described.get(config) or get_data_patterns(root))
        else:
            where = place.repo_id if isinstance(place, RepoId) else root
            builder = datasets.load_dataset_builder(where, config, revision=commit)
            config = builder.config.name
        splits = builder.as_streaming_dataset()
        rows = _count_rows(builder)
    features = next(iter(splits.values())).features
    if features is None:
        raise DatasetError(f"{name}: its files do not say which columns they have: use parquet or folders of pictures")
    image = _image_column(features)
    if image is None:
        raise DatasetError(f"{name} is no dataset of pictures: its columns are {', '.join(features)}")
    raw = {split: stream.cast_column(image, datasets.Image(decode=False)) for split, stream in splits.items()}
    label = _label_column(features)
    return OpenDataset(name, place, root, files, card, config, features, image, label, raw, rows)


@contextmanager
def readable(name: str, place: Path | RepoId) -> Iterator[None]:
    """Turns what reading a dataset may raise inside the block into one clear line.

    Raises:
        DatasetError: It can't be read.
        HubError: The Hub, or the way to it, says no.
    """
    on_hub = isinstance(place, RepoId)
    # From the Hub, the last two mean the way to it, and `one_line_errors` knows better what to say.
    unreadable = _UNREADABLE if on_hub else (*_UNREADABLE, OSError, RuntimeError)
    with one_line_errors(f"reading {name}") if on_hub else nullcontext():
        try:
            yield
        except (UserError, HubError):
            raise
        except unreadable as error:
            said = redact(textwrap.shorten(str(error) or type(error).__name__, _SAID))
            raise DatasetError(f"{name} can't be read as a dataset ({said}): check what it holds") from None


def is_text(kind: Any) -> bool:
    """Tells whether a column's type is text."""
    return isinstance(kind, datasets.Value) and kind.dtype in _TEXTS


def _builder_without_card(name: str, root: str, patterns: dict[str, list[str]]) -> datasets.DatasetBuilder:
    """Opens what a faulty card keeps `load_dataset` from opening, so that all its faults can be told at once."""
    found = {split: [file for pattern in of for file in matching(root, pattern)] for split, of in patterns.items()}
    found = {split: of for split, of in found.items() if of}
    if not found:
        raise DatasetError(f"{name}: its card names data files, but none of them exists: mend `configs` in README.md")
    tables = all(file.endswith(".parquet") for of in found.values() for file in of)
    return datasets.load_dataset_builder("parquet" if tables else "imagefolder", data_files=found)


def _count_rows(builder: datasets.DatasetBuilder) -> int | None:
    if builder.info.splits:
        return builder.info.splits.total_num_examples
    files = [file for of in (builder.config.data_files or {}).values() for file in of]
    if not files or not all(file.endswith(".parquet") for file in files):
        return None
    total = 0
    for file in files:
        with fsspec.open(file) as content:
            total += pq.read_metadata(content).num_rows
    return total


def _image_column(features: datasets.Features) -> str | None:
    typed = [column for column, kind in features.items() if isinstance(kind, datasets.Image)]
    # Parquet that was not written by `datasets` holds files as bytes, or as bytes with a path.
    plain = [
        column
        for column, kind in features.items()
        if (isinstance(kind, dict) and set(kind) <= {"bytes", "path"} and "bytes" in kind)
        or (isinstance(kind, datasets.Value) and kind.dtype in {"binary", "large_binary"})
    ]
    return next((c for candidates in (typed, plain) for c in _preferred(candidates, _IMAGES)), None)


def _label_column(features: datasets.Features) -> str | None:
    typed = [column for column, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    plain = [
        column
        for column, kind in features.items()
        if column.lower() in _LABELS and (is_text(kind) or getattr(kind, "dtype", "").startswith(("int", "uint")))
    ]
    return next((c for candidates in (typed, plain) for c in _preferred(candidates, _LABELS)), None)


def _preferred(columns: list[str], names: tuple[str, ...]) -> list[str]:
    known = [column for name in names for column in columns if column.lower() == name]
    return known or columns
