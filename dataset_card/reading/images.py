"""Reading one photograph: what it is, whether it may pass as it is, and its clean published bytes."""

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from dataset_card.reading.metadata import metadata_in
from files.errors import UserError
from pictures.decoding import decode
from pictures.refused import RefusedError

HASH_SIZE = 16
"""Side of the perceptual hash: 16 x 16 = 256 bits."""
MAX_FILE_BYTES = 200_000_000
"""A larger file is refused before it is read."""
JPEG_QUALITY = 92


class ChangedFileError(UserError):
    """A file that is another one, or gone, since it was looked at."""


@dataclass(frozen=True)
class Photo:
    """What one look at a file tells, without keeping its pixels.

    Attributes:
        path: The file.
        label: Its class.
        sha256: SHA-256 of the file as it was collected, in hex: the picture's name in every later step.
        perceptual_hash: DCT hash (`imagehash.phash`), 256 bits packed into 32 bytes.
        width: Pixels, upright.
        height: Pixels, upright.
        clean: True when the file can be published byte for byte.
    """

    path: Path
    label: str
    sha256: str
    perceptual_hash: bytes
    width: int
    height: int
    clean: bool


def upright_rgb(content: bytes) -> Image.Image:
    """Decodes a file to the picture that people see: turned upright, sRGB, transparency on white, mode RGB.

    Raises:
        RefusedError: Not an image, damaged, too large or too small.
    """
    return decode(content).image


def hashes_of(image: Image.Image) -> tuple[str, bytes]:
    """Returns the two hashes by which an upright RGB picture is recognised.

    Returns:
        SHA-256 of the pixels and their size, in hex, and the perceptual hash: see `Photo`.
    """
    pixels = hashlib.sha256(f"{image.width}x{image.height}".encode())
    pixels.update(image.tobytes())
    return pixels.hexdigest(), _look(image)


def inspect_photo(path: Path, label: str, max_side: int) -> Photo:
    """Reads a file once and tells what later steps need to know about it.

    Args:
        path: The file.
        label: Its class.
        max_side: Longest side in pixels that is published without scaling.

    Raises:
        RefusedError: With the reason for `rejected.csv`.
    """
    content = _read(path)
    decoded = decode(content)
    image = decoded.image
    return Photo(
        path=path,
        label=label,
        sha256=hashlib.sha256(content).hexdigest(),
        perceptual_hash=_look(image),
        width=image.width,
        height=image.height,
        clean=decoded.plain and max(image.size) <= max_side and not metadata_in(content),
    )


def pixels_sha256(photo: Photo) -> str:
    """Reads a photograph again for the SHA-256 of its upright RGB pixels, equal for exact duplicates.

    That costs as much as the first look: `duplicates.pixel_names` knows for which pictures it is needed.

    Raises:
        ChangedFileError: The file is not the one that was inspected.
    """
    return hashes_of(upright_rgb(_read_again(photo)))[0]


def published_bytes(photo: Photo, max_side: int) -> bytes:
    """Returns the bytes that go into the dataset: the file itself when clean, else one fresh JPEG.

    A fresh JPEG is upright sRGB without any metadata, its longest side at most `max_side` pixels; the same file
    gives the same bytes.

    Raises:
        ChangedFileError: The file is not the one that was inspected.
    """
    content = _read_again(photo)
    if photo.clean:
        return content
    image = upright_rgb(content)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    # A picture made anew carries no `info`: nothing of the old file can slip through `save`.
    fresh = Image.new("RGB", image.size)
    fresh.paste(image)
    target = io.BytesIO()
    fresh.save(target, "JPEG", quality=JPEG_QUALITY)
    return target.getvalue()


def _look(image: Image.Image) -> bytes:
    # Averaged down first, to three times the size that is hashed: a fifth of the time, for a bit or two (see
    # `duplicates.NEAR_DISTANCE`). The box leaves out what of the last column and row lies beyond the picture.
    side = 4 * HASH_SIZE
    factor = max(1, min(image.size) // (3 * side))
    box = (0, 0, image.width / factor, image.height / factor)
    small = image.reduce(factor).convert("L").resize((side, side), Image.Resampling.LANCZOS, box)
    return np.packbits(imagehash.phash(small, hash_size=HASH_SIZE).hash.ravel()).tobytes()


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        # Opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise RefusedError("too large", f"{status.st_size:,} bytes, more than {MAX_FILE_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise RefusedError("cannot be read", error.strerror or str(error)) from None


def _read_again(photo: Photo) -> bytes:
    try:
        content = _read(photo.path)
    except RefusedError as refusal:
        raise ChangedFileError(f"{photo.path} could be read a moment ago, now: {refusal}: start again") from None
    if hashlib.sha256(content).hexdigest() != photo.sha256:
        # What was found about its metadata holds no more.
        raise ChangedFileError(f"{photo.path} was changed while it was being read: start again")
    return content
