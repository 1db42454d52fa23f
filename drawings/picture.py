"""One picture: a place, a dancer in a frame, company, light. It depends on dance, seed and number alone."""

import hashlib
import random

from PIL import Image

from drawings.canvas import Canvas, Frame
from drawings.costumes import COLOURS, COSTUMES
from drawings.dancer import Dancer, dress, paint_marks
from drawings.ornaments import MARKS
from drawings.places import PLACES, draw_audience, draw_musician, draw_place, draw_shadow, light

DANCES: tuple[str, ...] = tuple(COSTUMES)
SUPERSAMPLING = 2
ASPECTS = (0.62, 0.68, 0.75, 0.8, 1.0, 1.2, 1.33, 1.5)


def draw_picture(dance: str, seed: int, number: int) -> Image.Image:
    """Draws one picture of a dance.

    Args:
        dance: One of `DANCES`.
        seed: Seed of the whole set of pictures.
        number: Number of the picture within the dance, from 0.

    Returns:
        An RGB image, 256 to 640 pixels on each side, the same for the same arguments on every call.

    Raises:
        ValueError: `dance` is unknown.
    """
    if dance not in COSTUMES:
        raise ValueError(f"unknown dance {dance!r}; known are {', '.join(DANCES)}")
    rng = random.Random(int.from_bytes(hashlib.sha256(f"{dance}/{seed}/{number}".encode()).digest()[:16], "big"))
    aspect, side = rng.choice(ASPECTS) * rng.uniform(0.96, 1.04), rng.uniform(340, 450)
    size = (round(min(640, max(256, side * aspect**0.5))), round(min(640, max(256, side / aspect**0.5))))
    dancer, mirrored = dress(dance, rng), rng.random() < 0.5
    scale, x, floor = _frame(rng, size, dancer, mirrored)
    place, s = rng.choice(PLACES), SUPERSAMPLING
    image = draw_place(rng, size, floor - rng.uniform(3, 16) * scale, place)
    image = image.resize((size[0] * s, size[1] * s), Image.Resampling.BILINEAR)
    _draw_company(image, rng, dance, (scale * s, x * s, floor * s))
    canvas = Canvas(image, scale * s, (x * s, floor * s), mirrored)
    left, _, right, _ = dancer.box()
    draw_shadow(canvas, dancer.joints.pelvis.x, min(24.0, (right - left) * 0.35), rng.randint(7, 20))
    dancer.paint(canvas)
    if place == "stage" and rng.random() < 0.2:
        draw_audience(image, rng)
    focus = (x / size[0], max(0.1, min(0.8, (floor - 60 * scale) / size[1])))
    return light(image.reduce(s), rng, focus)


def _frame(rng: random.Random, size: tuple[int, int], dancer: Dancer, mirrored: bool) -> tuple[float, float, float]:
    """Chooses how much of the dancer is seen: from head to toe, to the knees, or the upper half.

    Returns:
        Pixels per figure unit, the pixel column of the figure's middle, the pixel row of the floor.
    """
    w, h = size
    left, bottom, right, top = dancer.box()
    if mirrored:
        left, right = -right, -left
    shot = rng.choices(("full", "wide", "knees", "half"), (0.48, 0.2, 0.18, 0.14))[0]
    if shot in ("full", "wide"):
        fill = rng.uniform(0.86, 0.97) if shot == "full" else rng.uniform(0.58, 0.78)
        scale = min(h * fill / (top - bottom), w * min(1.0, fill * 1.08) / (right - left))
        floor = h + bottom * scale - (h - (top - bottom) * scale) * rng.uniform(0.15, 0.6)
    else:
        cut = rng.uniform(16, 28) if shot == "knees" else rng.uniform(36, 50)
        scale = min(h * rng.uniform(0.9, 0.98) / (top - cut), w * 1.25 / (right - left))
        floor = h + cut * scale
    spare = w - (right - left) * scale
    shift = abs(spare) * rng.uniform(-0.45, 0.45) * (1 if spare > 0 else 0.5)
    return scale, w / 2 - (left + right) / 2 * scale + shift, floor


def _draw_company(image: Image.Image, rng: random.Random, dance: str, frame: tuple[float, float, float]) -> None:
    """Draws who else is there, further back: a second dancer, or musicians; and a lamp."""
    scale, x, floor = frame
    side = 1 if x < image.width / 2 else -1
    back, who = floor - rng.uniform(2, 8) * scale, rng.random()
    if who < 0.2:
        canvas = Canvas(image, scale * rng.uniform(0.6, 0.8), (x + side * 44 * scale, back), rng.random() < 0.5)
        other = dress(dance, rng)
        draw_shadow(canvas, other.joints.pelvis.x, 16, 12)
        other.paint(canvas)
    elif who < 0.42 and floor < image.height * 1.05:
        size = scale * rng.uniform(0.7, 0.9)
        for k in range(rng.randint(1, 3)):
            draw_musician(Canvas(image, size, (x + side * (38 + 28 * k) * scale, back), side > 0), rng)
    if rng.random() < (0.4 if dance == "kathakali" else 0.16):
        at = x + rng.choice((-1, 1)) * rng.uniform(32, 44) * scale
        lamp = Canvas(image, scale * rng.uniform(0.85, 1.3), (at, floor - scale))
        paint_marks(lamp, Frame(0, 0), MARKS["brass lamp"], COLOURS)
