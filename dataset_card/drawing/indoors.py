"""Indoor places: curtain stage, dark stage, studio, festive hall."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageDraw

from dataset_card.drawing.canvas import Colour, clear, darker, lighter, mix
from dataset_card.drawing.ground import Size, gradient, lay_boards, lay_floor

CLOTHS: tuple[Colour, ...] = (
    (120, 18, 34),
    (22, 26, 50),
    (30, 30, 34),
    (18, 74, 70),
    (84, 28, 84),
    (150, 96, 40),
    (40, 70, 40),
    (62, 84, 120),
)
WALLS: tuple[Colour, ...] = (
    (226, 214, 194),
    (190, 196, 200),
    (214, 176, 150),
    (120, 130, 150),
    (168, 178, 150),
    (92, 60, 64),
    (206, 190, 214),
)


def curtain_stage(rng: random.Random, size: Size, horizon: float) -> Image.Image:
    """Draws a stage in front of a folded curtain, sometimes under a scalloped trim."""
    w, _ = size
    cloth, wood = rng.choice(CLOTHS), rng.choice(((126, 80, 48), (70, 50, 44), (164, 120, 80), (52, 50, 56)))
    image = Image.new("RGB", size, cloth)
    d = ImageDraw.Draw(image, "RGBA")
    x, step = -w * 0.1, w * rng.uniform(0.05, 0.11)
    while x < w * 1.1:
        fold = step * rng.uniform(0.7, 1.3)
        d.polygon(
            [(x, 0), (x + fold * 0.45, 0), (x + fold * 0.55, horizon), (x + fold * 0.1, horizon)],
            fill=clear(lighter(cloth, 0.35), 70),
        )
        d.polygon(
            [(x + fold * 0.6, 0), (x + fold, 0), (x + fold, horizon), (x + fold * 0.7, horizon)],
            fill=clear(darker(cloth, 0.75), 130),
        )
        x += fold
    if rng.random() < 0.5:
        trim, swag = lighter(rng.choice(CLOTHS), 0.2), w / rng.choice((2, 3, 4))
        k = -0.5
        while k * swag < w:
            box = (k * swag, -swag * 0.35, (k + 1) * swag, swag * 0.35)
            d.ellipse(box, fill=trim, outline=(214, 168, 70), width=3)
            k += 1
    d = lay_floor(image, horizon, wood, darker(wood, 0.45))
    lay_boards(d, size, horizon, wood, rng)
    return image


def dark_stage(rng: random.Random, size: Size, horizon: float) -> Image.Image:
    """Draws a dark stage with beams from coloured lamps."""
    w, h = size
    base = rng.choice(((16, 16, 26), (30, 14, 22), (12, 26, 30), (24, 18, 40)))
    image = gradient(size, base, lighter(base, 0.12))
    d = ImageDraw.Draw(image, "RGBA")
    for _ in range(rng.randint(2, 5)):
        x, tone = rng.uniform(0, w), rng.choice(((255, 190, 110), (120, 170, 255), (255, 110, 160), (250, 240, 220)))
        low = x + rng.uniform(-0.4, 0.4) * w
        for spread in (0.06, 0.12):
            d.polygon(
                [(x - 4, 0), (x + 4, 0), (low + w * spread, horizon), (low - w * spread, horizon)],
                fill=clear(tone, 26),
            )
        d.ellipse((x - 7, -6, x + 7, 8), fill=clear(tone, 220))
    for _ in range(rng.randint(0, 14)):
        x, y, r = rng.uniform(0, w), rng.uniform(0, horizon), rng.uniform(3, 12)
        d.ellipse((x - r, y - r, x + r, y + r), fill=(255, 200, 120, rng.randint(20, 80)))
    d = lay_floor(image, horizon, lighter(base, 0.22), lighter(base, 0.05))
    d.ellipse((w * 0.1, horizon + h * 0.02, w * 0.9, horizon + h * 0.22), fill=(255, 240, 210, 34))
    return image


def studio(rng: random.Random, size: Size, horizon: float) -> Image.Image:
    """Draws a plain wall with a soft glow."""
    wall = rng.choice(WALLS)
    image = gradient(size, lighter(wall, 0.18), darker(wall, 0.12))
    d = ImageDraw.Draw(image, "RGBA")
    w, h = size
    cx, cy, r = w * rng.uniform(0.2, 0.8), h * rng.uniform(0.1, 0.6), max(size) * rng.uniform(0.25, 0.5)
    for k in range(24):
        s = r * (1 - k / 25)
        d.ellipse((cx - s, cy - s, cx + s, cy + s), fill=clear(lighter(wall, 0.6), 8))
    lay_floor(image, horizon, lighter(wall, 0.1), darker(wall, 0.22))
    return image


def hall(rng: random.Random, size: Size, horizon: float) -> Image.Image:
    """Draws a festive hall with arches and marigold strings."""
    w, _ = size
    wall = rng.choice(WALLS)
    image = gradient(size, darker(wall, 0.2), wall)
    d = ImageDraw.Draw(image, "RGBA")
    count = rng.randint(1, 4)
    for k in range(count):
        x, half = (k + 0.5) * w / count, w / count * 0.36
        tone = mix(darker(wall, 0.5), rng.choice(CLOTHS), 0.4)
        d.rectangle((x - half, horizon * 0.4, x + half, horizon), fill=tone)
        d.pieslice((x - half, horizon * 0.4 - half, x + half, horizon * 0.4 + half), 180, 360, fill=tone)
    strings, tone = rng.randint(0, 12), rng.choice(((240, 150, 30), (250, 200, 60), (220, 60, 50), (250, 246, 236)))
    for k in range(strings):
        x, r = (k + 0.5) * w / strings, max(3.0, w * 0.012)
        for y in np.arange(0, horizon * rng.uniform(0.15, 0.5), r * 1.7):
            d.ellipse((x - r, y - r, x + r, y + r), fill=darker(tone, rng.uniform(0, 0.25)))
    floor = rng.choice(((150, 60, 50), (120, 84, 60), (190, 180, 170), (60, 60, 80)))
    d = lay_floor(image, horizon, floor, darker(floor, 0.35))
    if rng.random() < 0.5:
        lay_boards(d, size, horizon, floor, rng)
    return image
