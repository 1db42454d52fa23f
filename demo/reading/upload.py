"""What visitors give: a file becomes an upright RGB picture, or one friendly sentence."""

import threading
from pathlib import Path

from PIL import Image

from demo.words import ENGLISH, LANGUAGES
from pictures import RefusedError
from pictures.decoding import decode

MAX_BYTES = 20 * 2**20
"""Of one file. A photograph of 50 megapixels has about fifteen million."""
MAX_RATIO = 20
"""Longer side by shorter side. Resized to a model's view, a thinner one would fill the memory."""
ENOUGH = 1024
"""Pixels of the shorter side: no model folder may ask for a larger view."""

_KEYS = {
    "empty file": "empty",
    "damaged or truncated": "damaged",
    "too large": "too_large",
    "too small": "too_small",
}
# Large pictures fill the memory while they are decoded: two at a time, however many ask.
_DECODERS = threading.Semaphore(2)


class UnreadableError(ValueError):
    """A file that is no picture to look at; `str` is a sentence for the visitor.

    Attributes:
        key: Of the sentence, in `demo/words`.
    """

    def __init__(self, key: str) -> None:
        super().__init__(LANGUAGES[ENGLISH](key))
        self.key = key


def read_upload(path: Path) -> Image.Image:
    """Reads an uploaded file.

    Returns:
        Mode RGB in sRGB, upright, transparency on white; made smaller by a whole factor where the shorter side still
        has `ENOUGH` pixels then.

    Raises:
        UnreadableError: It is no picture, or one that is too large or too small.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableError("too_heavy")
        content = path.read_bytes()
    except OSError:
        # Old uploads are deleted, and their pages may still be open.
        raise UnreadableError("gone") from None
    try:
        with _DECODERS:
            image = decode(content, enough=ENOUGH).image
    except RefusedError as refusal:
        raise UnreadableError(_KEYS.get(refusal.reason, "unreadable")) from None
    if max(image.size) > MAX_RATIO * min(image.size):
        raise UnreadableError("too_narrow")
    return image
