"""A dataset folder or Hub id, as labelled images, whatever its columns are called."""

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from huggingface_hub import DatasetCard, hf_hub_download
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from files.errors import UserError, explain, first_line
from files.paths import check_no_glob
from hub.errors import CLIENT_ERRORS, redact
from hub.repo import RepoId, parse
from pictures import RefusedError
from pictures.decoding import decode

DRAWINGS_TAG = "drawings"
# What `datasets` says of a split whose files have no row.
_NO_DATA = re.compile(r'Instruction "(\w+)" corresponds to no data')


class DatasetError(UserError):
    """A dataset that can't be found or can't be trained on."""


@dataclass(frozen=True)
class LabelledImages:
    """The splits of a dataset, in one shape whatever its columns are called.

    Attributes:
        name: The folder or Hub id they were loaded from.
        title: What people call the dataset: its card's `pretty_name`, else the last part of `name`.
        repo_id: Its id on the Hub, when it was loaded from there.
        label_names: Class names, in the order of their numbers.
        splits: By name; each has `image` (upright RGB) and `label`, and maybe more columns.
        drawings: True when the dataset's card says that its pictures are drawings.
        stream: The training pictures, where they are streamed; `splits["train"]` then has everything small about
            them, and no pictures.
    """

    name: str
    title: str
    repo_id: str | None
    label_names: list[str]
    splits: dict[str, datasets.Dataset]
    drawings: bool
    stream: datasets.IterableDataset | None = None

    def split(self, name: str) -> datasets.Dataset:
        """Returns one split.

        Raises:
            DatasetError: There is none of that name (says which there are), or it has rows without a label.
        """
        if name == "test" and name not in self.splits:
            raise DatasetError(
                f"{self.name} has no test split (it has {', '.join(self.splits)}): judge by python -m train "
                "cross-validate, or on what chose the model with split=validation, which flatters it"
            )
        if name not in self.splits:
            raise DatasetError(f"{self.name} has no split {name!r}: it has {', '.join(self.splits)}")
        rows = self.splits[name]
        if unlabelled := sum(label is None or label < 0 for label in rows["label"]):
            raise DatasetError(f"{unlabelled} of {len(rows)} rows of {self.name}, {name}, have no label: remove them")
        return rows


def load_images(name: str, streaming: bool = False) -> LabelledImages:
    """Loads a dataset folder or Hub id.

    Args:
        name: The folder, or `user/name`, with a revision as `user/name@v1`.
        streaming: Leave the training pictures where they are until they are needed; of the other splits, only
            validation is loaded then.

    Raises:
        DatasetError: Not found, or without an image column and a column of class labels.
    """
    place = parse(name)
    if place is None:
        raise DatasetError(
            f"{name} is neither a folder nor a Hub id (user/name): build one with python -m dataset_card build"
        )
    if isinstance(place, Path):
        # What is here is asked about nowhere else, even where a relative name looks like a Hub id.
        place = place.resolve()
        check_no_glob(place)
    with _one_line_errors(name, place):
        if streaming:
            loaded, shards = open_shards(place)
        else:
            loaded, shards = _load(place), []
    image, label, label_names = _find_columns(name, next(iter(loaded.values())).features)
    renames = {old: new for old, new in ((image, "image"), (label, "label")) if old != new}
    splits = {
        split: (rows.rename_columns(renames) if renames else rows).cast_column("image", datasets.Image(mode="RGB"))
        for split, rows in loaded.items()
    }
    stream = None
    if streaming:
        stream = splits["train"]
        with _one_line_errors(name, place):
            splits["train"] = small_columns(shards, label, label_names)
    card = _card_metadata(place)
    repo_id = place.repo_id if isinstance(place, RepoId) else None
    title = card.get("pretty_name") or Path(name).resolve().name
    drawings = DRAWINGS_TAG in (card.get("tags") or [])
    return LabelledImages(name, title, repo_id, label_names, splits, drawings, stream)


def _load(place: Path | RepoId) -> datasets.DatasetDict:
    if isinstance(place, RepoId):
        return datasets.load_dataset(place.repo_id, revision=place.revision)
    return datasets.load_dataset(str(place))


@contextmanager
def _one_line_errors(name: str, place: Path | RepoId) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, ConnectionError, *CLIENT_ERRORS) as error:
        if isinstance(error, OSError) and (reason := explain(error)):
            raise DatasetError(f"{name} can't be loaded: {reason}") from None
        if isinstance(place, Path):
            raise DatasetError(f"{name} holds no dataset ({first_line(error)}): build one with dataset_card") from None
        raise DatasetError(
            f"{name} is no folder here and could not be loaded from the Hub ({redact(first_line(error))}): "
            "check the name, the network and your token"
        ) from None
    except yaml.YAMLError as error:
        raise DatasetError(f"{name} has a README.md whose YAML block can't be read ({first_line(error)})") from None
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        if empty := _NO_DATA.search(str(error)):
            raise DatasetError(f"{name} has no picture in {empty[1]}: add some, or remove the split's files") from None
        cause = error.__cause__ or error
        if isinstance(cause, OSError) and cause.errno and cause.filename is None:
            # What it copies pictures to, such as a disk that is full.
            cause.filename = str(datasets.config.HF_DATASETS_CACHE)
        if isinstance(cause, OSError) and (reason := explain(cause)):
            raise DatasetError(f"{name} can't be loaded: {reason}") from None
        raise DatasetError(f"{name} can't be read as a dataset ({first_line(cause)})") from None


def _find_columns(name: str, features: datasets.Features) -> tuple[str, str, list[str]]:
    """Returns the image column, the label column and the class names."""
    columns = ", ".join(f"{column} ({type(kind).__name__})" for column, kind in features.items())
    image = _only(features, datasets.Image)
    if image is None:
        raise DatasetError(f"{name} needs one image column: it has {columns}")
    label = "label" if isinstance(features.get("label"), datasets.ClassLabel) else _only(features, datasets.ClassLabel)
    if label is None:
        raise DatasetError(f"{name} needs one column of class labels (ClassLabel): it has {columns}")
    label_names = features[label].names
    if len(label_names) < 2:
        raise DatasetError(f"{name} has one class only ({label_names[0]}): a classifier needs two or more")
    return image, label, label_names


def _only(features: datasets.Features, kind: type) -> str | None:
    found = [column for column, feature in features.items() if isinstance(feature, kind)]
    return found[0] if len(found) == 1 else None


def _card_metadata(place: Path | RepoId) -> dict[str, Any]:
    try:
        if isinstance(place, RepoId):
            path = hf_hub_download(place.repo_id, "README.md", repo_type="dataset", revision=place.revision)
        else:
            path = str(place / "README.md")
            if not Path(path).is_file():
                # `load` would ask the Hub for a card of that name.
                return {}
        return DatasetCard.load(path).data.to_dict()
    except (*CLIENT_ERRORS, ValueError, yaml.YAMLError):
        # A dataset without a card, or with a card of another make, can be trained on all the same.
        return {}


def fingerprint(rows: datasets.Dataset) -> str:
    """Returns 16 hex digits that change when a picture or a label of the split does.

    Of pictures that are streamed and have no sha256, only labels are known.
    """
    digest = hashlib.sha256()
    names: Iterable[str]
    if "sha256" in rows.column_names:
        names = rows["sha256"]
    elif "image" not in rows.column_names:
        names = repeat("", len(rows))
    else:
        raw = rows.cast_column("image", datasets.Image(decode=False))
        names = (hashlib.sha256(image_bytes(row["image"])).hexdigest() for row in raw)
    for name, label in zip(names, rows["label"], strict=True):
        digest.update(f"{name}:{label}\n".encode())
    return digest.hexdigest()[:16]


def image_bytes(image: dict[str, Any]) -> bytes:
    """Returns an undecoded picture's file, which a dataset holds itself or only points to."""
    return image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()


def read_image(rows: datasets.Dataset, index: int, enough: int | None = None) -> Image.Image:
    """Decodes the picture of a row.

    Args:
        rows: A split.
        index: The row.
        enough: Pixels of the shorter side that will do: see `pictures.decoding.decode`.

    Returns:
        Upright, RGB.

    Raises:
        DatasetError: It can't be decoded; names the split, the row and, where there is one, its sha256.
    """
    try:
        image = rows[index]["image"]
        if isinstance(image, Image.Image):
            return image
        return decode_image(image, enough)
    except (OSError, SyntaxError, ValueError, RefusedError) as error:
        sha256 = rows.select_columns(["sha256"])[index]["sha256"] if "sha256" in rows.column_names else ""
        raise unreadable(f"row {index} of {rows.split}{sha256 and f', sha256 {sha256}'}", error) from None


def decode_image(image: dict[str, Any] | None, enough: int | None = None) -> Image.Image:
    """Decodes an undecoded picture, of a split or a stream.

    Raises:
        RefusedError: It can't be decoded.
        OSError: There is none.
    """
    if image is None:
        raise OSError("there is none")
    return decode(image_bytes(image), enough, min_side=1).image


def unreadable(which: str, error: Exception) -> DatasetError:
    """Returns the error that a picture can't be decoded."""
    return DatasetError(f"the picture of {which} can't be read ({first_line(error)}): remove it and build again")


# All that training and its model card need to know of a row besides the picture.
_SMALL = ("sha256", "license")
_READERS = 8


class NoShardsError(ValueError):
    """A dataset that is not made of parquet files, or not of the splits that training needs."""


def open_shards(place: Path | RepoId) -> tuple[dict[str, datasets.Dataset | datasets.IterableDataset], list[str]]:
    """Opens the splits that training needs without storing the training pictures.

    Returns:
        `train` as a stream and `validation` whole, and the addresses of the training shards.

    Raises:
        NoShardsError: There are none.
    """
    if isinstance(place, RepoId):
        builder = datasets.load_dataset_builder(place.repo_id, revision=place.revision)
    else:
        builder = datasets.load_dataset_builder(str(place))
    files = builder.config.data_files or {}
    if builder.name.split("-")[0] != "parquet":
        raise NoShardsError(
            "streaming=true needs parquet shards: leave it out, or push it to the Hub as parquet first"
        )
    if missing := {"train", "validation"} - files.keys():
        raise NoShardsError(f"it has no split {', '.join(sorted(missing))}: it has {', '.join(files)}")
    stream = builder.as_streaming_dataset(split="train")
    validation = datasets.load_dataset(
        "parquet", data_files={"validation": list(files["validation"])}, split="validation", features=stream.features
    )
    return {"train": stream, "validation": validation}, list(files["train"])


def small_columns(files: Sequence[str], label: str, label_names: list[str]) -> datasets.Dataset:
    """Reads the label of every row and, where there are, sha256 and license: some bytes a row, by their ranges.

    Args:
        files: Addresses of parquet files.
        label: The column of labels; it is called `label` in the result.
        label_names: Class names, in the order of their numbers.
    """

    def read(file: str) -> pa.Table:
        # Neither read-ahead nor joined ranges: they would fetch pictures.
        with fsspec.open(file, "rb", cache_type="none") as opened:
            shard = pq.ParquetFile(opened, pre_buffer=False)
            columns = [label, *(name for name in _SMALL if name in shard.schema_arrow.names)]
            return shard.read(columns=columns).replace_schema_metadata(None)

    tables = thread_map(read, files, max_workers=_READERS, desc="Reading labels", unit="shard", leave=False)
    rows = datasets.Dataset(pa.concat_tables(tables), split=datasets.Split.TRAIN)
    rows = rows if label == "label" else rows.rename_column(label, "label")
    features = {**rows.features, "label": datasets.ClassLabel(names=label_names)}
    return rows.cast(datasets.Features(features))


logger = logging.getLogger(__name__)


class LabelsError(UserError):
    """A dataset whose labels are not those of the model."""


class EmptySplitError(UserError):
    """A split without a picture."""


def split_for_model(
    images: LabelledImages, split: str, config: dict[str, Any], label_names: list[str], model_id: str
) -> datasets.Dataset:
    """Returns the rows of a split to judge a model on.

    Args:
        images: The dataset.
        split: Which split of it.
        config: The model's config.json.
        label_names: Its classes.
        model_id: Names it in errors.

    Raises:
        DatasetError: There is no such split, or it has rows without a label.
        EmptySplitError: There is nothing in it.
        LabelsError: The dataset has a class that the model does not know.
    """
    rows = images.split(split)
    if not len(rows):
        raise EmptySplitError(f"{images.name} has no picture in {split}: add some, or choose another split")
    warn_of_leak(images, config)
    counts = [images.label_names[label] for label in rows["label"]]
    if len(rows) == len(set(counts)):
        logger.warning(
            "%s has one picture of each of %d classes only in %s: no number from so few says anything",
            images.name,
            len(rows),
            split,
        )
    return as_numbered(images, rows, label_names, model_id)


def groups_of(rows: datasets.Dataset) -> list[str] | None:
    """Returns the group of near-duplicates of every picture, or None where nobody has looked for any."""
    if "group" not in rows.column_names:
        return None
    # A picture without a group has no near-duplicate.
    return [f"{number} alone" if group is None else str(group) for number, group in enumerate(rows["group"])]


def warn_of_leak(images: LabelledImages, config: dict[str, Any]) -> None:
    """Warns when the model learned from another build of this dataset: its splits may have been others."""
    data = config.get("training_data", {})
    if data.get("name") != images.title or "train" not in images.splits:
        return
    if data.get("fingerprint") != fingerprint(images.splits["train"]):
        logger.warning(
            "%s has been built anew since the model was trained: pictures that it learned from may be among those "
            "it is judged on now",
            images.name,
        )


def as_numbered(
    images: LabelledImages, rows: datasets.Dataset, label_names: list[str], model_id: str
) -> datasets.Dataset:
    """Returns the rows with their labels numbered as the model numbers them.

    Raises:
        LabelsError: The dataset has a class that the model does not know.
    """
    if strangers := sorted(set(images.label_names) - set(label_names)):
        raise LabelsError(
            f"{images.name} has classes that {model_id} does not know ({', '.join(strangers)}): "
            f"it knows {', '.join(label_names)}"
        )
    if images.label_names == label_names:
        return rows
    numbers = [label_names.index(name) for name in images.label_names]
    features = datasets.Features({**rows.features, "label": datasets.ClassLabel(names=label_names)})
    return rows.map(lambda label: {"label": numbers[label]}, input_columns="label", features=features)
