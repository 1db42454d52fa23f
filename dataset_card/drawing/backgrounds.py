"""Places to dance in, shared by all dances, drawn soft as if out of focus."""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image, ImageFilter

from dataset_card.drawing.ground import Size
from dataset_card.drawing.indoors import curtain_stage, dark_stage, hall, studio
from dataset_card.drawing.outdoors import open_air, temple, yard

PLACES: dict[str, Callable[[random.Random, Size, float], Image.Image]] = {
    "curtain": curtain_stage,
    "dark": dark_stage,
    "temple": temple,
    "studio": studio,
    "open air": open_air,
    "yard": yard,
    "hall": hall,
}


def draw_background(rng: random.Random, size: Size, horizon: float, kind: str) -> Image.Image:
    """Draws a place.

    Args:
        rng: source of every choice.
        size: width and height, pixels.
        horizon: row where floor and wall meet, pixels; may lie below the picture.
        kind: a key of `PLACES`.

    Returns:
        An RGB picture, blurred as if behind the focus.
    """
    image = PLACES[kind](rng, size, max(1.0, horizon))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 1.9)))
