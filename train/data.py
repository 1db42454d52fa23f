"""A dataset folder, a folder of photographs or a Hub id, as labelled images, whatever its columns are called.

`load_images` gives splits with the columns `image` (undecoded) and `label`; `read_image` decodes one picture, as the
page does. What a dataset does not tell of its pictures (names, groups, a validation split) is found here, too.
"""

import hashlib
import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
import yaml
from datasets import Dataset, IterableDataset
from huggingface_hub import DatasetCard, hf_hub_download
from PIL import Image

from files.errors import UserError, explain, first_line
from files.paths import check_no_glob
from hub.errors import CLIENT_ERRORS, redact
from hub.offline import offline_if_unreachable
from hub.repo import RepoId, parse
from model_folder.folder import picture_digest
from pictures import RefusedError
from pictures.decoding import NO_WARNINGS, SUFFIXES, decode
from train.splits import (
    DatasetError,
    TooFewPicturesError,
    class_labels,
    find_columns,
    hold_out,
    load_photographs,
    open_shards,
    small_columns,
    standard_columns,
    standard_names,
    with_labels,
)

DRAWINGS_TAG = "drawings"
# Bounds of the classes of sizes: shorter sides in pixels.
_SIZES = (224, 448, 896)
# What `datasets` says of a split whose files have no row.
_NO_DATA = re.compile(r'Instruction "(\w+)" corresponds to no data')
logger = logging.getLogger(__name__)


class LabelsError(UserError):
    """A dataset whose labels are not those of the model."""


class EmptySplitError(UserError):
    """A split without a picture."""


@dataclass(frozen=True)
class LabelledImages:
    """The splits of a dataset, in one shape whatever its columns are called.

    Attributes:
        name: The folder or Hub id they were loaded from.
        title: What people call the dataset: its card's `pretty_name`, else the last part of `name`.
        repo_id: Its id on the Hub, when it was loaded from there.
        label_names: Class names, in the order of their numbers.
        splits: By name; each has `image` (undecoded: see `read_image`) and `label`, and maybe more columns.
        drawings: True when the dataset's card says that its pictures are drawings.
        stream: The training pictures, where they are streamed; `splits["train"]` then has everything small about
            them, and no pictures.
        validation_drawn: `share` and `seed` by which validation was drawn from train; None where the dataset has it.
    """

    name: str
    title: str
    repo_id: str | None
    label_names: list[str]
    splits: dict[str, Dataset]
    drawings: bool
    stream: IterableDataset | None = None
    validation_drawn: dict[str, Any] | None = None

    def split(self, name: str) -> Dataset:
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


def load_images(
    name: str,
    streaming: bool = False,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    validation: float = 0.15,
    seed: int = 8,
) -> LabelledImages:
    """Loads a dataset folder, a folder of photographs or a Hub id.

    Splits called `val`, `valid`, `dev` and the like are renamed.

    Args:
        name: The folder, or `user/name`, with a revision as `user/name@v1`. A folder of photographs is sorted into
            folders by class (FOLDER/kathak/1.jpg), or by split and class (FOLDER/train/kathak/1.jpg).
        streaming: Leave the training pictures where they are until they are needed; of the other splits, only
            validation is loaded then.
        image_column: Name of the image column; by default `image`, or the only one there is.
        label_column: Name of the label column; by default `label`, or the only one of class labels. Text and whole
            numbers become class labels, in sorted order.
        validation: Where there is no validation split, the share of train that takes its place, 0 to 0.5: by whole
            groups, a bit of every class. The only split of a dataset is its train then. 0 leaves splits as they are.
        seed: Of that draw.

    Raises:
        DatasetError: Not found, or without an image column and a column of labels.
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
    with offline_if_unreachable() if isinstance(place, RepoId) else nullcontext(), _one_line_errors(name, place):
        loaded, shards = open_shards(place) if streaming else (_load(place), [])
        loaded = standard_names(loaded, bool(validation))
        image, label = find_columns(name, next(iter(loaded.values())).features, image_column, label_column)
        loaded, label_names = class_labels(name, loaded, label)
        splits = {split: standard_columns(rows, image, label) for split, rows in loaded.items()}
        stream = splits["train"] if streaming else None
        if streaming:
            splits["train"] = small_columns(shards, label, label_names)
        card = _card_metadata(place)
    images = LabelledImages(
        name=name,
        title=card.get("pretty_name") or Path(name).resolve().name,
        repo_id=place.repo_id if isinstance(place, RepoId) else None,
        label_names=label_names,
        splits=splits,
        drawings=DRAWINGS_TAG in (card.get("tags") or []),
        stream=stream,
    )
    if not validation or "validation" in splits or "train" not in splits:
        return images
    return _draw_validation(images, validation, seed)


def load_to_judge(name: str, split: str, config: dict[str, Any], **columns: Any) -> LabelledImages:
    """Loads a dataset to judge a model on; validation is drawn as it was for the model's training, if it was.

    Args:
        name: As for `load_images`.
        split: What the model will be judged on.
        config: The model's config.json.
        columns: `image_column` and `label_column`, as for `load_images`.
    """
    images, data = load_images(name, validation=0, **columns), config.get("training_data", {})
    drawn = data.get("validation_drawn")
    if drawn and "validation" not in images.splits and (split == "validation" or data.get("name") == images.title):
        return load_images(name, validation=drawn["share"], seed=drawn["seed"], **columns)
    return images


def _load(place: Path | RepoId) -> dict[str, Dataset]:
    if isinstance(place, RepoId):
        return dict(datasets.load_dataset(place.repo_id, revision=place.revision))
    files = sorted(
        file
        for file in (path.relative_to(place) for path in place.rglob("*"))
        if not any(part.startswith(".") for part in file.parts)
    )
    photographs = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not photographs or any(file.suffix in (".parquet", ".arrow") or file.stem == "metadata" for file in files):
        return dict(datasets.load_dataset(str(place)))
    return load_photographs(place, photographs)


@contextmanager
def _one_line_errors(name: str, place: Path | RepoId) -> Iterator[None]:
    try:
        yield
    except DatasetError:
        raise
    except (FileNotFoundError, ConnectionError, *CLIENT_ERRORS) as error:
        if isinstance(error, OSError) and (reason := explain(error)):
            raise DatasetError(f"{name} can't be loaded: {reason}") from None
        if isinstance(place, Path):
            raise DatasetError(f"{name} holds no dataset ({first_line(error)}): build one with dataset_card") from None
        raise DatasetError(
            f"{name} is no folder here and could not be loaded from the Hub ({redact(first_line(error))}): "
            "check the name, the network and your token, or give a folder"
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


def _draw_validation(images: LabelledImages, share: float, seed: int) -> LabelledImages:
    rows = images.split("train")
    groups = groups_of(rows)
    if groups is None:
        groups = picture_names(rows)
        if "sha256" not in rows.column_names:
            rows = rows.add_column("sha256", groups)
    try:
        train, held_out = hold_out(rows["label"], groups, images.label_names, share, seed)
    except TooFewPicturesError as error:
        raise DatasetError(f"{images.name} has no validation split, and {error}") from None
    logger.warning(
        "%s has no validation split: %d of %d training pictures (%.0f %%), drawn by group with seed %d, take its "
        "place",
        images.name,
        len(held_out),
        len(rows),
        100 * len(held_out) / len(rows),
        seed,
    )
    splits = {**images.splits, "train": rows.select(train), "validation": rows.select(held_out)}
    return replace(images, splits=splits, validation_drawn={"share": share, "seed": seed})


def groups_of(rows: Dataset) -> list[str] | None:
    """Returns the group of near-duplicates of every picture, or None where nobody has looked for any.

    A picture without a group is alone.
    """
    if "group" not in rows.column_names:
        return None
    return [f"alone {number}" if group is None else str(group) for number, group in enumerate(rows["group"])]


def values_of(rows: Dataset, column: str) -> list[str]:
    """Returns what every picture has in a column, as text; "" where that is nothing.

    Args:
        rows: Of `LabelledImages`.
        column: Its name; "size" stands for a class of sizes, by the shorter side in pixels.

    Raises:
        DatasetError: There is no such column; says which there are.
    """
    if column in rows.column_names and column != "image":
        feature = rows.features[column]
        names = feature.names if isinstance(feature, datasets.ClassLabel) else None
        return ["" if value is None else str(names[value] if names else value) for value in rows[column]]
    if column == "size":
        return [_size_class(image_bytes(row["image"])) for row in rows.select_columns("image")]
    known = ", ".join(name for name in [*rows.column_names, "size"] if name != "image")
    raise DatasetError(f"there is no column {column}: choose one of {known}")


def _size_class(file: bytes) -> str:
    try:
        with NO_WARNINGS, Image.open(io.BytesIO(file)) as image:
            shorter = min(image.size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # What can't be decoded is named where it is.
        return ""
    return next((f"below {bound} px" for bound in _SIZES if shorter < bound), f"{_SIZES[-1]} px and more")


@lru_cache(maxsize=4)
def picture_names(rows: Dataset) -> list[str]:
    """Returns the sha256 of every picture: of its file as it was collected or, where nobody tells, of what is here.

    Of pictures that are streamed, or missing, and have none, the names are empty. The list is kept: leave it as it is.
    """
    names = list(rows["sha256"]) if "sha256" in rows.column_names else [None] * len(rows)
    if "image" in rows.column_names and None in names:
        images = rows.select_columns("image")
        return [
            name or (hashlib.sha256(image_bytes(row["image"])).hexdigest() if row["image"] else "")
            for name, row in zip(names, images, strict=True)
        ]
    return [name or "" for name in names]


def learned_pictures_digest(rows: Dataset) -> set[str]:
    """Returns the pictures of a split by `picture_digest`; those that have no name are left out."""
    return {picture_digest(name) for name in picture_names(rows) if name}


def fingerprint(rows: Dataset) -> str:
    """Returns 16 hex digits that change when a picture or a label of the split does.

    Of pictures that are streamed and have no sha256, only labels are known.
    """
    digest = hashlib.sha256()
    for name, label in zip(picture_names(rows), rows["label"], strict=True):
        digest.update(f"{name}:{label}\n".encode())
    return digest.hexdigest()[:16]


def read_image(rows: Dataset, index: int, enough: int | None = None) -> Image.Image:
    """Decodes a picture, as the page does: upright RGB in sRGB, transparency on white.

    Args:
        rows: Of `LabelledImages`.
        index: Of the row.
        enough: Pixels of the shorter side that will do, see `pictures.decoding.decode`; by default, all.

    Raises:
        DatasetError: It can't be decoded; names the split, the row and, where there is one, its sha256.
    """
    return decode_row(rows[index], f"row {index} of {rows.split or 'the dataset'}", enough)


def decode_row(row: dict[str, Any], where: str, enough: int | None = None) -> Image.Image:
    """Decodes the picture of a row, as `read_image` does; `where` names the row in errors."""
    try:
        if row["image"] is None:
            raise RefusedError("there is none")
        return decode(image_bytes(row["image"]), enough, min_side=1).image
    except (RefusedError, OSError) as error:
        named = f", sha256 {row['sha256']}" if row.get("sha256") else ""
        raise DatasetError(
            f"the picture of {where}{named} can't be read ({first_line(error)}): remove it and build again"
        ) from None


def image_bytes(image: dict[str, Any]) -> bytes:
    """Returns an undecoded picture's file, which a dataset holds itself or only points to."""
    return image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()


def split_for_model(
    images: LabelledImages, split: str, config: dict[str, Any], label_names: list[str], model_id: str
) -> Dataset:
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
    data, train = config.get("training_data", {}), images.splits.get("train")
    if train is not None and data.get("name") == images.title and data.get("fingerprint") != fingerprint(train):
        logger.warning(
            "%s has been built anew since the model was trained: pictures that it learned from may be among those it "
            "is judged on now",
            images.name,
        )
    if len(rows) == len(set(rows["label"])):
        logger.warning(
            "%s has one picture of each of %d classes only in %s: no number from so few says anything",
            images.name,
            len(rows),
            split,
        )
    return as_numbered(images, rows, label_names, model_id)


def as_numbered(images: LabelledImages, rows: Dataset, label_names: list[str], model_id: str) -> Dataset:
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
    return with_labels(rows, [numbers[label] for label in rows["label"]], label_names)
