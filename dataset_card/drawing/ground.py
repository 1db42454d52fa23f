"""What every place is built from: graded surfaces, a floor, floor boards."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

from dataset_card.drawing.canvas import Colour, clear, darker

Drawer = ImageDraw.ImageDraw
Size = tuple[int, int]


def gradient(size: Size, top: Colour, bottom: Colour) -> Image.Image:
    """Returns a vertical gradient, RGB, of `size` pixels (width, height)."""
    share = np.linspace(0, 1, max(2, size[1]))[:, None]
    column = np.array(top[:3]) * (1 - share) + np.array(bottom[:3]) * share
    return Image.fromarray(column.round().astype(np.uint8)[:, None, :]).resize(size)


def lay_floor(image: Image.Image, horizon: float, near: Colour, far: Colour) -> Drawer:
    """Paints the floor below the horizon and returns a drawer for the rest."""
    w, h = image.size
    if horizon < h:
        y = max(0, int(horizon))
        image.paste(gradient((w, h - y), far, near), (0, y))
    return ImageDraw.Draw(image, "RGBA")


def lay_boards(d: Drawer, size: Size, horizon: float, colour: Colour, rng: random.Random) -> None:
    """Draws floor boards that run towards a vanishing point."""
    w, h = size
    vanish = w * rng.uniform(0.3, 0.7)
    for k in range(-14, 15):
        d.line(
            (vanish + k * w * 0.05, horizon, vanish + k * w * 0.22, horizon + h * 0.5),
            fill=clear(darker(colour, 0.6), 90),
            width=1,
        )
