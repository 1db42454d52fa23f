"""One sample picture: a place, a framing, one or two dancers, light. Pure in (dance, seed, index)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

from PIL import Image

from dataset_card.drawing.backgrounds import PLACES, draw_background
from dataset_card.drawing.canvas import Canvas
from dataset_card.drawing.company import audience, floor_shadow, musician
from dataset_card.drawing.lighting import light
from dataset_card.drawing.looks.bharatanatyam import bharatanatyam
from dataset_card.drawing.looks.kathak import kathak
from dataset_card.drawing.looks.kathakali import kathakali
from dataset_card.drawing.looks.kuchipudi import kuchipudi
from dataset_card.drawing.looks.manipuri import manipuri
from dataset_card.drawing.looks.mohiniyattam import mohiniyattam
from dataset_card.drawing.looks.odissi import odissi
from dataset_card.drawing.looks.sattriya import sattriya
from dataset_card.drawing.performer import Performer
from dataset_card.drawing.props import brass_lamp

LOOKS: dict[str, Callable[[random.Random], Performer]] = {
    "bharatanatyam": bharatanatyam,
    "kathak": kathak,
    "kathakali": kathakali,
    "kuchipudi": kuchipudi,
    "manipuri": manipuri,
    "mohiniyattam": mohiniyattam,
    "odissi": odissi,
    "sattriya": sattriya,
}
DANCES: tuple[str, ...] = tuple(LOOKS)
SUPERSAMPLING = 2
ASPECTS = (0.62, 0.68, 0.75, 0.8, 1.0, 1.2, 1.33, 1.5)
# Places are shared; a home place is only somewhat likelier than the others.
HOMES = {"sattriya": "yard", "odissi": "temple", "kathakali": "dark", "kathak": "hall", "manipuri": "open air"}

# Where an audience sits in rows.
SEATED = ("curtain", "dark", "hall")


def draw_picture(dance: str, seed: int, index: int) -> Image.Image:
    """Draws one picture of a dance.

    Args:
        dance: one of `DANCES`.
        seed: of the whole set of pictures.
        index: of the picture within the dance, from 0.

    Returns:
        An RGB picture, 256 to 640 pixels on each side, the same for the same arguments on every call.

    Raises:
        ValueError: if the dance is unknown.
    """
    if dance not in LOOKS:
        raise ValueError(f"unknown dance {dance!r}; known are {', '.join(DANCES)}")
    digest = hashlib.sha256(f"{dance}/{seed}/{index}".encode()).digest()
    rng = random.Random(int.from_bytes(digest[:16], "big"))
    size = _size(rng)
    performer, mirrored = LOOKS[dance](rng), rng.random() < 0.5
    scale, x, floor = _framing(rng, size, performer, mirrored)
    horizon = floor - rng.uniform(3, 16) * scale
    place = rng.choices(tuple(PLACES), [1.7 if HOMES.get(dance) == p else 1.0 for p in PLACES])[0]
    image = draw_background(rng, size, horizon, place)
    image = image.resize((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), Image.Resampling.BILINEAR)
    _company(image, rng, dance, (scale, x, floor), size[0])
    canvas = Canvas(image, scale * SUPERSAMPLING, (x * SUPERSAMPLING, floor * SUPERSAMPLING), mirrored)
    floor_shadow(canvas, performer.joints.pelvis.x, max(16.0, performer.wide * 0.9), rng.randint(14, 40))
    performer.paint(canvas)
    if place in SEATED and rng.random() < 0.2:
        front = Canvas(image, min(image.size) / 105, (image.width / 2, image.height))
        audience(front, rng, 90.0, rng.uniform(1, 6))
    image = image.reduce(SUPERSAMPLING)
    return light(image, rng, (x / size[0], max(0.1, min(0.8, (floor - 60 * scale) / size[1]))))


def _size(rng: random.Random) -> tuple[int, int]:
    """Returns width and height in pixels."""
    aspect, area = rng.choice(ASPECTS) * rng.uniform(0.96, 1.04), rng.uniform(340, 450) ** 2
    width, height = (area * aspect) ** 0.5, (area / aspect) ** 0.5
    return max(256, min(640, round(width))), max(256, min(640, round(height)))


def _framing(
    rng: random.Random, size: tuple[int, int], performer: Performer, mirrored: bool
) -> tuple[float, float, float]:
    """Chooses how much of the dancer is seen.

    Returns:
        Pixels per figure unit, the pixel column of the figure's middle, the pixel row of the floor.
    """
    w, h = size
    left, bottom, right, top = performer.box()
    if mirrored:
        left, right = -right, -left
    shot = rng.choices(("full", "wide", "knees", "half"), (0.48, 0.2, 0.18, 0.14))[0]
    if shot in ("full", "wide"):
        fill = rng.uniform(0.86, 0.97) if shot == "full" else rng.uniform(0.58, 0.78)
        scale = min(h * fill / (top - bottom), w * min(1.0, fill * 1.08) / (right - left))
        spare = h - (top - bottom) * scale
        floor = h + bottom * scale - spare * rng.uniform(0.15, 0.6)
    else:
        cut = rng.uniform(16, 28) if shot == "knees" else rng.uniform(36, 50)
        scale = min(h * rng.uniform(0.9, 0.98) / (top - cut), w * 1.25 / (right - left))
        floor = h + cut * scale
    spare = w - (right - left) * scale
    middle = w / 2 - (left + right) / 2 * scale
    x = middle + (spare * rng.uniform(-0.45, 0.45) if spare > 0 else spare * rng.uniform(-0.25, 0.25))
    return scale, x, floor


def _company(
    image: Image.Image, rng: random.Random, dance: str, frame: tuple[float, float, float], width: int
) -> None:
    """Draws who else is there, further back: a second dancer, musicians, a lamp."""
    scale, x, floor = frame
    s = SUPERSAMPLING
    side = 1 if x < width / 2 else -1
    back = floor - rng.uniform(2, 8) * scale
    if rng.random() < 0.2:
        size = scale * rng.uniform(0.6, 0.8)
        other = LOOKS[dance](rng)
        canvas = Canvas(image, size * s, ((x + side * 44 * scale) * s, back * s), rng.random() < 0.5)
        floor_shadow(canvas, other.joints.pelvis.x, 16, 24)
        other.paint(canvas)
    elif rng.random() < 0.26 and floor < image.height / s * 1.05:
        size = scale * rng.uniform(0.7, 0.9)
        for k in range(rng.randint(1, 3)):
            musician(Canvas(image, size * s, ((x + side * (38 + 28 * k) * scale) * s, back * s)), rng, 0.0, -side)
    if rng.random() < (0.45 if dance == "kathakali" else 0.16):
        lamp = rng.choice((-1, 1)) * rng.uniform(32, 44)
        brass_lamp(Canvas(image, scale * s, ((x + lamp * scale) * s, (floor - scale) * s)), 0.0, rng.uniform(38, 60))
