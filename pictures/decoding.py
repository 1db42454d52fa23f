"""Decoding: the bytes of a file become upright RGB pixels, or the reason why they can't."""

import io
import logging
import os
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

from PIL import ExifTags, Image, JpegImagePlugin, TiffImagePlugin
from pillow_heif import register_heif_opener

from pictures import RefusedError
from pictures.colour import srgb_on_white

MAX_PIXELS = 100_000_000
"""A photograph with more pixels than this is refused before it is decoded (decompression bombs)."""
MIN_SIDE = 32
"""Pixels. Below this there is no dancer to see."""
MAX_SCANS = 50
"""A progressive JPEG has about ten. Each goes over the whole picture, and a small file has room for thousands."""

# MPO, the several pictures of a phone in one file, opens as JPEG.
_READ_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif",
}  # fmt: skip
"""How the names of files end that are read, in small letters."""
# Formats whose bytes every reader of the published dataset can decode.
_PUBLISHED_FORMATS = {"JPEG", "PNG", "WEBP"}
# What Pillow's decoders answer a damaged file with.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A JPEG marker: neither a stuffed byte of the picture's data nor a restart within them.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")

# Pillow has no decoder of its own for what iPhones write. The pictures are decoded one per thread of ours.
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


@dataclass(frozen=True)
class Decoded:
    """A photograph as people see it.

    Attributes:
        image: Mode RGB in sRGB, turned as its EXIF orientation says, transparency on white.
        plain: True when any reader of JPEG, PNG or WebP sees the same in the file itself.
        format: Of the file, as Pillow calls it: "JPEG", "PNG".
        mode: Of the file, as Pillow calls it: "RGB", "L", "RGBA".
        turned: An orientation tag asks viewers to turn it.
    """

    image: Image.Image
    plain: bool
    format: str
    mode: str
    turned: bool


def decode(content: bytes, enough: int | None = None, min_side: int = MIN_SIDE) -> Decoded:
    """Decodes a file, the first picture where it holds several.

    Args:
        content: The whole file.
        min_side: Pixels; a picture with a shorter side is refused.
        enough: Pixels of the shorter side that will do: a picture with at least twice as many comes smaller by a whole
            factor. A JPEG is then decoded at that size, in a fraction of the time and memory.

    Raises:
        RefusedError: Not an image, of a format that is not read, damaged, too large or too small.
    """
    if not content:
        raise RefusedError("empty file")
    with NO_WARNINGS:
        try:
            image = Image.open(io.BytesIO(content), formats=_READ_FORMATS)
            _check_size(image, min_side)
            if _is_raw(image, content):
                raise RefusedError("format not read", "a camera's raw file: develop it first")
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                _check_scans(content)
                if enough:
                    image.draft(None, (enough, enough))
            with NO_STDERR if image.format == "TIFF" else nullcontext():
                image.load()
            orientation, mode = _orientation(image), image.mode
            plain = (
                image.format in _PUBLISHED_FORMATS
                and image.mode == "RGB"
                and not image.has_transparency_data
                and orientation not in _UPRIGHT
                and not (image.format == "PNG" and content[24] == 16)
            )
            upright = srgb_on_white(image)
            if enough and (factor := min(upright.size) // enough) > 1:
                upright = upright.reduce(factor)
            if orientation in _UPRIGHT:
                upright = upright.transpose(_UPRIGHT[orientation])
            return Decoded(upright, plain, image.format or "", mode, orientation in _UPRIGHT)
        except RefusedError:
            raise
        except Image.UnidentifiedImageError:
            raise _unidentified(content) from None
        except Image.DecompressionBombError:
            raise RefusedError("too large", f"more than {MAX_PIXELS:,} pixels") from None
        except _DECODER_ERRORS as error:
            if "MAX_TEXT" in str(error):
                raise RefusedError("too large", "text or profile that unpacks to more than a megabyte") from None
            raise RefusedError("damaged or truncated", str(error)) from None


def _check_size(image: Image.Image, min_side: int) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise RefusedError("too large", f"{width} x {height} pixels, more than {MAX_PIXELS:,}")
    if min(width, height) < min_side:
        raise RefusedError("too small", f"{width} x {height} pixels, a side under {min_side}")


def _check_scans(content: bytes) -> None:
    # Nearly all files are done here, in a fraction of what the walk takes.
    if content.count(b"\xff\xda") <= MAX_SCANS:
        return
    scans, at = 0, 2
    # Marker by marker up to the end of the picture: what phones append, such as a film, may hold the same bytes.
    while (marker := _JPEG_MARKER.search(content, at)) and marker[1] != b"\xd9":
        scans += marker[1] == b"\xda"
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
    if scans > MAX_SCANS:
        raise RefusedError("too large", f"{scans} scans, more than {MAX_SCANS}")


def _is_raw(image: Image.Image, content: bytes) -> bool:
    """Tells whether a TIFF is a camera's raw file, whose first picture is a thumbnail."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    dng_version, reduced = 50706, image.tag_v2.get(254, 0) & 1
    return bool(reduced) or dng_version in image.tag_v2 or content[8:10] == b"CR"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DECODER_ERRORS:
        # Broken EXIF is no reason to lose the picture.
        return 1


def _unidentified(content: bytes) -> RefusedError:
    """Says what a file is that none of our decoders takes."""
    Image.init()
    name = next((name for name in Image.ID if _begins_like(content, name)), None)
    if name is None:
        return RefusedError("not an image")
    if name in _READ_FORMATS:
        return RefusedError("damaged or truncated", f"begins like {name}, but none that can be decoded")
    return RefusedError("format not read", name)


def _begins_like(content: bytes, name: str) -> bool:
    accept = Image.OPEN[name][1]
    try:
        return accept is not None and bool(accept(content[:16]))
    except _DECODER_ERRORS:
        return False


class _Shared:
    """A context of the whole process, open while at least one thread is inside.

    Were it opened by each, the first to leave would put back what it had found while others are still at work.
    """

    def __init__(self, context: Callable[[], AbstractContextManager[None]]) -> None:
        self._context, self._opened = context, ExitStack()
        self._inside = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._opened.enter_context(self._context())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._opened.close()


@contextmanager
def _without_warnings() -> Iterator[None]:
    log = logging.getLogger("PIL")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            log.setLevel(level)


@contextmanager
def _without_stderr() -> Iterator[None]:
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


NO_WARNINGS = _Shared(_without_warnings)
"""`with NO_WARNINGS:` silences Python's warnings and Pillow's log about odd files: a `RefusedError` says enough."""

NO_STDERR = _Shared(_without_stderr)
"""`with NO_STDERR:` silences what a C library (libtiff) writes to the terminal by itself; to be held for a moment."""
