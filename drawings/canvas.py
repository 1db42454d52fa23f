"""Drawing in figure units: smooth shapes, limbs, pleats and drapes on a Pillow image.

A standing dancer is about 100 units high. The origin is the floor between the feet, x points to the right, y up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float64]
Colour = tuple[int, ...]
Point = tuple[float, float]
Points = Array | Sequence[Point]
Radii = tuple[float, float, float]
Band = tuple[float, float, Colour]

BALL = 6.2
_STEPS = 6
_t = np.arange(_STEPS) / _STEPS
# Catmull-Rom splines pass through their control points, so outlines can be written down as they are seen.
_BASIS = 0.5 * np.stack(
    [-_t + 2 * _t**2 - _t**3, 2 - 5 * _t**2 + 3 * _t**3, _t + 4 * _t**2 - 3 * _t**3, -(_t**2) + _t**3], axis=1
)


def smooth(points: Points, closed: bool = False) -> Array:
    """Returns the Catmull-Rom curve through `points`, shape (n, 2): 6 n points if closed, else 6 n - 5."""
    p = np.asarray(points, dtype=float)
    ends = [p[-1:], p, p[:2]] if closed else [p[:1] * 2 - p[1:2], p, p[-1:] * 2 - p[-2:-1]]
    ring = np.concatenate(ends)
    curve = np.matmul(_BASIS, np.stack([ring[:-3], ring[1:-2], ring[2:-1], ring[3:]], axis=1)).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-1:]])


def resample(path: Points, count: int) -> Array:
    """Returns `count` points evenly spaced along a polyline, shape (count, 2)."""
    line = np.asarray(path, dtype=float)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, line[:, 0]), np.interp(at, length, line[:, 1])], axis=1)


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float, count: int = 17) -> Array:
    """Returns `count` points of an elliptic arc; angles in degrees, counter-clockwise from the right."""
    a = np.radians(np.linspace(start, stop, count))
    return np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], axis=1)


def between(a: Point, b: Point, share: float) -> Point:
    """Returns the point at `share` of the way from `a` to `b`."""
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Returns colour `a` moved towards `b` by `share` (0 gives `a`, 1 gives `b`), without alpha."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a[:3], b[:3], strict=True))


def darker(colour: Colour, share: float = 0.35) -> Colour:
    """Returns the colour moved towards a warm dark brown: silk and skin do not shade to grey."""
    return mix(colour, (38, 12, 22), share)


def lighter(colour: Colour, share: float = 0.35) -> Colour:
    """Returns the colour moved towards a warm white."""
    return mix(colour, (255, 246, 224), share)


@dataclass(frozen=True)
class Frame:
    """A local coordinate system on the figure."""

    x: float  # origin, figure units
    y: float
    angle: float = 0.0  # radians, counter-clockwise
    size: float = 1.0  # factor on lengths
    flip: float = 1.0  # -1 if x points to the left
    turn: float = 0.0  # points lie on a ball of radius `BALL` that turns, from -1 (picture left) to 1

    def at(self, points: Points) -> Array:
        """Maps local points, shape (n, 2), to figure units."""
        p = np.asarray(points, dtype=float)
        x, y = p[:, 0] * (self.size * self.flip), p[:, 1] * self.size
        if self.turn:
            angle = np.arcsin(np.clip(x / BALL, -1, 1)) + self.turn * 0.5
            x = BALL * np.sin(np.clip(angle, -1.5, 1.5))
        c, s, mapped = math.cos(self.angle), math.sin(self.angle), np.empty_like(p)
        mapped[:, 0], mapped[:, 1] = self.x + x * c - y * s, self.y + x * s + y * c
        return mapped

    def point(self, x: float, y: float) -> Point:
        """Maps one local point to figure units, as if the face looked straight ahead."""
        c, s, x = math.cos(self.angle) * self.size, math.sin(self.angle) * self.size, x * self.flip
        return self.x + x * c - y * s, self.y + x * s + y * c

    @classmethod
    def along(cls, a: Point, b: Point) -> "Frame":
        """Returns the frame at `a` whose x axis points to `b`."""
        return cls(*a, math.atan2(b[1] - a[1], b[0] - a[0]))


class Canvas:
    """Draws on an RGB image in figure units. A width of 0 for an outline means none."""

    def __init__(self, image: Image.Image, scale: float, origin: Point, mirrored: bool = False) -> None:
        """Wraps `image`, which is changed in place: `scale` pixels a unit, the figure's (0, 0) at pixel `origin`."""
        self.draw: Any = ImageDraw.Draw(image, "RGBA")
        self.scale = scale
        self.mirrored = mirrored
        self._factor = np.array([-scale if mirrored else scale, -scale])
        self._origin = np.array(origin)

    def pixels(self, points: Points) -> list[float]:
        """Returns the pixel positions of `points` as a flat list x, y, x, y, ..."""
        flat: list[float] = (np.asarray(points, dtype=float) * self._factor + self._origin).ravel().tolist()
        return flat

    def pen(self, width: float) -> int:
        """Returns a line width in pixels, at least one."""
        return max(1, round(width * self.scale))

    def polygon(self, points: Points, fill: Colour, outline: float = 0.0) -> None:
        """Fills a polygon with straight sides."""
        flat = self.pixels(points)
        self.draw.polygon(flat, fill=fill)
        if outline:
            self.draw.line(flat + flat[:2], fill=darker(fill, 0.5), width=self.pen(outline))

    def blob(self, points: Points, fill: Colour, outline: float = 0.0) -> None:
        """Fills the smooth closed curve through `points`."""
        self.polygon(smooth(points, closed=True), fill, outline)

    def stroke(self, points: Points, colour: Colour, width: float) -> None:
        """Draws the smooth open curve through `points`."""
        path = smooth(points) if len(points) > 2 else points
        self.draw.line(self.pixels(path), fill=colour, width=self.pen(width))

    def dot(self, centre: Point, radius: float, fill: Colour, outline: float = 0.0, flat: float = 1.0) -> None:
        """Fills an upright ellipse, `flat` times as high as wide."""
        x, y = self.pixels([centre])
        r = max(radius * self.scale, 0.6)
        edge = darker(fill, 0.5) if outline else None
        self.draw.ellipse((x - r, y - r * flat, x + r, y + r * flat), fill, edge, self.pen(outline))

    def beads(self, path: Points, radius: float, fill: Colour) -> None:
        """Draws round beads along the smooth curve through `path`."""
        line = smooth(path) if len(path) > 2 else np.asarray(path, dtype=float)
        length = float(np.hypot(*np.diff(line, axis=0).T).sum())
        for x, y in resample(line, max(2, int(length / (radius * 2.2)) + 1)):
            self.dot((x, y), radius, fill)

    def limbs(self, segments: Sequence[tuple[Point, Point, Radii]], fill: Colour, shade: int = 46) -> None:
        """Draws tapered, rounded segments as one limb: one outline round all, a soft shadow along one side.

        A segment is start, end, and half widths at the start, in the fullest third and at the end. `shade` is the
        alpha of the shadow, 0 to 255.
        """
        outlines, shadows = [], []
        for a, b, (ra, rm, rb) in segments:
            length, frame = math.dist(a, b), Frame.along(a, b)
            side = [(0.0, ra), (length * 0.3, rm), (length * 0.7, (rm + 2 * rb) / 3), (length, rb)]
            shape = [*side, (length + rb, 0.0), *((x, -y) for x, y in reversed(side)), (-ra, 0.0)]
            outlines.append(smooth(frame.at(shape), closed=True))
            if shade:
                # The light falls from the upper left of the figure.
                s = 1.0 if math.cos(frame.angle) * 0.8 + math.sin(frame.angle) * 0.6 < 0 else -1.0
                band = [*((x, s * y * 0.95) for x, y in side), *((x, s * y * 0.25) for x, y in reversed(side))]
                shadows.append(frame.at(band))
        for outline in outlines:
            self.polygon(outline, fill, 0.45)
        # Filled again, so that no outline crosses the joint of two segments.
        for outline in outlines:
            self.polygon(outline, fill)
        for shadow in shadows:
            self.polygon(shadow, (*darker(fill, 0.6), shade))

    def pleats(self, top: Points, hem: Points, colour: Colour, count: int, bands: Sequence[Band] = ()) -> None:
        """Draws a panel of knife pleats between two edges.

        Args:
            top: The gathered edge.
            hem: The hem, in the same direction.
            colour: The cloth.
            count: Number of pleats, each with a lit and a shaded half; 0 for a smooth, stiff panel.
            bands: Woven borders: from, to (shares of the way from top to hem), colour.
        """
        upper, lower = resample(top, 2 * (count or 8) + 1), resample(hem, 2 * (count or 8) + 1)
        drop = lower - upper
        if count:
            lower[1::2] += 0.6 * drop[1::2] / np.maximum(np.hypot(drop[1::2, :1], drop[1::2, 1:]), 1e-6)
        self.polygon(np.concatenate([upper, lower[::-1]]), colour, 0.35)
        for start, stop, tone in ((0.0, 1.0, colour), *bands):
            a, b = upper + (lower - upper) * start, upper + (lower - upper) * stop
            self.polygon(np.concatenate([a, b[::-1]]), tone)
            for k in range(count):
                # Pleats near the sides turn away from the light.
                away = abs((k + 0.5) / count - 0.42)
                i = 2 * k
                self.polygon([a[i], a[i + 1], b[i + 1], b[i]], lighter(tone, max(0.0, 0.16 - 0.32 * away)))
                self.polygon([a[i + 1], a[i + 2], b[i + 2], b[i + 1]], darker(tone, 0.18 + 0.17 * away))
        if not count:
            for first, last, alpha in ((10, 17, 44), (13, 17, 50), (0, 2, 36)):
                edge = np.concatenate([upper[first:last], lower[first:last][::-1]])
                self.polygon(edge, (*darker(colour, 0.7), alpha))

    def drape(self, path: Points, widths: tuple[float, float], colour: Colour, border: Colour) -> None:
        """Draws a folded length of cloth along a path, `widths` units wide at its start and end."""
        line = smooth(path)
        step = np.gradient(line, axis=0)
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.maximum(np.hypot(*step.T), 1e-6)[:, None]
        half = np.linspace(*widths, len(line))[:, None] / 2
        left, across = line + normal * half, -2 * normal * half
        self.polygon(np.concatenate([left, (left + across)[::-1]]), colour, 0.3)
        for share in (0.25, 0.45, 0.65):
            self.stroke((left + across * share)[::3], (*darker(colour, 0.6), 110), 0.4)
        for a, b in ((0.0, 0.16), (0.84, 1.0)):
            self.polygon(np.concatenate([left + across * a, (left + across * b)[::-1]]), border)
