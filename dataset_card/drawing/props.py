"""Things stood on, carried or played: brass plate, pot, lamps, drum."""

from __future__ import annotations

import math

import numpy as np

from dataset_card.drawing.canvas import Canvas, Colour, Frame, Point, clear, darker, lighter, mix

BRASS: Colour = (196, 146, 56)


def brass_plate(canvas: Canvas, centre: Point, radius: float) -> None:
    """Draws the rimmed brass plate that is danced on, seen from slightly above."""
    x, y = centre
    canvas.oval((x, y - 0.8), radius + 0.2, radius * 0.24, darker(BRASS, 0.55))
    canvas.oval((x, y), radius, radius * 0.24, lighter(BRASS, 0.25), darker(BRASS, 0.4))
    canvas.oval((x, y - 0.2), radius * 0.84, radius * 0.18, mix(BRASS, (120, 70, 20), 0.35))
    canvas.oval((x - radius * 0.3, y + 0.1), radius * 0.3, radius * 0.06, clear(lighter(BRASS, 0.8), 120))


def pot(canvas: Canvas, base: Frame, colour: Colour = BRASS) -> None:
    """Draws a round water pot that stands at the frame's origin."""
    body = [(-2.2, 0), (-4.6, 2.4), (-4.2, 5.4), (-1.9, 7.2), (1.9, 7.2), (4.2, 5.4), (4.6, 2.4), (2.2, 0)]
    canvas.blob(base.at(body), colour, darker(colour, 0.5))
    canvas.blob(base.at([(1.6, 0.6), (4.0, 2.6), (3.6, 5.2), (1.8, 6.4), (2.6, 3.6)]), clear(darker(colour, 0.7), 90))
    canvas.blob(base.at([(-3.4, 3.0), (-3.0, 5.0), (-2.2, 5.6), (-2.5, 3.6)]), clear(lighter(colour, 0.8), 150))
    canvas.polygon(
        base.at([(-1.9, 7.0), (-3.0, 8.6), (3.0, 8.6), (1.9, 7.0)]), lighter(colour, 0.15), darker(colour, 0.5)
    )


def hand_lamp(canvas: Canvas, palm: Point) -> None:
    """Draws a small burning oil lamp on a palm."""
    x, y = palm
    canvas.polygon(
        [(x - 2.4, y + 1.2), (x + 2.4, y + 1.2), (x + 1.2, y - 0.4), (x - 1.2, y - 0.4)], BRASS, darker(BRASS, 0.5)
    )
    for r, alpha in ((6.0, 34), (3.6, 60)):
        canvas.dot((x, y + 3.4), r, (255, 190, 80, alpha))
    canvas.blob([(x, y + 1.1), (x - 0.9, y + 2.4), (x, y + 5.0), (x + 0.9, y + 2.4)], (255, 196, 70))
    canvas.blob([(x, y + 1.2), (x - 0.4, y + 2.0), (x, y + 3.4), (x + 0.4, y + 2.0)], (255, 246, 200))


def barrel_drum(
    canvas: Canvas, centre: Point, angle: float, length: float, ends: tuple[float, float], wood: Colour
) -> None:
    """Draws a two-headed drum; `ends` are the radii of its heads, `angle` degrees from lying level."""
    f = Frame(centre[0], centre[1], math.radians(angle))
    h, (a, b) = length / 2, ends
    m = max(a, b) * 1.18
    canvas.blob(f.at([(-h, a), (-h * 0.2, m), (h, b), (h, -b), (-h * 0.2, -m), (-h, -a)]), wood, darker(wood, 0.5))
    canvas.polygon(f.at([(-h, -a), (h, -b), (h * 0.9, -b * 0.3), (-h * 0.9, -a * 0.3)]), clear(darker(wood, 0.7), 80))
    cord = []
    for k in range(13):
        share = -0.94 + 1.88 * k / 12
        radius = 0.9 * (m + ((a if share < 0 else b) - m) * abs(share) ** 1.6)
        cord.append((h * share, radius if k % 2 else -radius))
    canvas.stroke(f.at(cord), clear(lighter(wood, 0.7), 190), 0.35, curved=False)
    for x, r in ((-h, a), (h, b)):
        ring = f.at([(x + 1.2 * math.cos(t), r * math.sin(t)) for t in np.linspace(0, 6.283, 13)[:-1]])
        canvas.blob(ring, (236, 222, 192), darker(wood, 0.5))
        canvas.oval(f.point(x, 0), 0.6, r * 0.45, (40, 30, 30))


def brass_lamp(canvas: Canvas, x: float, high: float) -> None:
    """Draws a tall standing oil lamp, `high` units from foot to finial."""
    w = high / 46
    canvas.oval((x, 0.6), 7.0 * w, 1.8 * w, darker(BRASS, 0.35))
    canvas.oval((x, 1.6), 5.2 * w, 1.4 * w, BRASS)
    canvas.polygon(
        [(x - 1.2 * w, 2), (x + 1.2 * w, 2), (x + 0.8 * w, high * 0.74), (x - 0.8 * w, high * 0.74)],
        BRASS,
        darker(BRASS, 0.5),
    )
    for t in (0.2, 0.4, 0.6):
        canvas.oval((x, high * t), 2.0 * w, 1.1 * w, lighter(BRASS, 0.15), darker(BRASS, 0.5))
    y = high * 0.76
    for s in (-1.0, -0.5, 0.0, 0.5, 1.0):
        canvas.dot((x + s * 5.4 * w, y + 3.0 * w), 4.0 * w, (255, 190, 80, 36))
        canvas.blob(
            [
                (x + s * 5.4 * w, y + 1.0),
                (x + s * 5.4 * w - 0.8 * w, y + 2.2 * w),
                (x + s * 5.4 * w, y + 5.0 * w),
                (x + s * 5.4 * w + 0.8 * w, y + 2.2 * w),
            ],
            (255, 214, 110),
        )
    canvas.oval((x, y + 0.4), 6.0 * w, 1.7 * w, lighter(BRASS, 0.1), darker(BRASS, 0.5))
    canvas.polygon([(x - 1.0 * w, y), (x + 1.0 * w, y), (x, high)], BRASS, darker(BRASS, 0.5))
