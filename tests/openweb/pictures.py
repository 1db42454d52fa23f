"""Small photographs that differ, as bytes."""

import io
from functools import cache

import numpy as np
from PIL import Image


@cache
def picture(seed: int, width: int = 320, height: int = 240, kind: str = "JPEG") -> bytes:
    """Returns a file of random blocks; the same arguments give the same bytes."""
    blocks = np.random.default_rng(seed).integers(0, 190, (6, 8, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(blocks).resize((width, height)).save(target, kind)
    return target.getvalue()
