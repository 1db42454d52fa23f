"""Class names as the figures can show them: short, and in letters that their font has."""

from functools import cache
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

MOST_CLASSES = 100
"""In one figure: neither JPEG nor a person's patience has room for thousands."""
_LONGEST = 40
FONT = Path(findfont(FontProperties(family="DejaVu Sans"), fallback_to_default=False))
"""Comes with matplotlib, and so is the same everywhere: Latin, Greek, Cyrillic and others, no script of India."""


def captions(label_names: list[str]) -> list[str]:
    """Returns what to write beside the pictures of every class: its name, or its number where a letter is lacking."""
    return [
        _shortened(label) if _letters().issuperset(map(ord, label)) else f"class {number}"
        for number, label in enumerate(label_names)
    ]


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


@cache
def _letters() -> frozenset[int]:
    # Neither Pillow nor matplotlib turns lines of Hebrew or Arabic round on every machine.
    return frozenset(code for code in FT2Font(str(FONT)).get_charmap() if not 0x590 <= code <= 0x8FF)
