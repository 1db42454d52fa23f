"""Figures made of pictures, for a talk. They hold parts of the dataset: its licences decide where they may go."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from train.judging.figure_style import BLUE, FONT, INK, ORANGE

_SIDE, _GAP, _TITLE, _LINE = 340, 18, 36, 24
_PAPER = "#f6f3ee"


@dataclass(frozen=True)
class Tile:
    """A picture with what stands above it.

    Attributes:
        picture: RGB.
        title: The first line above it, in the colour of what it shows.
        notes: The lines that follow.
        right: Whether it shows a right answer or a wrong one; None where it shows none.
    """

    picture: Image.Image
    title: str
    notes: tuple[str, ...]
    right: bool | None = None


def draw_tiles(path: Path, lines: Sequence[Sequence[Tile | None]], title: str) -> None:
    """Draws lines of pictures.

    Args:
        path: The JPEG file to write.
        lines: From top to bottom, each from left to right; None leaves a place empty.
        title: Stands above them.
    """
    head = _TITLE + _LINE * max(len(tile.notes) for line in lines for tile in line if tile)
    across, down = _SIDE + _GAP, head + _SIDE + _GAP
    size = (max(map(len, lines)) * across + _GAP, len(lines) * down + 60)
    sheet = Image.new("RGB", size, "white")
    ImageDraw.Draw(sheet).text((_GAP, 14), title, INK, ImageFont.truetype(FONT, 27))
    for number, line in enumerate(lines):
        for column, tile in enumerate(line):
            if tile:
                sheet.paste(_drawn(tile, head), (_GAP + column * across, 60 + number * down))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=90)


def _drawn(tile: Tile, head: int) -> Image.Image:
    drawn = Image.new("RGB", (_SIDE, head + _SIDE), "white")
    draw = ImageDraw.Draw(drawn)
    draw.text((0, 2), tile.title, {True: BLUE, False: ORANGE, None: INK}[tile.right], ImageFont.truetype(FONT, 22))
    for number, note in enumerate(tile.notes):
        draw.text((0, _TITLE + number * _LINE), note, INK, ImageFont.truetype(FONT, 17))
    drawn.paste(ImageOps.pad(tile.picture, (_SIDE, _SIDE), color=_PAPER), (0, head))
    return drawn
