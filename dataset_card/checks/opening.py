"""Opens any dataset of labelled pictures, in a folder or on the Hub, and its card, without copying it."""

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from datasets.data_files import get_data_patterns, resolve_pattern, sanitize_patterns
from datasets.info import DatasetInfosDict
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from huggingface_hub import DatasetCard, HfApi
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from files.errors import UserError, explain, first_line
from files.paths import check_no_glob
from hub.errors import HubError, one_line_errors, redact
from hub.repo import RepoId, parse

CARD = "README.md"

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
_MESSAGE_LENGTH = 300


@dataclass(frozen=True)
class Card:
    """A README.md.

    Attributes:
        metadata: Its YAML block; empty without one.
        text: What follows the block.
        infos: What `dataset_info` in the metadata says of each configuration.
        fault: Why there is no metadata; empty when there is.
        broken: Whether `load_dataset` fails because of it.
    """

    metadata: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    infos: Mapping[str, datasets.DatasetInfo] = field(default_factory=dict)
    fault: str = ""
    broken: bool = False

    def configs(self) -> list[dict[str, Any]]:
        """Returns the configurations that the metadata describe."""
        return [config for config in self.metadata.get("configs") or [] if isinstance(config, dict)]

    def data_files(self) -> dict[str, dict[str, list[str]]]:
        """Returns the patterns of data files, by configuration and split."""
        return {
            str(config.get("config_name", "default")): sanitize_patterns(config["data_files"])
            for config in self.configs()
            if "data_files" in config
        }


@dataclass(frozen=True)
class OpenDataset:
    """A dataset of pictures, ready to be read once.

    Attributes:
        name: The folder or Hub id it was opened from.
        place: The same, parsed.
        root: Its folder, or its `hf://` address with the commit.
        files: The files below `root`.
        card: Its README.md.
        config: Which of its configurations this is.
        features: Its columns.
        image: Name of the column of pictures.
        label: Name of the column of classes, or None.
        splits: The rows of every split, pictures undecoded.
        rows: How many rows to expect, for a progress bar; None where that is not known beforehand.
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
        return _is_text(self.features.get(column))


def open_dataset(name: str, config: str | None) -> OpenDataset:
    """Opens a dataset.

    Its rows are streamed: `load_dataset` would first copy every picture into its cache, and nothing is read twice.

    Args:
        name: A folder or Hub id, maybe with a revision.
        config: Which configuration, where there are several.

    Raises:
        UserError: Neither a folder nor a Hub id, no dataset, or none of pictures.
        HubError: The Hub, or the way to it, says no.
    """
    place = parse(name)
    if place is None:
        raise UserError(f"{name} is neither a folder nor a Hub id (user/name): give a dataset")
    if isinstance(place, Path):
        check_no_glob(place)
    with readable(name, place):
        if isinstance(place, RepoId):
            # The commit, not the branch: the card and every shard are of one moment.
            commit = HfApi().dataset_info(place.repo_id, revision=place.revision).sha
            root = f"hf://datasets/{place.repo_id}@{commit}"
        else:
            # Absolute: `datasets` looks for a relative name of one or two parts on the Hub when it finds no data.
            commit, root = None, place.resolve().as_posix()
        fs, path = fsspec.url_to_fs(root)
        files = DirFileSystem(path, fs)
        card = _read_card(files)
        described = card.data_files()
        if card.broken or any(unmatched(root, patterns) for patterns in described.values()):
            config = config or next(iter(described), "default")
            builder = _builder_without_card(name, root, described.get(config) or get_data_patterns(root))
        else:
            where = place.repo_id if isinstance(place, RepoId) else root
            builder = datasets.load_dataset_builder(where, config, revision=commit)
            config = builder.config.name
        rows = _count_rows(builder)
        splits = _streams(builder)
    features = next(iter(splits.values())).features
    if features is None:
        raise UserError(f"{name}: its files do not say which columns they have: use parquet or folders of pictures")
    image = _image_column(features)
    if image is None:
        raise UserError(f"{name} is no dataset of pictures: its columns are {', '.join(features)}")
    raw = {split: stream.cast_column(image, datasets.Image(decode=False)) for split, stream in splits.items()}
    label = _label_column(features)
    return OpenDataset(name, place, root, files, card, config, features, image, label, raw, rows)


@contextmanager
def readable(name: str, place: Path | RepoId) -> Iterator[None]:
    """Turns what reading a dataset may raise inside the block into one clear line.

    Raises:
        UserError: It can't be read.
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
            # Not the dataset, but what reads it: a cache that can't be written, a full disk.
            if isinstance(error, OSError) and (explained := explain(error)):
                raise UserError(f"reading {name}: {explained}") from None
            message = redact(textwrap.shorten(str(error) or type(error).__name__, _MESSAGE_LENGTH))
            raise UserError(f"{name} can't be read as a dataset ({message}): check what it holds") from None


def unmatched(root: str, patterns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Finds the patterns that no file of the dataset matches, by split.

    Args:
        root: The dataset's folder, or its `hf://` address.
        patterns: As `Card.data_files` gives them for one configuration.
    """
    missing = {split: [pattern for pattern in of if not _matching(root, pattern)] for split, of in patterns.items()}
    return {split: of for split, of in missing.items() if of}


def _matching(root: str, pattern: str) -> list[str]:
    try:
        return resolve_pattern(pattern, root)
    except FileNotFoundError:
        return []


def _read_card(files: AbstractFileSystem) -> Card:
    if not files.exists(CARD):
        return Card(fault=f"there is no {CARD}")
    content = files.read_bytes(CARD).decode("utf-8", "replace")
    if not REGEX_YAML_BLOCK.search(content):
        return Card(text=content, fault=f"{CARD} does not begin with a block of YAML")
    try:
        card = DatasetCard(content, ignore_metadata_errors=True)
        infos = DatasetInfosDict.from_dataset_card_data(card.data)
    # The last three: `dataset_info` of another shape than `datasets` expects, which then fails in the same way.
    except (yaml.YAMLError, ValueError, AttributeError, LookupError, TypeError) as error:
        return Card(text=content, fault=f"the YAML of {CARD} can't be read ({first_line(error)})", broken=True)
    return Card(card.data.to_dict(), card.text, infos)


def _builder_without_card(name: str, root: str, patterns: dict[str, list[str]]) -> datasets.DatasetBuilder:
    """Opens what a faulty card keeps `load_dataset` from opening, so that all its faults are reported at once."""
    found = {split: [file for pattern in of for file in _matching(root, pattern)] for split, of in patterns.items()}
    found = {split: of for split, of in found.items() if of}
    if not found:
        raise UserError(f"{name}: its card names data files, but none of them exists: fix `configs` in {CARD}")
    tables = all(file.endswith(".parquet") for of in found.values() for file in of)
    return datasets.load_dataset_builder("parquet" if tables else "imagefolder", data_files=found)


def _streams(builder: datasets.DatasetBuilder) -> dict[str, datasets.IterableDataset]:
    """Opens the splits with the columns and class names that the data files declare.

    `load_dataset` takes those of the card, which are to be compared with them. Only where the files name no classes,
    the card is all there is.
    """
    claimed, builder.info.features = builder.info.features, None
    splits = builder.as_streaming_dataset()
    features = next(iter(splits.values())).features or {}
    if claimed and not any(isinstance(kind, datasets.ClassLabel) for kind in features.values()):
        builder.info.features = claimed
        splits = builder.as_streaming_dataset()
    return splits


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
        if column.lower() in _LABELS and (_is_text(kind) or getattr(kind, "dtype", "").startswith(("int", "uint")))
    ]
    return next((c for candidates in (typed, plain) for c in _preferred(candidates, _LABELS)), None)


def _preferred(columns: list[str], names: tuple[str, ...]) -> list[str]:
    known = [column for name in names for column in columns if column.lower() == name]
    return known or columns


def _is_text(kind: Any) -> bool:
    return isinstance(kind, datasets.Value) and kind.dtype in {"string", "large_string"}
