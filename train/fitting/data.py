"""Pictures and labels: a dataset folder or Hub id -> batches of tensors."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from huggingface_hub import DatasetCard, hf_hub_download
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler

from hub.errors import CLIENT_ERRORS, redact
from hub.repo import RepoId, parse
from train.errors import UserError

DRAWINGS_TAG = "drawings"


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
    """

    name: str
    title: str
    repo_id: str | None
    label_names: list[str]
    splits: dict[str, datasets.Dataset]
    drawings: bool

    def split(self, name: str) -> datasets.Dataset:
        """Returns one split.

        Raises:
            DatasetError: There is none of that name (says which there are), or it has rows without a label.
        """
        if name not in self.splits:
            raise DatasetError(f"{self.name} has no split {name!r}: it has {', '.join(self.splits)}")
        rows = self.splits[name]
        if unlabelled := sum(label is None or label < 0 for label in rows["label"]):
            raise DatasetError(f"{unlabelled} of {len(rows)} rows of {self.name}, {name}, have no label: remove them")
        return rows


def load_images(name: str) -> LabelledImages:
    """Loads every split of a dataset folder or Hub id.

    Raises:
        DatasetError: Not found, or without an image column and a column of class labels.
    """
    place = parse(name)
    if place is None:
        raise DatasetError(f"{name} is neither a folder nor a Hub id: build one with python -m dataset_card build")
    try:
        if isinstance(place, RepoId):
            loaded = datasets.load_dataset(place.repo_id, revision=place.revision)
        else:
            loaded = datasets.load_dataset(name)
    except (FileNotFoundError, ConnectionError, *CLIENT_ERRORS) as error:
        if isinstance(place, Path):
            raise DatasetError(f"{name} holds no dataset ({first_line(error)}): build one with dataset_card") from None
        raise DatasetError(
            f"{name} is no folder here and could not be loaded from the Hub ({redact(first_line(error))}): "
            "check the name, the network and your token"
        ) from None
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        raise DatasetError(f"{name} can't be read as a dataset ({first_line(error.__cause__ or error)})") from None

    features = next(iter(loaded.values())).features
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

    renames = {old: new for old, new in ((image, "image"), (label, "label")) if old != new}
    splits = {
        split: rows.rename_columns(renames).cast_column("image", datasets.Image(mode="RGB"))
        for split, rows in loaded.items()
    }
    card = _card_metadata(place)
    repo_id = place.repo_id if isinstance(place, RepoId) else None
    title = card.get("pretty_name") or Path(name).resolve().name
    return LabelledImages(name, title, repo_id, label_names, splits, drawings=DRAWINGS_TAG in (card.get("tags") or []))


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, or its type's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
    """Returns 16 hex digits that change when a picture or a label of the split does."""
    digest = hashlib.sha256()
    if "sha256" in rows.column_names:
        names = rows["sha256"]
    else:
        raw = rows.cast_column("image", datasets.Image(decode=False))
        names = (hashlib.sha256(image_bytes(row["image"])).hexdigest() for row in raw)
    for name, label in zip(names, rows["label"], strict=True):
        digest.update(f"{name}:{label}\n".encode())
    return digest.hexdigest()[:16]


def image_bytes(image: dict[str, Any]) -> bytes:
    """Returns an undecoded picture's file, which a dataset holds itself or only points to."""
    return image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()


class TransformedImages(Dataset[tuple[torch.Tensor, int]]):
    """A split as tensors; what is random about picture `i` in epoch `e` depends on (seed, e, i) alone.

    So a run is the same to the bit whatever the number of workers or processes, and wherever it is resumed.
    """

    def __init__(self, rows: datasets.Dataset, transform: Callable[[Image.Image], torch.Tensor], seed: int) -> None:
        """Wraps `rows`, whose pictures `transform` turns into float32 tensors of shape (3, height, width)."""
        self.rows, self.transform, self.seed, self.epoch = rows, transform, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Returns a picture as float32 of shape (3, height, width), and its label.

        Raises:
            DatasetError: It can't be decoded; names the row.
        """
        try:
            row: dict[str, Any] = self.rows[index]
            if row["image"] is None:
                raise OSError("there is none")
        except (OSError, SyntaxError, ValueError) as error:
            raise DatasetError(
                f"the picture of row {index} can't be read ({first_line(error)}): remove it and build again"
            ) from None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash_seed(self.seed, self.epoch, index))
            return self.transform(row["image"]), row["label"]


class EpochSampler(Sampler[int]):
    """A permutation per epoch that depends on (seed, epoch) alone."""

    def __init__(self, length: int, seed: int) -> None:
        """Samples every index below `length` once per epoch."""
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of indices per epoch."""
        return self.length

    def __iter__(self) -> Iterator[int]:
        """Yields the epoch's permutation."""
        generator = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch))
        yield from torch.randperm(self.length, generator=generator).tolist()


def hash_seed(*numbers: int) -> int:
    """Mixes numbers into one 63-bit seed, so that neighbours share nothing."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()) >> 1


def make_loader(images: TransformedImages, batch_size: int, num_workers: int, shuffle: bool) -> DataLoader[Any]:
    """Returns batches of (images, labels): float32 (batch, 3, height, width) and int64 (batch,).

    A shuffled loader drops the last, short batch, unless it is the only one: BatchNorm can't learn from a
    batch of one.
    """
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=EpochSampler(len(images), images.seed) if shuffle else None,
        num_workers=num_workers,
        drop_last=shuffle and len(images) >= batch_size,
    )
