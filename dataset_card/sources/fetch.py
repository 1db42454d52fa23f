"""Fetching one picture and looking at it closely before anybody else sees it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dataset_card.reading.images import Photo, inspect_photo
from dataset_card.sources.finding import MIN_SIDE, Candidate
from dataset_card.sources.http import Web
from pictures.refused import RefusedError

_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_PART = ".part"
# How far proportions may be from the announced ones: rounding, and a few rows cropped by whoever scaled it.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class Fetched:
    """A picture that has arrived and is what it was said to be.

    Attributes:
        path: Where it waits; its extension tells what it really is.
        sha1: Of the original at its source, in hex: the file's own where that is what was fetched.
        sha256: Of the file, in hex.
    """

    path: Path
    sha1: str
    sha256: str


def fetch(web: Web, candidate: Candidate, folder: Path) -> Fetched:
    """Fetches a picture into a folder, unless an earlier run has done so.

    Raises:
        RefusedError: It can't be had, or is not what it was said to be.
        NotDeliveredError: It may well arrive another time.
    """
    whole = [path for path in folder.glob(f"{candidate.stem}.*") if path.suffix != _PART]
    part = whole[0] if whole else folder / f"{candidate.stem}{_PART}"
    try:
        if not whole:
            web.download(candidate.file_url, part)
        content = part.read_bytes()
        sha1 = hashlib.sha1(content).hexdigest()
        if candidate.is_original and candidate.sha1 and sha1 != candidate.sha1:
            raise RefusedError("another file than announced", f"SHA-1 {sha1}, not {candidate.sha1}")
        photo = inspect_photo(part, "", MIN_SIDE)
        _check_size(candidate, photo)
        with Image.open(part) as image:
            extension = _EXTENSIONS.get(image.format or "")
        if not extension:
            raise RefusedError("no JPEG, PNG or WebP file")
        if not whole:
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part = part.rename(part.with_suffix(f".{extension}"))
        return Fetched(part, candidate.sha1 or sha1, photo.sha256)
    except RefusedError:
        part.unlink(missing_ok=True)
        raise


def _check_size(candidate: Candidate, photo: Photo) -> None:
    if min(photo.width, photo.height) < MIN_SIDE:
        raise RefusedError("too small", f"{photo.width} x {photo.height} pixels")
    if not candidate.width or not candidate.height or candidate.is_original:
        return
    found, said = f"{photo.width} x {photo.height}", f"{candidate.width} x {candidate.height}"
    if candidate.is_exact:
        same = abs(photo.width - candidate.width) <= 1 and abs(photo.height - candidate.height) <= 1
    else:
        ratio = photo.width / photo.height * candidate.height / candidate.width
        turned = photo.width / photo.height * candidate.width / candidate.height
        same = min(abs(ratio - 1), abs(turned - 1)) <= _TOLERANCE
    if not same:
        raise RefusedError("another picture than announced", f"{found} pixels, not {said}")
