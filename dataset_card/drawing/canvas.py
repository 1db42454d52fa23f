"""A Pillow canvas in figure units: smooth closed shapes, tapered limbs, strokes and dots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, ...]
Points = NDArray[np.float64] | Sequence[tuple[float, float]]
Point = tuple[float, float]
Radii = tuple[float, float, float]

STEPS = 6
_t = np.arange(STEPS) / STEPS
# Catmull-Rom: passes through every control point, so outlines can be written down as seen.
_BASIS = 0.5 * np.stack(
    [-_t + 2 * _t**2 - _t**3, 2 - 5 * _t**2 + 3 * _t**3, _t + 4 * _t**2 - 3 * _t**3, -(_t**2) + _t**3], axis=1
)


def smooth(points: Points, closed: bool = False) -> NDArray[np.float64]:
    """Returns a Catmull-Rom curve through `points`.

    Args:
        points: at least two control points, shape (n, 2).
        closed: whether the last point joins the first.

    Returns:
        Shape (n * 6, 2) when closed, ((n - 1) * 6 + 1, 2) when open.
    """
    p = np.asarray(points, dtype=float)
    if closed:
        ring = np.concatenate([p[-1:], p, p[:2]])
    else:
        ring = np.concatenate([p[:1] * 2 - p[1:2], p, p[-1:] * 2 - p[-2:-1]])
    quads = np.stack([ring[:-3], ring[1:-2], ring[2:-1], ring[3:]], axis=1)
    curve = np.matmul(_BASIS, quads).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-1:]])


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Returns colour `a` moved towards `b` by `share` (0 keeps `a`, 1 gives `b`); alpha is dropped."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a[:3], b[:3], strict=True))


def darker(colour: Colour, share: float = 0.3) -> Colour:
    """Returns the colour shaded towards a warm dark brown, as silk and skin shade, not towards grey."""
    return mix(colour, (38, 12, 22), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """Returns the colour lit towards a warm white."""
    return mix(colour, (255, 246, 224), share)


def clear(colour: Colour, alpha: int) -> Colour:
    """Returns the colour with an alpha from 0 (invisible) to 255 (solid)."""
    return (*colour[:3], alpha)


@dataclass(frozen=True)
class Frame:
    """A local coordinate system on the figure: x to the right of the picture, y up.

    Attributes:
        x: origin, figure units.
        y: origin, figure units.
        angle: radians, counter-clockwise.
        size: factor on local lengths.
    """

    x: float
    y: float
    angle: float = 0.0
    size: float = 1.0

    def at(self, points: Points) -> NDArray[np.float64]:
        """Maps local points, shape (n, 2), to figure units."""
        p = np.asarray(points, dtype=float) * self.size
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.stack([self.x + p[:, 0] * c - p[:, 1] * s, self.y + p[:, 0] * s + p[:, 1] * c], axis=1)

    def point(self, x: float, y: float) -> Point:
        """Maps one local point to figure units."""
        c, s = math.cos(self.angle) * self.size, math.sin(self.angle) * self.size
        return self.x + x * c - y * s, self.y + x * s + y * c


class Canvas:
    """Draws on a picture in figure units: feet at y = 0, y up, a standing dancer about 100 high."""

    def __init__(self, image: Image.Image, scale: float, origin: Point, mirrored: bool = False) -> None:
        """Wraps an RGB picture.

        Args:
            image: the supersampled picture, changed in place.
            scale: pixels per figure unit.
            origin: pixel position of the figure's (0, 0).
            mirrored: whether left and right are exchanged.
        """
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.scale = scale
        self.mirrored = mirrored
        self._factor = np.array([-scale if mirrored else scale, -scale])
        self._origin = np.array(origin)

    def pixels(self, points: Points) -> list[float]:
        """Returns the pixel positions of `points` as a flat list x, y, x, y, ..."""
        flat: list[float] = (np.asarray(points, dtype=float) * self._factor + self._origin).ravel().tolist()
        return flat

    def polygon(self, points: Points, fill: Colour, edge: Colour | None = None, width: float = 0.3) -> None:
        """Fills a polygon with straight sides; `edge` adds an outline `width` units wide."""
        flat = self.pixels(points)
        self.draw.polygon(flat, fill=fill)
        if edge is not None:
            self.draw.line(flat + flat[:2], fill=edge, width=self.pen(width))

    def blob(self, points: Points, fill: Colour, edge: Colour | None = None, width: float = 0.3) -> None:
        """Fills the smooth closed curve through `points`."""
        self.polygon(smooth(points, closed=True), fill, edge, width)

    def stroke(self, points: Points, colour: Colour, width: float, curved: bool = True) -> None:
        """Draws an open line through `points`, `width` units wide."""
        path = smooth(points) if curved and len(points) > 2 else points
        self.draw.line(self.pixels(path), fill=colour, width=self.pen(width))

    def dot(self, centre: Point, radius: float, fill: Colour, edge: Colour | None = None) -> None:
        """Fills a circle, with a thin outline when `edge` is given."""
        x, y = self.pixels([centre])
        r = max(radius * self.scale, 0.6)
        self.draw.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=edge, width=self.pen(0.25))

    def oval(self, centre: Point, rx: float, ry: float, fill: Colour, edge: Colour | None = None) -> None:
        """Fills an upright ellipse."""
        x, y = self.pixels([centre])
        w, h = max(rx * self.scale, 0.6), max(ry * self.scale, 0.6)
        self.draw.ellipse((x - w, y - h, x + w, y + h), fill=fill, outline=edge, width=self.pen(0.3))

    def beads(self, path: Points, radius: float, fill: Colour, gap: float = 2.2, curved: bool = True) -> None:
        """Sets round beads along a path, `gap` radii apart."""
        line = smooth(path) if curved and len(path) > 2 else np.asarray(path, dtype=float)
        run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        spots = np.linspace(0, run[-1], max(2, int(run[-1] / (radius * gap)) + 1))
        for x, y in zip(np.interp(spots, run, line[:, 0]), np.interp(spots, run, line[:, 1]), strict=True):
            self.dot((float(x), float(y)), radius, fill)

    def limb(self, a: Point, b: Point, radii: Radii, fill: Colour, shade: int = 46) -> None:
        """Draws one tapered, rounded limb from `a` to `b`; see `limbs`."""
        self.limbs([(a, b, radii)], fill, shade)

    def limbs(self, segments: Sequence[tuple[Point, Point, Radii]], fill: Colour, shade: int = 46) -> None:
        """Draws tapered, rounded segments as one limb: one outline round all, a soft shadow along one side.

        Args:
            segments: (start, end, half widths at the start, the fullest third and the end), figure units.
            fill: colour.
            shade: alpha of the shadow, 0 to 255.
        """
        outlines, bands = [], []
        for a, b, (ra, rm, rb) in segments:
            length = math.hypot(b[0] - a[0], b[1] - a[1]) or 1e-6
            frame = Frame(a[0], a[1], math.atan2(b[1] - a[1], b[0] - a[0]))
            side = [(0.0, ra), (length * 0.3, rm), (length * 0.7, (rm + 2 * rb) / 3), (length, rb)]
            shape = [*side, (length + rb, 0.0), *((x, -y) for x, y in reversed(side)), (-ra, 0.0)]
            outlines.append(smooth(frame.at(shape), closed=True))
            # The light falls from the upper left of the figure.
            s = 1.0 if math.cos(frame.angle) * 0.8 + math.sin(frame.angle) * 0.6 < 0 else -1.0
            band = [*((x, s * y * 0.95) for x, y in side), *((x, s * y * 0.25) for x, y in reversed(side))]
            bands.append(frame.at(band))
        for outline in outlines:
            self.polygon(outline, fill, darker(fill, 0.45), 0.45)
        for outline in outlines:
            self.polygon(outline, fill)
        if shade:
            for shadow in bands:
                self.polygon(shadow, clear(darker(fill, 0.6), shade))

    def pen(self, width: float) -> int:
        """Returns a line width in pixels, at least one."""
        return max(1, round(width * self.scale))
