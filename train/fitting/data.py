"""A dataset folder or Hub id, as labelled images, whatever its columns are called."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import DatasetCard, hf_hub_download

from files.errors import UserError, first_line
from hub.errors import CLIENT_ERRORS, redact
from hub.repo import RepoId, parse
from train.fitting.shards import open_shards, small_columns

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
        if isinstance(place, Path):
            raise DatasetError(f"{name} holds no dataset ({first_line(error)}): build one with dataset_card") from None
        raise DatasetError(
            f"{name} is no folder here and could not be loaded from the Hub ({redact(first_line(error))}): "
            "check the name, the network and your token"
        ) from None
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        if empty := _NO_DATA.search(str(error)):
            raise DatasetError(f"{name} has no picture in {empty[1]}: add some, or remove the split's files") from None
        raise DatasetError(f"{name} can't be read as a dataset ({first_line(error.__cause__ or error)})") from None


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
        return DatasetCard.load(path).data.to_dict()
    except (*CLIENT_ERRORS, ValueError):
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
