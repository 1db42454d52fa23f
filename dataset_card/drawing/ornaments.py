"""Jewellery, bells, flowers, the plait."""

from __future__ import annotations

import math

import numpy as np

from dataset_card.drawing.canvas import Canvas, Colour, Frame, Point, clear, darker, lighter
from dataset_card.drawing.face import HAIR, Turned
from dataset_card.drawing.skeleton import Joints

GOLD: Colour = (226, 172, 58)
SILVER: Colour = (206, 212, 222)
RUBY: Colour = (178, 22, 48)
JASMINE: Colour = (250, 246, 232)


def necklace(
    canvas: Canvas, chest: Frame, depth: float, metal: Colour, gem: Colour | None = None, wide: float = 3.8
) -> None:
    """Draws a chain of beads from shoulder to shoulder with a pendant; `depth` units below the neck's base."""
    path = chest.at(
        [(-wide, -0.2), (-wide * 0.78, -depth * 0.6), (0, -depth), (wide * 0.78, -depth * 0.6), (wide, -0.2)]
    )
    canvas.stroke(path, darker(metal, 0.45), 1.1)
    canvas.beads(path, 0.52, metal)
    x, y = chest.point(0, -depth - 0.6)
    canvas.dot((x, y), 1.15, metal, darker(metal, 0.5))
    if gem is not None:
        canvas.dot((x, y), 0.55, gem)


def choker(canvas: Canvas, chest: Frame, metal: Colour, gem: Colour | None = None) -> None:
    """Draws a close collar at the base of the neck."""
    path = chest.at([(-2.9, 1.1), (-1.6, -0.5), (0, -1.0), (1.6, -0.5), (2.9, 1.1)])
    canvas.stroke(path, darker(metal, 0.4), 1.6)
    canvas.stroke(path, metal, 1.0)
    if gem is not None:
        canvas.beads(path, 0.33, gem, gap=4.0)


def bangles(
    canvas: Canvas,
    joints: Joints,
    i: int,
    metal: Colour,
    rows: int = 3,
    armlet: bool = True,
    gem: Colour | None = None,
) -> None:
    """Draws rings at the wrist and, with `armlet`, a band round the upper arm."""
    a, b, c = joints.shoulders[i], joints.elbows[i], joints.wrists[i]
    frame = Frame(c[0], c[1], math.atan2(c[1] - b[1], c[0] - b[0]))
    for k in range(rows):
        x = -0.4 - 1.05 * k
        tone = metal if k % 2 == 0 or gem is None else gem
        quad = [(x, 1.65 + k * 0.08), (x, -1.65 - k * 0.08), (x - 0.8, -1.7 - k * 0.08), (x - 0.8, 1.7 + k * 0.08)]
        canvas.polygon(frame.at(quad), tone, darker(tone, 0.5), 0.18)
        canvas.polygon(frame.at([(x, 0.9), (x, 0.3), (x - 0.8, 0.3), (x - 0.8, 0.9)]), clear(lighter(tone, 0.8), 150))
    if armlet:
        x, y = a[0] + (b[0] - a[0]) * 0.66, a[1] + (b[1] - a[1]) * 0.66
        frame = Frame(x, y, math.atan2(b[1] - a[1], b[0] - a[0]))
        canvas.polygon(frame.at([(0.6, 2.5), (0.6, -2.5), (-0.6, -2.5), (-0.6, 2.5)]), metal, darker(metal, 0.5), 0.2)
        canvas.dot(frame.point(0, 0.6), 1.15, metal, darker(metal, 0.5))
        if gem is not None:
            canvas.dot(frame.point(0, 0.6), 0.55, gem)


def belt(
    canvas: Canvas, joints: Joints, metal: Colour, width: float = 2.4, loops: bool = False, gem: Colour | None = RUBY
) -> None:
    """Draws a metal belt round the hips, with hanging chains when `loops` is set."""
    p = joints.pelvis
    y = 5.2
    top = [(-6.0, y + width / 2 + 0.5), (0, y + width / 2 - 0.5), (6.0, y + width / 2 + 0.5)]
    low = [(6.3, y - width / 2 + 0.5), (0, y - width / 2 - 0.6), (-6.3, y - width / 2 + 0.5)]
    if loops:
        for a, b, drop in ((-6.2, -2.2, 4.2), (-2.4, 2.4, 5.0), (2.2, 6.2, 4.2), (-4.4, 0, 6.2), (0, 4.4, 6.2)):
            path = p.at([(a, y - 0.8), ((a + b) / 2, y - drop), (b, y - 0.8)])
            canvas.stroke(path, darker(metal, 0.5), 0.75)
            canvas.beads(path, 0.34, metal)
    canvas.polygon(p.at(top + low), metal, darker(metal, 0.55), 0.25)
    canvas.stroke(p.at([(-6.0, y + 0.5), (0, y - 0.5), (6.0, y + 0.5)]), darker(metal, 0.35), 0.3)
    canvas.dot(p.point(0, y - 0.5), width * 0.62, lighter(metal, 0.2), darker(metal, 0.5))
    if gem is not None:
        canvas.dot(p.point(0, y - 0.5), width * 0.3, gem)


def anklet_bells(
    canvas: Canvas, joints: Joints, i: int, rows: int, metal: Colour = GOLD, pad: Colour = (96, 40, 30)
) -> None:
    """Draws rows of ankle bells on a leather pad, upwards from the ankle."""
    k, a = joints.knees[i], joints.ankles[i]
    frame = Frame(a[0], a[1], math.atan2(k[1] - a[1], k[0] - a[0]))
    high = 1.55 * rows
    canvas.polygon(frame.at([(0, 2.3), (high, 2.9), (high, -2.9), (0, -2.3)]), pad, darker(pad, 0.5), 0.2)
    for r in range(rows):
        x, w = 0.75 + 1.5 * r, 2.2 + 0.17 * r
        for j in range(5):
            canvas.dot(frame.point(x, -w + w * 0.5 * j), 0.62, metal, darker(metal, 0.5))


def earrings(
    canvas: Canvas, head: Frame, turn: float, metal: Colour, gem: Colour | None = None, size: float = 1.0
) -> None:
    """Draws disc-and-bell earrings on the ears that the turn leaves in sight."""
    for s in (-1, 1):
        if s * turn > 0.6:
            continue
        x, y = head.point(s * (5.2 - 0.5 * abs(turn)), -1.7)
        canvas.dot((x, y), 1.15 * size, metal, darker(metal, 0.5))
        if gem is not None:
            canvas.dot((x, y), 0.5 * size, gem)
        bell = Frame(x, y - 1.3 * size, 0.0, size)
        canvas.polygon(bell.at([(-0.4, 0.4), (0.4, 0.4), (1.2, -1.2), (-1.2, -1.2)]), metal, darker(metal, 0.5), 0.2)
        canvas.beads(bell.at([(-1.1, -1.6), (1.1, -1.6)]), 0.26 * size, lighter(metal, 0.4), curved=False)


def brow_chain(
    canvas: Canvas, head: Frame, turn: float, metal: Colour, gem: Colour | None, discs: bool = False
) -> None:
    """Draws the parting chain and the chain along the hairline; `discs` adds the sun and the moon."""
    on = Turned(head, turn)
    line = on.at([(-5.4, 1.6), (-3.6, 4.4), (-1.5, 5.5), (0, 5.6), (1.5, 5.5), (3.6, 4.4), (5.4, 1.6)])
    canvas.stroke(line, darker(metal, 0.45), 0.95)
    canvas.beads(line, 0.42, metal)
    canvas.stroke(on.at([(0, 8.3), (0, 6.8), (0, 5.4)]), metal, 0.7)
    canvas.dot(on.point(0, 4.9), 0.85, metal, darker(metal, 0.5))
    if gem is not None:
        canvas.dot(on.point(0, 4.9), 0.4, gem)
    if discs:
        for s in (-1, 1):
            canvas.dot(on.point(s * 2.9, 6.5), 1.25, metal, darker(metal, 0.5))
            canvas.dot(on.point(s * 2.9, 6.5), 0.55, gem or darker(metal, 0.4))


def nose_ring(canvas: Canvas, head: Frame, turn: float, metal: Colour) -> None:
    """Draws a stud on one nostril."""
    canvas.dot(Turned(head, turn).point(-1.0, -2.4), 0.42, metal, darker(metal, 0.4))


def flower_ring(
    canvas: Canvas,
    centre: Point,
    rx: float,
    ry: float,
    start: float,
    stop: float,
    colour: Colour = JASMINE,
    size: float = 1.1,
) -> None:
    """Draws a string of blossoms along an elliptic arc; angles in degrees."""
    a = np.radians(np.linspace(start, stop, max(4, int(abs(stop - start) / 360 * 6.3 * max(rx, ry) / (size * 1.15)))))
    for k, t in enumerate(a):
        x, y = centre[0] + rx * math.cos(t), centre[1] + ry * math.sin(t)
        canvas.dot((x, y), size * (1.0 if k % 2 else 0.85), colour, darker(colour, 0.28))
        canvas.dot((x - size * 0.15, y + size * 0.2), size * 0.35, lighter(colour, 0.6))


def plait(
    canvas: Canvas, head: Frame, turn: float, length: float, metal: Colour, flowers: Colour | None, side: int
) -> None:
    """Draws a long plait behind the body: from the nape past the shoulder on `side`, ending in a tassel."""
    x0, y0 = head.point(-turn * 2.0, -3.0)
    path = np.array(
        [(x0 + side * (3.5 * math.sin(t * 2.2) + 7.0 * t), y0 - t * length) for t in np.linspace(0, 1, 10)]
    )
    for k, (x, y) in enumerate(path):
        r = 2.2 - 0.09 * k
        canvas.oval((float(x), float(y)), r, length / 16, HAIR, lighter(HAIR, 0.22))
        if flowers is not None and k < 3:
            canvas.beads([(x - r, y), (x + r, y)], 0.7, flowers, curved=False)
        elif k % 2 == 1:
            canvas.dot((float(x), float(y)), 0.75, metal, darker(metal, 0.5))
    x, y = path[-1]
    for s in (-1.6, 0.0, 1.6):
        canvas.stroke([(x, y), (x + s, y - 4.2)], HAIR, 0.8, curved=False)
        canvas.dot((x + s, y - 4.6), 0.85, RUBY, metal)
