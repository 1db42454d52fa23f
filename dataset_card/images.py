"""Reading one photograph: what it is, whether it may pass as it is, and its clean published bytes."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

HASH_SIZE = 16
"""Side of the perceptual hash: 16 x 16 = 256 bits."""
MAX_PIXELS = 100_000_000
"""A photograph with more pixels than this is refused before it is decoded (decompression bombs)."""
MIN_SIDE = 32
"""Pixels. Below this there is no dancer to see."""
JPEG_QUALITY = 92

_READ_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# Formats whose bytes every reader of the published dataset can decode.
_PUBLISHED_FORMATS = {"JPEG", "PNG", "WEBP"}
# What Pillow's `info` may hold without telling anything about a person, a place or a camera.
_HARMLESS_INFO = {
    "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "progressive", "progression", "gamma",
    "loop", "background", "timestamp", "duration",
}  # fmt: skip


class RefusedError(ValueError):
    """A file that can't become a row of the dataset.

    Attributes:
        reason: Short, the same for every file of its kind, so that it can be counted.
        detail: What was found in this file.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Photo:
    """What one look at a file tells, without keeping its pixels.

    Attributes:
        path: The file.
        label: Its class.
        sha256: SHA-256 of the file as it was collected, in hex: the picture's name in every later step.
        pixels_sha256: SHA-256 of the upright RGB pixels and their size: equal for exact duplicates.
        perceptual_hash: DCT hash (`imagehash.phash`), 256 bits packed into 32 bytes.
        width: Pixels, upright.
        height: Pixels, upright.
        clean: True when the file can be published byte for byte.
    """

    path: Path
    label: str
    sha256: str
    pixels_sha256: str
    perceptual_hash: bytes
    width: int
    height: int
    clean: bool


def _decode(content: bytes) -> tuple[Image.Image, bool]:
    """Decodes a file to upright RGB.

    Args:
        content: The whole file.

    Returns:
        The picture in mode RGB, turned as its EXIF orientation says, transparency on white, and whether the
        bytes are publishable as they are.

    Raises:
        RefusedError: Not an image, damaged, too large or too small.
    """
    if not content:
        raise RefusedError("empty file")
    try:
        with warnings.catch_warnings():
            # Pillow warns about large pictures and about damaged EXIF; our own limits decide.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=_READ_FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise RefusedError("too large", f"{width} x {height} pixels, more than {MAX_PIXELS:,}")
            if min(width, height) < MIN_SIDE:
                raise RefusedError("too small", f"{width} x {height} pixels, a side under {MIN_SIDE}")
            image.load()
            clean = (
                image.format in _PUBLISHED_FORMATS
                and image.mode == "RGB"
                and not image.getexif()
                and set(image.info) <= _HARMLESS_INFO
                and getattr(image, "n_frames", 1) == 1
            )
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright)
            return upright.convert("RGB"), clean
    except UnidentifiedImageError:
        raise RefusedError("not an image") from None
    except Image.DecompressionBombError:
        raise RefusedError("too large", f"more than {MAX_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        if isinstance(error, RefusedError):
            raise
        # Pillow's decoders answer a damaged file with any of these.
        raise RefusedError("damaged or truncated", str(error)) from None


def upright_rgb(content: bytes) -> Image.Image:
    """Decodes a file to the picture that people see: turned upright, transparency on white, mode RGB.

    Raises:
        RefusedError: Not an image, damaged, too large or too small.
    """
    return _decode(content)[0]


def hashes_of(image: Image.Image) -> tuple[str, bytes]:
    """Returns the two hashes by which an upright RGB picture is recognised.

    Returns:
        SHA-256 of the pixels and their size, in hex, and the perceptual hash: see `Photo`.
    """
    pixels = hashlib.sha256(f"{image.width}x{image.height}".encode())
    pixels.update(image.tobytes())
    bits = imagehash.phash(image, hash_size=HASH_SIZE).hash
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
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RefusedError("cannot be read", error.strerror or str(error)) from None
    image, clean = _decode(content)
    pixels_sha256, perceptual_hash = hashes_of(image)
    return Photo(
        path=path,
        label=label,
        sha256=hashlib.sha256(content).hexdigest(),
        pixels_sha256=pixels_sha256,
        perceptual_hash=perceptual_hash,
        width=image.width,
        height=image.height,
        clean=clean and max(image.size) <= max_side,
    )


def published_bytes(photo: Photo, max_side: int) -> bytes:
    """Returns the bytes that go into the dataset: the file itself when clean, else one fresh JPEG.

    A fresh JPEG is upright RGB without any metadata, its longest side at most `max_side` pixels.
    """
    content = photo.path.read_bytes()
    if photo.clean:
        return content
    image, _ = _decode(content)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    # A picture made anew carries no `info`: nothing of the old file can slip through `save`.
    fresh = Image.frombytes("RGB", image.size, image.tobytes())
    target = io.BytesIO()
    fresh.save(target, "JPEG", quality=JPEG_QUALITY)
    return target.getvalue()
