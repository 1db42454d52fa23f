"""What visitors give: a file becomes an upright RGB picture, or one friendly sentence."""

from pathlib import Path

from PIL import Image

from pictures.decoding import decode
from pictures.refused import RefusedError


class UnreadableError(ValueError):
    """A file that is no picture to look at; `str` is a sentence for the visitor."""


def read_upload(path: Path) -> Image.Image:
    """Reads an uploaded file.

    Returns:
        Mode RGB in sRGB, upright, transparency on white.

    Raises:
        UnreadableError: It is no picture, or one that is too large or too small.
    """
    try:
        return decode(path.read_bytes()).image
    except RefusedError:
        raise UnreadableError("This file can't be read as a picture. JPEG, PNG, WebP and GIF files work.") from None
