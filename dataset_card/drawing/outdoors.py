"""Places under the sky: temple, open air, monastery yard."""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image, ImageDraw

from dataset_card.drawing.canvas import clear, darker, lighter, mix
from dataset_card.drawing.ground import Drawer, Size, gradient, lay_boards, lay_floor


def temple(rng: random.Random, size: Size, horizon: float) -> Image.Image:
    """Draws a pillared hall open to the sky, sometimes with a temple tower behind."""
    w, h = size
    stone = rng.choice(((178, 150, 118), (148, 132, 120), (196, 140, 104), (120, 112, 108)))
    sky = rng.choice(((150, 190, 220), (240, 190, 140), (60, 66, 100), (200, 206, 210)))
    image = gradient((w, h), sky, lighter(sky, 0.5))
    d = ImageDraw.Draw(image, "RGBA")
    if rng.random() < 0.6:
        x, half, top = w * rng.uniform(0.1, 0.9), w * rng.uniform(0.16, 0.3), horizon * rng.uniform(0.05, 0.3)
        for k in range(9):
            t = k / 9
            y = horizon - (horizon - top) * t
            width = half * (1 - t) ** 0.7
            d.rectangle(
                (x - width, y - (horizon - top) / 9, x + width, y), fill=mix(stone, sky, 0.35 + 0.04 * (k % 2))
            )
    lintel = horizon * rng.uniform(0.08, 0.18)
    count, shift = rng.randint(2, 5), rng.uniform(-0.5, 0.5)
    wide = w / count * rng.uniform(0.12, 0.24)
    for k in range(-1, count + 1):
        x = (k + 0.5 + shift) * w / count
        d.rectangle((x - wide, 0, x + wide, horizon), fill=stone)
        d.rectangle((x - wide, 0, x - wide * 0.4, horizon), fill=clear(lighter(stone, 0.4), 110))
        d.rectangle((x + wide * 0.4, 0, x + wide, horizon), fill=clear(darker(stone, 0.6), 110))
        for t in (0.25, 0.3, 0.55, 0.6, 0.9, 0.96):
            y = horizon * t
            d.rectangle(
                (x - wide * 1.25, y, x + wide * 1.25, y + horizon * 0.022),
                fill=darker(stone, 0.16),
                outline=clear(darker(stone, 0.6), 120),
            )
    d.rectangle((0, 0, w, lintel), fill=darker(stone, 0.12))
    for k in range(0, w, 18):
        d.ellipse((k + 3, lintel - 15, k + 15, lintel - 3), fill=clear(darker(stone, 0.5), 130))
    d = lay_floor(image, horizon, lighter(stone, 0.12), darker(stone, 0.25))
    lay_boards(d, size, horizon, stone, rng)
    return image


def open_air(rng: random.Random, size: Size, horizon: float) -> Image.Image:
    """Draws hills under a sky, sometimes with palms."""
    w, h = size
    sky = rng.choice(
        (
            ((110, 170, 220), (226, 236, 236)),
            ((250, 170, 110), (252, 226, 180)),
            ((60, 60, 110), (236, 140, 110)),
            ((170, 184, 190), (226, 226, 220)),
        )
    )
    image = gradient(size, *sky)
    d = ImageDraw.Draw(image, "RGBA")
    for layer in range(2):
        tone = mix(rng.choice(((60, 100, 70), (70, 90, 110), (110, 96, 70))), sky[1], 0.55 - 0.3 * layer)
        base, phase = horizon - h * (0.08 - 0.03 * layer), rng.uniform(0, 6)
        ridge = [(x, base - h * 0.05 * (1 + math.sin(x / w * (5 + 3 * layer) + phase))) for x in np.linspace(0, w, 24)]
        d.polygon([*ridge, (w, horizon + 2), (0, horizon + 2)], fill=tone)
    for _ in range(rng.randint(0, 4)):
        _palm(d, rng, rng.uniform(0, w), horizon, h * rng.uniform(0.3, 0.7))
    lay_floor(
        image,
        horizon,
        *rng.choice(
            (((110, 150, 80), (70, 110, 70)), ((214, 190, 140), (180, 150, 110)), ((150, 110, 84), (120, 90, 70)))
        ),
    )
    return image


def _palm(d: Drawer, rng: random.Random, x: float, foot: float, high: float) -> None:
    lean = rng.uniform(-0.2, 0.2) * high
    d.line(
        (x, foot, x + lean * 0.4, foot - high * 0.5, x + lean, foot - high),
        fill=(96, 76, 58),
        width=max(2, int(high * 0.035)),
    )
    for k in range(9):
        a = math.radians(k * 40 + rng.uniform(-10, 10))
        tip = (x + lean + math.cos(a) * high * 0.3, foot - high - math.sin(a) * high * 0.16 + high * 0.07)
        mid = (x + lean + math.cos(a) * high * 0.17, foot - high - math.sin(a) * high * 0.16 - high * 0.06)
        d.polygon([(x + lean, foot - high), mid, tip, (mid[0], mid[1] + high * 0.06)], fill=(48, 92, 56))


def yard(rng: random.Random, size: Size, horizon: float) -> Image.Image:
    """Draws a thatched hall on wooden posts behind a swept yard."""
    w, h = size
    image = gradient(size, (176, 206, 222), (232, 232, 214))
    d = ImageDraw.Draw(image, "RGBA")
    for _ in range(7):
        x, y, r = rng.uniform(0, w), horizon - h * rng.uniform(0.1, 0.5), h * rng.uniform(0.08, 0.2)
        d.ellipse((x - r, y - r, x + r, y + r), fill=rng.choice(((70, 120, 70), (54, 98, 66), (96, 136, 78))))
    left, right, eave = w * rng.uniform(-0.3, 0.15), w * rng.uniform(0.7, 1.3), horizon - h * rng.uniform(0.22, 0.4)
    wall, thatch = (
        rng.choice(((214, 196, 160), (196, 120, 90), (230, 226, 210))),
        rng.choice(((150, 116, 70), (170, 70, 54), (110, 96, 84))),
    )
    d.rectangle((left, eave, right, horizon), fill=darker(wall, 0.35))
    for k in range(9):
        x = left + (right - left) * k / 8
        d.rectangle((x - w * 0.012, eave, x + w * 0.012, horizon), fill=lighter(wall, 0.1))
    d.rectangle((left, horizon - h * 0.05, right, horizon), fill=wall)
    d.polygon(
        [
            (left - w * 0.08, eave + 6),
            (left + w * 0.1, eave - h * 0.2),
            (right - w * 0.1, eave - h * 0.2),
            (right + w * 0.08, eave + 6),
        ],
        fill=thatch,
    )
    for k in range(24):
        x = left + (right - left) * k / 23
        d.line((x, eave - h * 0.19, x + (x - w / 2) * 0.08, eave + 5), fill=clear(darker(thatch, 0.6), 80), width=1)
    lay_floor(image, horizon, (206, 176, 136), (170, 140, 104))
    return image
