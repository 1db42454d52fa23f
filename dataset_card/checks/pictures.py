"""One pass over the rows of a dataset: what the checks need to know of each, without keeping its pixels."""

import hashlib
import io
import itertools
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from datasets.utils.file_utils import xopen
from PIL import ExifTags, Image
from tqdm import tqdm

from dataset_card.checks.opening import OpenDataset, readable
from dataset_card.licenses import why_not_publish
from dataset_card.reading.images import hashes_of, upright_rgb
from pictures.metadata import metadata_in
from pictures.refused import RefusedError

# Enough to keep every core busy, few enough that their bytes do not matter.
_ROWS_AT_ONCE = 64
_TEXTS = ("sha256", "group", "license", "author", "source_url")


@dataclass(frozen=True, slots=True)
class Look:
    """What decoding one picture told.

    Attributes:
        pixels_hash: Of the upright RGB pixels and their size.
        perceptual_hash: 32 bytes.
        size: Width and height in pixels, upright.
        mode: As it is stored, in Pillow's words: "RGB", "L", "RGBA".
        turned: An orientation tag asks viewers to turn it.
    """

    pixels_hash: str
    perceptual_hash: bytes
    size: tuple[int, int]
    mode: str
    turned: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """One row of a dataset.

    Attributes:
        split: Its split.
        where: Split, row and name, so that a person finds it again.
        label: Name of its class; None where that is missing or wrong.
        label_fault: What is wrong with its label; empty when nothing is.
        sha256: What the column of this name says; empty without one.
        group: What the column of this name says; empty without one.
        license: What the column of this name says; empty without one.
        why_not_publish: What `push --public` has against it; empty when nothing.
        look: What decoding it told; None when it can't be decoded.
        refusal: Why not, the same words for every case; empty when it can.
        metadata: What its file carries besides the picture; None for a container that nobody here can walk.
    """

    split: str
    where: str
    label: str | None
    label_fault: str
    sha256: str
    group: str
    license: str
    why_not_publish: str
    look: Look | None
    refusal: str
    metadata: tuple[str, ...] | None


def look_at_all(dataset: OpenDataset) -> list[Picture]:
    """Reads every row, decodes every picture, several at once.

    Raises:
        DatasetError: The data can't be read.
        HubError: The Hub, or the way to it, says no.
    """
    pictures: list[Picture] = []
    bar = tqdm(total=dataset.rows, desc="Checking pictures", unit="picture")
    # Threads suffice: Pillow decodes, and hashlib digests, without holding the interpreter's lock.
    with bar, warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        # Pillow warns about large pictures and about damaged EXIF; both have checks of their own.
        warnings.simplefilter("ignore")
        for split, stream in dataset.splits.items():
            numbered = enumerate(stream)
            while True:
                with readable(dataset.name, dataset.place):
                    batch = list(itertools.islice(numbered, _ROWS_AT_ONCE))
                if not batch:
                    break
                pictures += pool.map(lambda entry, split=split: _picture(dataset, split, *entry), batch)
                bar.update(len(batch))
    return pictures


def _picture(dataset: OpenDataset, split: str, row: int, record: dict[str, Any]) -> Picture:
    said = {column: (record[column] or "") if dataset.has_text(column) else "" for column in _TEXTS}
    label, label_fault = _label(dataset, record)
    content, refusal, look = b"", "", None
    metadata: tuple[str, ...] | None = ()
    image = record[dataset.image]
    if image is None or (image["bytes"] is None and image["path"] is None):
        refusal = "no picture"
    elif (content := _content(dataset, image)) == b"":
        refusal = "no file, or an empty one"
    else:
        try:
            look = _look(content)
        except RefusedError as refused:
            refusal = refused.reason
        try:
            metadata = tuple(metadata_in(content))
        except ValueError:
            metadata = None
    file = "/".join(image["path"].split("::")[0].split("/")[-2:]) if image and image["path"] else ""
    name = said["sha256"][:12] or file or (hashlib.sha256(content).hexdigest()[:12] if content else "")
    return Picture(
        split=split,
        where=f"{split} row {row} ({name})" if name else f"{split} row {row}",
        label=label,
        label_fault=label_fault,
        sha256=said["sha256"],
        group=said["group"],
        license=said["license"],
        why_not_publish=why_not_publish(said["license"], said["author"], said["source_url"]) or "",
        look=look,
        refusal=refusal,
        metadata=metadata,
    )


def _label(dataset: OpenDataset, record: dict[str, Any]) -> tuple[str | None, str]:
    """Returns the name of a row's class, and what is wrong with it."""
    if dataset.label is None:
        return None, ""
    value, names = record[dataset.label], dataset.label_names
    # -1 is how `datasets` writes that a label is not known.
    if value is None or value in (-1, ""):
        return None, "no label"
    if names is None:
        return str(value), ""
    if not 0 <= value < len(names):
        return None, f"label {value}, but there are {len(names)} classes"
    return names[value], ""


def _content(dataset: OpenDataset, image: dict[str, Any]) -> bytes:
    """Returns a picture's file, which a dataset holds itself or only points to; nothing where that is missing."""
    if image["bytes"] is not None:
        return image["bytes"]
    with readable(dataset.name, dataset.place), suppress(FileNotFoundError), xopen(image["path"], "rb") as file:
        return file.read()
    return b""


def _look(content: bytes) -> Look:
    picture = upright_rgb(content)
    pixels_hash, perceptual_hash = hashes_of(picture)
    with Image.open(io.BytesIO(content)) as stored:
        turned = stored.getexif().get(ExifTags.Base.Orientation) in range(2, 9)
        return Look(pixels_hash, perceptual_hash, picture.size, stored.mode, turned)
