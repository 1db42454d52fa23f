"""Reading one photograph: what it is, whether it may pass as it is, and its clean published bytes."""

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
import xxhash
from PIL import Image

from dataset_card.decoding import decode
from dataset_card.errors import UserError
from dataset_card.metadata import metadata_in
from dataset_card.rejected import RefusedError

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
        pixels_hash: XXH3 (128 bits) of the upright RGB pixels and their size, in hex: equal for exact duplicates.
        perceptual_hash: DCT hash (`imagehash.phash`), 256 bits packed into 32 bytes.
        width: Pixels, upright.
        height: Pixels, upright.
        clean: True when the file can be published byte for byte.
    """

    path: Path
    label: str
    sha256: str
    pixels_hash: str
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
        That of the pixels, in hex, and the perceptual one: see `Photo`.
    """
    # SHA-256 of the pixels takes half as long as decoding them, and nobody gains by forging an equal pair.
    pixels = xxhash.xxh3_128(f"{image.width}x{image.height}".encode())
    pixels.update(image.tobytes())
    # A quarter of the time of scaling in one step, for a bit or two: see `duplicates.NEAR_DISTANCE`.
    small = image.convert("L").resize((4 * HASH_SIZE,) * 2, Image.Resampling.LANCZOS, reducing_gap=3.0)
    bits = imagehash.phash(small, hash_size=HASH_SIZE).hash
    return pixels.hexdigest(), np.packbits(bits.ravel()).tobytes()


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
    pixels_hash, perceptual_hash = hashes_of(image)
    return Photo(
        path=path,
        label=label,
        sha256=hashlib.sha256(content).hexdigest(),
        pixels_hash=pixels_hash,
        perceptual_hash=perceptual_hash,
        width=image.width,
        height=image.height,
        clean=decoded.plain and max(image.size) <= max_side and not metadata_in(content),
    )


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
