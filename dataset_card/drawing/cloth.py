"""Cloth: pleated panels and fans, plain panels, silk-covered legs, drapes and sheer veils."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_card.drawing.canvas import Canvas, Colour, Frame, Point, Points, clear, darker, lighter, mix, smooth

Band = tuple[float, float, Colour]


def resample(path: Points, count: int) -> NDArray[np.float64]:
    """Returns `count` points evenly spaced along a polyline, shape (count, 2)."""
    line = np.asarray(path, dtype=float)
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    spots = np.linspace(0, run[-1], count)
    return np.stack([np.interp(spots, run, line[:, 0]), np.interp(spots, run, line[:, 1])], axis=1)


def arc(centre: Point, radius: float, start: float, stop: float, squash: float = 1.0) -> NDArray[np.float64]:
    """Returns an arc of 17 points; angles in degrees, counter-clockwise from the right, `squash` on its height."""
    a = np.radians(np.linspace(start, stop, 17))
    return np.stack([centre[0] + radius * np.cos(a), centre[1] + radius * squash * np.sin(a)], axis=1)


def pleated(
    canvas: Canvas,
    top: Points,
    bottom: Points,
    colour: Colour,
    count: int,
    bands: Sequence[Band] = (),
    depth: float = 0.28,
    tooth: float = 0.5,
) -> None:
    """Draws a pleated panel between two edges: knife pleats, each with a lit and a shaded half.

    Args:
        canvas: where to draw.
        top: the gathered edge, any number of points.
        bottom: the hem, in the same direction.
        colour: the cloth.
        count: number of pleats.
        bands: borders woven into the cloth: (from, to, colour) as shares of the way to the hem.
        depth: how dark the folds are, 0 to 1.
        tooth: how far each pleat's fold hangs below its valley, figure units.
    """
    upper, lower = resample(top, 2 * count + 1), resample(bottom, 2 * count + 1)
    drop = lower - upper
    drop /= np.maximum(np.hypot(drop[:, :1], drop[:, 1:]), 1e-6)
    lower[1::2] += drop[1::2] * tooth
    hull = np.concatenate([upper, lower[::-1]])
    canvas.polygon(hull, colour, darker(colour, 0.55), 0.35)
    strips: list[tuple[float, float, Colour]] = [(0.0, 1.0, colour), *bands]
    for start, stop, tone in strips:
        a, b = upper + (lower - upper) * start, upper + (lower - upper) * stop
        if start > 0:
            canvas.polygon(np.concatenate([a, b[::-1]]), tone)
        for i in range(count):
            # Pleats near the sides turn away from the light.
            side = abs((i + 0.5) / count - 0.42)
            lit = lighter(tone, 0.16 * (1 - side * 2)) if side < 0.5 else tone
            k = 2 * i
            canvas.polygon([a[k], a[k + 1], b[k + 1], b[k]], lit)
            shade = darker(tone, depth * (0.7 + 0.6 * side))
            canvas.polygon([a[k + 1], a[k + 2], b[k + 2], b[k + 1]], shade)


def fan(
    canvas: Canvas, apex: Point, radius: float, angles: tuple[float, float], colour: Colour, border: Colour, count: int
) -> None:
    """Draws a pleated fan that opens from `apex`; angles in degrees, 270 points straight down."""
    top = arc(apex, min(2.2, radius * 0.12), *angles)
    bands = [(0.80, 0.84, border), (0.88, 1.0, border), (0.93, 0.95, darker(border, 0.45))]
    pleated(canvas, top, arc(apex, radius, *angles), colour, count, bands)


def panel(canvas: Canvas, top: Points, bottom: Points, colour: Colour, bands: Sequence[Band] = ()) -> None:
    """Draws a smooth panel between two edges with woven bands and a shaded side."""
    upper, lower = resample(smooth(top), 15), resample(smooth(bottom), 15)
    canvas.polygon(np.concatenate([upper, lower[::-1]]), colour, darker(colour, 0.5))
    for start, stop, tone in bands:
        a, b = upper + (lower - upper) * start, upper + (lower - upper) * stop
        canvas.polygon(np.concatenate([a, b[::-1]]), tone)
    canvas.polygon(np.concatenate([upper[9:], lower[9:][::-1]]), clear(darker(colour, 0.7), 44))
    canvas.polygon(np.concatenate([upper[12:], lower[12:][::-1]]), clear(darker(colour, 0.7), 50))
    canvas.polygon(np.concatenate([upper[2:5], lower[2:5][::-1]]), clear(lighter(colour, 0.6), 46))


def silk_leg(
    canvas: Canvas, hip: Point, knee: Point, ankle: Point, colour: Colour, border: Colour, full: float = 1.0
) -> None:
    """Draws a leg in draped silk down to a bordered hem above the ankle; `full` widens the cloth."""
    hem = (knee[0] + (ankle[0] - knee[0]) * 0.84, knee[1] + (ankle[1] - knee[1]) * 0.84)
    thigh, shin = (5.6 * full, 6.0 * full, 4.3 * full), (4.3 * full, 4.5 * full, 3.4 * full)
    canvas.limbs([(knee, hem, shin), (hip, knee, thigh)], colour)
    for start, stop, widths in ((hip, knee, (5.0, 3.6)), (knee, hem, (3.7, 2.9))):
        dx, dy = stop[0] - start[0], stop[1] - start[1]
        length = math.hypot(dx, dy) or 1e-6
        nx, ny = -dy / length, dx / length
        for k in range(1, 5):
            t = k / 5
            w = (widths[0] + (widths[1] - widths[0]) * t) * full
            x, y = start[0] + dx * t, start[1] + dy * t
            sag = 1.5
            fold = [(x - nx * w, y - ny * w), (x + dx / length * sag, y + dy / length * sag), (x + nx * w, y + ny * w)]
            canvas.stroke(fold, clear(darker(colour, 0.55), 90), 0.35)
    cuff(canvas, knee, hem, 3.7 * full, border, 1.4)


def hip_cloth(canvas: Canvas, pelvis: Frame, colour: Colour) -> None:
    """Joins two silk-covered legs under the belt; drawn after the legs, before fans and belt."""
    points = [
        (-6.3, 6.2),
        (6.3, 6.2),
        (7.9, 1.0),
        (8.4, -3.0),
        (4.0, -6.5),
        (0, -8.0),
        (-4.0, -6.5),
        (-8.4, -3.0),
        (-7.9, 1.0),
    ]
    canvas.blob(pelvis.at(points), colour)
    for s in (-1, 1):
        canvas.stroke(pelvis.at([(s * 6.3, 6.0), (s * 7.9, 1.0), (s * 8.6, -3.0)]), darker(colour, 0.45), 0.25)
        for k in range(3):
            fold = [(s * (2.0 + 1.4 * k), 5.0), (s * (2.6 + 1.8 * k), 0.0), (s * (2.0 + 2.2 * k), -5.0 + 0.6 * k)]
            canvas.stroke(pelvis.at(fold), clear(darker(colour, 0.55), 80), 0.35)


def cuff(canvas: Canvas, start: Point, end: Point, half: float, colour: Colour, width: float) -> None:
    """Draws a band across the end of a limb, `width` units tall and `half` units to each side."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1e-6
    ux, uy = dx / length, dy / length
    a, b = (end[0] - uy * half, end[1] + ux * half), (end[0] + uy * half, end[1] - ux * half)
    quad = [a, b, (b[0] + ux * width, b[1] + uy * width), (a[0] + ux * width, a[1] + uy * width)]
    canvas.polygon(quad, colour, darker(colour, 0.5), 0.25)
    middle = [((p[0] + q[0]) / 2, (p[1] + q[1]) / 2) for p, q in ((quad[0], quad[3]), (quad[1], quad[2]))]
    canvas.stroke(middle, darker(colour, 0.35), width * 0.2)


def drape(canvas: Canvas, path: Points, widths: tuple[float, float], colour: Colour, border: Colour) -> None:
    """Draws a folded length of cloth along a path, from `widths[0]` to `widths[1]` units wide."""
    line = smooth(path)
    step = np.gradient(line, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.maximum(np.hypot(*step.T), 1e-6)[:, None]
    half = np.linspace(widths[0], widths[1], len(line))[:, None] / 2
    left, right = line + normal * half, line - normal * half
    canvas.polygon(np.concatenate([left, right[::-1]]), colour, darker(colour, 0.5))
    for t in (0.25, 0.45, 0.65):
        canvas.stroke(left + (right - left) * t, clear(darker(colour, 0.6), 110), 0.4, curved=False)
    for a, b in ((0.0, 0.16), (0.84, 1.0)):
        edge = np.concatenate([left + (right - left) * a, (left + (right - left) * b)[::-1]])
        canvas.polygon(edge, border)


def veil(canvas: Canvas, points: Points, colour: Colour, alpha: int, border: Colour | None = None) -> None:
    """Draws a sheer cloth over what is there already; `alpha` from 0 to 255."""
    outline = smooth(points, closed=True)
    canvas.polygon(outline, clear(colour, alpha))
    middle = outline.mean(axis=0)
    for share in (0.8, 0.55):
        canvas.stroke(middle + (outline - middle) * share, clear(mix(colour, (255, 255, 255), 0.5), 46), 0.4, False)
    if border is not None:
        canvas.stroke(np.concatenate([outline, outline[:1]]), clear(border, 210), 0.55, curved=False)
