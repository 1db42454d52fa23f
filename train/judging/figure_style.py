"""How the figures look, and what they can write."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from figures import mpl

BLUE, ORANGE, GREY, INK = "#1f5f8b", "#d1603d", "#8a8580", "#2b2522"
STYLE: Any = {
    "figure.dpi": 200,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    # A class may be called "$x$".
    "text.parse_math": False,
}
FONT = mpl.font_manager.findfont(mpl.font_manager.FontProperties(family="DejaVu Sans"), fallback_to_default=False)
"""Comes with matplotlib, and so is the same everywhere."""
_LONGEST = 28


def captions(label_names: Sequence[str]) -> list[str]:
    """Returns what figures call the classes: their names, or their numbers where the font lacks a letter."""
    return [caption(name, f"class {number}") for number, name in enumerate(label_names)]


def caption(name: str, otherwise: str) -> str:
    """Returns a name, shortened, or something else where the font lacks one of its letters."""
    if not _letters().issuperset(map(ord, name)):
        return otherwise
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def save(figure: mpl.figure.Figure, path: Path) -> None:
    """Writes a figure as PNG and makes its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


@cache
def _letters() -> frozenset[int]:
    # No script of India; and some of Hebrew and Arabic, which are not turned round on every machine.
    return frozenset(code for code in mpl.ft2font.FT2Font(FONT).get_charmap() if not 0x590 <= code <= 0x8FF)
