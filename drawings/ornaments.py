"""Faces, headgear, jewellery and things held, as rows of marks in the local frames of a body.

Nothing here draws: `drawings.dancer` paints the rows. Colours are names; see `drawings.costumes.COLOURS`.
"""

import math
from typing import NamedTuple

import numpy as np

from drawings.canvas import Array, Point, arc


class Mark(NamedTuple):
    """One mark: a shape, a line, or a number of small things."""

    frame: str  # where it is drawn; see `dancer.Dancer.frames`
    kind: str  # blob, poly (closed: smooth, straight), line, beads, dots, flowers, petals (from point to point)
    colour: str
    size: float  # width of an outline or a line, radius of beads, dots and flowers, half width of petals
    points: Array  # shape (n, 2)
    alpha: int = 255


def one(spec: str, size: float, *points: Point, alpha: int = 255) -> tuple[Mark, ...]:
    """Returns the mark through `points`; `spec` names frame, kind and colour."""
    frame, kind, colour = spec.split()
    return (Mark(frame, kind, colour, size, np.array(points, dtype=float), alpha),)


def both(spec: str, size: float, *half: Point, alpha: int = 255) -> tuple[Mark, ...]:
    """Returns one mark that is symmetric about x = 0, from the points of its right half.

    The half of a line begins in the middle; points on the axis are not doubled.
    """
    mirrored = [(-x, y) for x, y in reversed(half) if x]
    is_line = spec.split()[1] in ("line", "beads")
    return one(spec, size, *([*mirrored, *half] if is_line else [*half, *mirrored]), alpha=alpha)


def twice(spec: str, size: float, *points: Point, alpha: int = 255) -> tuple[Mark, ...]:
    """Returns the mark through `points` and its mirror image."""
    return one(spec, size, *((-x, y) for x, y in points), alpha=alpha) + one(spec, size, *points, alpha=alpha)


def disc(spec: str, size: float, x: float, y: float, rx: float, ry: float) -> tuple[Mark, ...]:
    """Returns an ellipse about (x, y); `spec` asks for a blob."""
    return one(spec, size, *arc(x, y, rx, ry, 0, 330, 12))


def ring(spec: str, size: float, x: float, y: float, rx: float, ry: float, start: float, stop: float,
         ) -> tuple[Mark, ...]:  # fmt: skip
    """Returns marks side by side along an elliptic arc; angles in degrees."""
    count = max(4, int(abs(stop - start) / 360 * 6.3 * max(rx, ry) / (size * 1.15)))
    return one(spec, size, *arc(x, y, rx, ry, start, stop, count))


def rays(spec: str, size: float, y: float, inner: float, outer: float, start: float, count: int,
         flat: float = 1.0) -> tuple[Mark, ...]:  # fmt: skip
    """Returns petals about (0, y) between two arcs from `start` degrees to their mirror image."""
    pairs = [arc(0, y, r, r * flat, start, 180 - start, count) for r in (inner, outer)]
    return one(spec, size, *np.stack(pairs, axis=1).reshape(-1, 2))


def necklace(depth: float, wide: float = 3.8, colour: str = "metal", gem: str = "ruby") -> tuple[Mark, ...]:
    """Returns a chain from shoulder to shoulder with a pendant `depth` units below the neck."""
    half = ((0.0, -depth), (wide * 0.78, -depth * 0.6), (wide, -0.2))
    pendant = (0.0, -depth - 0.6)
    return (
        *both(f"chest line {colour}-", 1.1, *half), *both(f"chest beads {colour}", 0.52, *half),
        *one(f"chest dots {colour}", 1.15, pendant), *one(f"chest dots {gem}", 0.55, pendant),
    )  # fmt: skip


def bells(rows: int) -> tuple[Mark, ...]:
    """Returns rows of bells on a leather pad, upwards from the ankle (the frame's x axis points to the knee)."""
    high = 1.55 * rows
    spots = [(0.75 + 1.5 * r, (2.2 + 0.17 * r) * (k / 2 - 1)) for r in range(rows) for k in range(5)]
    return (
        *one("ankle poly leather", 0.2, (0, 2.3), (high, 2.9), (high, -2.9), (0, -2.3)),
        *one("ankle dots metal", 0.62, *spots),
    )


def bangles(rows: int, armlet: bool = True) -> tuple[Mark, ...]:
    """Returns rings at the wrist (the frame's x axis points away from the elbow) and a band on the upper arm."""
    marks: tuple[Mark, ...] = ()
    for k in range(rows):
        x, h = -0.4 - 1.05 * k, 1.65 + 0.08 * k
        tone = "gem" if k % 2 else "metal"
        marks += one(f"wrist poly {tone}", 0.18, (x, h), (x, -h), (x - 0.8, -h), (x - 0.8, h))
        marks += one("wrist poly white", 0, (x, 0.9), (x, 0.3), (x - 0.8, 0.3), (x - 0.8, 0.9), alpha=120)
    if armlet:
        marks += one("arm poly metal", 0.2, (0.6, 2.5), (0.6, -2.5), (-0.6, -2.5), (-0.6, 2.5))
        marks += one("arm dots metal", 1.15, (0, 0.6)) + one("arm dots gem", 0.55, (0, 0.6))
    return marks


def belt(width: float, colour: str = "metal", gem: str = "ruby") -> tuple[Mark, ...]:
    """Returns a belt round the hips with a clasp."""
    w = width / 2
    half = ((0, 4.6 - w), (6.3, 5.7 - w), (6.0, 5.7 + w), (0, 4.7 + w))
    return (
        *both(f"pelvis poly {colour}", 0.25, *half), *both(f"pelvis line {colour}-", 0.3, (0, 4.7), (6.1, 5.7)),
        *one(f"pelvis dots {colour}+", width * 0.6, (0, 4.7)), *one(f"pelvis dots {gem}", width * 0.3, (0, 4.7)),
    )  # fmt: skip


def eyes(brows: float, lids: int = 120) -> tuple[Mark, ...]:
    """Returns two kohl-lined eyes; `brows` is a factor on the thickness of the brows."""
    at = [(2.4 + x, 0.15 + y) for x, y in ((-1.7, -0.1), (-0.5, 1.5), (1.2, 1.55), (2.4, 0.7), (0.4, 0.6))]
    white = [(0.85, -0.1), (1.8, 0.87), (3.0, 0.95), (4.05, 0.35), (3.0, -0.47), (1.8, -0.53)]
    kohl = [(0.6, -0.3), (1.7, 0.81), (2.9, 0.93), (4.0, 0.45), (5.1, 0.9), (4.1, 0.9), (2.9, 1.35), (1.7, 1.2)]
    low, high = (0.7, 2.05), (3.8, 2.75 - 0.42 * brows)
    brow = [low, (2.2, 2.7), (3.8, 2.75), (5.1, 1.9), high, (2.2, 2.65 - 0.5 * brows)]
    return (
        *twice("face blob lids", 0, *at, alpha=lids), *twice("face blob white", 0, *white),
        *twice("face dots iris", 0.74, (2.45, 0.23)), *twice("face dots kohl", 0.36, (2.45, 0.23)),
        *one("face dots white", 0.2, (2.2, 0.53), (-2.7, 0.53)), *twice("face blob kohl", 0, *kohl),
        *twice("face line kohl", 0.34, (0.7, -0.25), (1.8, -0.57), (3.0, -0.51), (4.1, 0.35)),
        *twice("face blob kohl", 0, *brow),
    )  # fmt: skip


def mouth(smile: float) -> tuple[Mark, ...]:
    """Returns the lips, from quiet (0) to an open smile (1) that shows the teeth."""
    w, up = 1.55 + 0.45 * smile, 0.45 * smile
    teeth = both("face blob white", 0, (0, -4.25), (w, -4.2 + up), (0.8, -5.2)) if smile > 0.7 else ()
    low = ((0.7, -4.65 - 0.3 * smile), (w, -4.4 + up), (0.75, -5.3 - 0.25 * smile))
    return (
        *teeth, *both("face blob lips", 0, *low),
        *both("face blob lips-", 0, (0, -4.15), (0.6, -3.95), (w, -4.35 + up), (0.6, -4.45)),
        *both("face line kohl", 0.22, (0, -4.5 - 0.15 * smile), (w, -4.38 + up), alpha=150),
    )  # fmt: skip


def plait() -> tuple[Mark, ...]:
    """Returns a long plait behind the body with flowers at the nape and a tassel."""
    path = [(3.5 * math.sin(t * 2.2) + 7.0 * t, -3.0 - 46 * t) for t in np.linspace(0, 1, 19)]
    x, y = path[-1]
    return (
        *one("back beads hair+", 2.15, *path), *one("back beads hair", 1.75, *path),
        *one("back flowers flower", 1.1, *((px + d, py) for px, py in path[:6] for d in (-1.3, 1.3))),
        *one("back dots metal", 0.75, *path[7:-1:3]),
        *one("back petals hair", 0.6, *(p for d in (-1.6, 0, 1.6) for p in ((x, y), (x + d, y - 4.2)))),
        *one("back dots ruby", 0.9, *((x + d, y - 4.6) for d in (-1.6, 0, 1.6))),
    )  # fmt: skip


def flame(frame: str, x: float, y: float, size: float) -> tuple[Mark, ...]:
    """Returns a burning wick at (x, y)."""
    tongue = [(x + size * px, y + size * py) for px, py in ((0, 0), (0.9, 1.3), (0, 3.9), (-0.9, 1.3))]
    core = [(x + (px - x) * 0.5, y + (py - y) * 0.55) for px, py in tongue]
    return (
        *one(f"{frame} dots flame", 6 * size, (x, y + 2 * size), alpha=34),
        *one(f"{frame} dots flame", 3.4 * size, (x, y + 2 * size), alpha=60),
        *one(f"{frame} blob flame", 0, *tongue), *one(f"{frame} blob white", 0, *core),
    )  # fmt: skip


def drum(ends: tuple[float, float], half: float) -> tuple[Mark, ...]:
    """Returns a two-headed barrel drum; `ends` are the radii of its heads."""
    a, b = ends
    m = max(ends) * 1.18
    shares = np.linspace(-0.94, 0.94, 13)
    radii = [0.86 * (m + ((a if s < 0 else b) - m) * abs(s) ** 1.6) for s in shares]
    cord = [(half * s, r if k % 2 else -r) for k, (s, r) in enumerate(zip(shares, radii, strict=True))]
    body = ((-half, a), (-half * 0.2, m), (half, b), (half, -b), (-half * 0.2, -m), (-half, -a))
    return (
        *one("drum blob wood", 0.3, *body), *one("drum line pale", 0.3, *cord),
        *disc("drum blob pale", 0.3, -half, 0, 1.3, a), *disc("drum blob kohl", 0, -half, 0, 0.6, a * 0.5),
        *disc("drum blob pale", 0.3, half, 0, 1.3, b), *disc("drum blob kohl", 0, half, 0, 0.6, b * 0.5),
    )  # fmt: skip


_DISC = ((1.0, "gold"), (0.93, "crimson"), (0.84, "gold"), (0.78, "green"), (0.68, "gold"), (0.62, "crimson"))
_BROW = ((0, 5.6), (1.5, 5.5), (3.6, 4.4), (5.4, 1.6))
_COLLAR = ((0, -1.0), (1.6, -0.5), (2.9, 1.1))
_BAND = ((0, 5.8), (3.0, 5.2), (5.7, 3.4))
_RIM = ((0, 9.9), (4.6, 7.8), (6.5, 3.0), (6.3, -2.0), (5.2, 2.6), (3.4, 6.2), (0, 8.0))
_VEIL = ((0, -47), (11, -45), (11, -28), (9, -14))
_SHADOW = ((5.1, 2.4), (4.8, -1.2), (3.8, -4.3), (1.8, -6.5), (3.2, -3.4), (3.9, 0.0))
_WOUND = [((0.0, 6.0 + 1.6 * k), (6.8 - 0.8 * k, 4.8 + 1.5 * k)) for k in range(4)]

# fmt: off
MARKS: dict[str, tuple[Mark, ...]] = {
    # Faces.
    "features": (
        *one("head blob shade", 0, *_SHADOW, alpha=40),
        *one("face blob shade", 0, (0.5, 0.6), (0.75, -1.4), (1.2, -2.5), (0.4, -2.9), (0.1, -1.5), alpha=60),
        *both("face line shade", 0.3, (0.4, -2.9), (0.95, -2.5), alpha=150),
        *one("face blob white", 0, (-0.35, 1.2), (0.05, 1.2), (0.0, -1.8), (-0.4, -1.8), alpha=50)),
    "eyes": eyes(1.0), "soft eyes": eyes(0.7), "painted eyes": eyes(2.6, 230),
    "quiet": mouth(0.15), "calm": mouth(0.4), "smile": mouth(0.6), "laugh": mouth(0.95),
    "dot": one("face dots mark", 0.6, (0, 3.3)), "large dot": one("face dots mark", 1.0, (0, 3.3)),
    "stripe": one("face line mark", 0.7, (0, 2.6), (0, 5.0)),
    "paste": both("face dots white", 0.26, (0.95, 2.9), (1.9, 3.0), (2.85, 3.1), (3.8, 3.2), (0, 4.4), (0.8, 4.1)),
    "moustache": twice("face blob hair", 0, (0, -3.2), (1.6, -3.2), (3.0, -2.5), (1.5, -3.8), (0, -3.7)),
    "nose stud": one("face dots metal", 0.42, (-1.0, -2.4)),
    "paper rim": (
        *both("jaw blob white", 0.35, (0, -10.6), (2.7, -9.8), (5.8, -6.9), (7.3, -2.4), (6.2, 1.6), (3, 3)),
        *both("jaw line shade", 0.3, (0, -8.7), (4.4, -6.8), (5.9, -3.4), (5.4, 0), alpha=110)),
    "beard": (
        *both("jaw blob beard", 0.35, (0, -14.6), (3.2, -13.6), (7.2, -10), (8.6, -4), (6.2, 1), (0, -1)),
        *one("jaw petals beard-", 0.3, *(p for k in range(-5, 6) for p in ((k, -5), (k * 1.35, 0.14 * k * k - 12))))),
    "hero marks": both("face blob mark", 0.3, (0, 5.6), (1.0, 4.2), (0, 2.2)),
    "knob": (
        *twice("face blob crimson", 0.4, (0.6, -1.6), (3.0, -0.9), (4.4, -2.6), (2.8, -3.5), (0.8, -3.1)),
        *one("face dots white", 1.0, (0.1, -2.2), (0, 4.6))),
    # Hair.
    "hair behind": one("back blob hair", 0, *arc(0, 0.8, 6, 7.7, -25, 205, 11)),
    "hair": (
        *one("head blob hair", 0, (-5.7, -0.6), (-5.9, 2.5), (-4.9, 5.9), (-2.7, 7.9), (0, 8.5), (2.7, 7.9),
             (4.9, 5.9), (5.9, 2.5), (5.7, -0.6), (4.9, 2.0), (3.4, 4.4), (1.4, 5.5), (0, 6), (-1.4, 5.5),
             (-3.4, 4.4), (-4.9, 2.0)),
        *twice("head line hair+", 0.28, (0.7, 7.4), (2.9, 6.3), (4.7, 3.2), alpha=110),
        *twice("head line hair+", 0.28, (1.6, 7.1), (3.5, 5.9), (5.0, 3.2), alpha=110),
        *one("head line shade", 0.28, (0, 6.0), (0, 8.3))),
    "plait": plait(),
    "garland": ring("back flowers flower", 1.2, 0, 2, 7.0, 7.2, 20, 160),
    "low bun": one("back dots hair", 3.8, (0, -4)),
    "top bun": (*one("back dots hair", 4.6, (0, 8)), *ring("back flowers jasmine", 1.3, 0, 8, 5.4, 4.6, -20, 200)),
    "side bun": (
        *one("side dots hair", 4.6, (5.4, 5.4)), *ring("side flowers jasmine", 1.15, 5.4, 5.4, 4.9, 4.9, 0, 360),
        *ring("side flowers jasmine", 0.9, 5.4, 5.4, 3.3, 3.3, 0, 360), *one("side dots gold", 1.2, (6, 6))),
    # Headgear.
    "brow chain": (
        *both("head line metal-", 0.95, *_BROW), *both("head beads metal", 0.42, *_BROW),
        *one("head line metal", 0.7, (0, 8.3), (0, 5.4)),
        *one("head dots metal", 0.9, (0, 4.9)), *one("head dots ruby", 0.4, (0, 4.9))),
    "sun and moon": (*both("head dots metal", 1.3, (2.9, 6.5)), *both("head dots ruby", 0.55, (2.9, 6.5))),
    "parting": (*one("head line metal", 0.7, (0, 8.3), (0, 5.4)), *one("head dots metal", 0.9, (0, 5.0))),
    "crown disc": (
        *one("back dots hair", 4.9, (0, 7.4)), *one("back dots gold", 4.0, (0, 7.6)),
        *one("back dots ruby", 2.9, (0, 7.6)), *one("back dots gold", 1.8, (0, 7.6)),
        *ring("back flowers jasmine", 0.95, 0, 7.6, 4.9, 4.7, -10, 190)),
    "pot": (
        *both("head blob gold", 0.3, (2.2, 7.4), (4.7, 9.8), (4.3, 12.8), (1.9, 14.6)),
        *both("head poly gold+", 0.3, (1.9, 14.4), (3.0, 16.2)),
        *one("head blob shade", 0, (1.6, 8.2), (4.0, 10.2), (3.6, 12.8), (1.8, 14), (2.6, 11), alpha=90),
        *one("head blob white", 0, (-3.4, 10.4), (-3.0, 12.4), (-2.2, 13), (-2.5, 11), alpha=150)),
    "spire": (
        *both("back blob jasmine", 0.3, (4.2, 8.5), (3.7, 13.5), (1.6, 18.5), (0, 22.4)),
        *(m for k, w in enumerate((3.4, 3.0, 2.2, 1.3))
          for m in both("back beads jasmine-", 0.5, (0, 12.6 + 2.2 * k), (w, 13 + 2.2 * k))),
        *one("back dots ruby", 0.9, (0, 22.6))),
    "pith crown": (
        *one("back dots hair", 6.2, (0, 7.5)), *rays("back petals jasmine", 1.1, 7.2, 7.4, 10.2, -12, 15, 0.68),
        *ring("back flowers jasmine", 0.95, 0, 7.4, 6.6, 4.8, -5, 185),
        *ring("back flowers crimson", 0.6, 0, 7.4, 5.0, 3.4, 0, 180)),
    "cap": (
        *both("head blob contrast", 0.3, (0, 6.4), (5.6, 4.4), (4.9, 8.0), (1.1, 11)),
        *both("head line trim", 1.1, (0, 6.7), (5.3, 4.9)), *one("head dots trim", 0.9, (0, 7.6)),
        *one("head line trim+", 0.6, (0.4, 8.0), (1.0, 11.4), (2.4, 13.2))),
    "veil": (
        *both("back blob contrast", 0.4, *_VEIL, (6.4, 3), (4, 8.6), (0, 9.8), alpha=215),
        *both("back line trim", 0.6, *_VEIL),
        *both("head blob contrast", 0.3, *_RIM), *both("head line trim", 0.6, *_RIM[:3:-1])),
    "cone": (
        *both("back blob blouse", 0.3, (5.2, 5), (3.8, 9.6), (1.0, 15.6)),
        *(m for k in range(3) for m in both("back line gold", 0.6, (0, 7.4 + 2.5 * k), (4.2 - 1.1 * k, 8 + 2.5 * k))),
        *one("back dots gold", 1.0, (0, 16)), *both("head beads gold", 0.55, (0, 6.6), (3.0, 5.6), (5.2, 3.2))),
    "gauze": (
        *both("over blob white", 0, (0, -21), (5, -28), (12.5, -26), (8.6, -4), (6.4, 8), (0.9, 16), alpha=84),
        *both("over line gold+", 0.55, (0, -21), (5, -28), (12.5, -26), (8.6, -4), (6.4, 8), (0.9, 16), alpha=200),
        *twice("over line white", 0.4, (3, 10), (6.0, -2), (8.5, -24), alpha=90)),
    "peacock": (
        *rays("back petals peacock", 1.3, 5, 2, 15.5, 26, 11),
        *(m for colour, r in (("peacock+", 1.8), ("blue", 1.2), ("kohl", 0.5))
          for m in one(f"back dots {colour}", r, *arc(0, 5, 15.5, 15.5, 26, 154, 11)))),
    "coronet": (
        *both("head blob gold", 0.3, (0, 6.0), (5.7, 3.8), (4.6, 8.4), (0, 10.6)),
        *both("head beads ruby", 0.6, (0, 6.8), (5.3, 4.6))),
    "ball turban": (
        *both("head blob white", 0.35, (0, 5.2), (6.2, 3.2), (8.2, 8.0), (5.6, 13.0), (0, 14.6)),
        *(m for low, high in _WOUND for m in both("head line shade", 0.4, low, high, alpha=90))),
    "flat turban": (
        *both("head blob pale", 0.35, (0, 5.1), (3.0, 4.6), (6.4, 2.6), (6.8, 5.6), (5.0, 9.0), (0, 10.8)),
        *(m for low, high in _WOUND[:3] for m in both("head line shade", 0.4, low, high, alpha=90)),
        *one("head blob crimson", 0.3, (5.6, 4.0), (7.4, 3.0), (8.2, -3.0), (6.4, -4.0))),
    "kopali": (
        *both("head line gold-", 1.6, *_BROW), *both("head line gold", 1.0, *_BROW),
        *both("head blob gold", 0.3, (0, 6.4), (1.3, 5.6), (0, 4.2)), *one("head dots ruby", 0.45, (0, 5.3))),
    "great crown": (
        *(m for share, colour in _DISC for m in one(f"disc dots {colour}", 15 * share, (0, 0))),
        *one("disc dots white", 0.55, *arc(0, 0, 14.5, 14.5, 0, 350, 36)),
        *one("disc dots gold+", 0.6, *arc(0, 0, 13.3, 13.3, 0, 340, 18)),
        *one("disc dots mirror", 0.6, *arc(0, 0, 11, 11, 0, 340, 18)),
        *both("back blob hair", 0, (7.4, -20), (8.2, -10), (5.6, 3)),
        *both("head blob gold", 0.4, (0, 6.4), (5.6, 4.6), (6.0, 8.0), (4.6, 12.0), (2.2, 15.0), (0, 18.4)),
        *(m for k, colour in enumerate(("crimson", "green", "crimson"))
          for m in both(f"head line {colour}", 1.0, (0, 9.4 + 2.3 * k), (4.9 - 1.1 * k, 8.6 + 2.3 * k))),
        *one("head dots ruby", 1.1, (0, 18.6)),
        *both("head line crimson", 2.0, *_BAND), *both("head beads white", 0.55, *_BAND),
        *both("head dots gold", 2.6, (7.6, 1.0)), *both("head dots crimson", 1.4, (7.6, 1.0)),
        *both("head dots gold", 1.3, (6.9, -3.2)), *both("head dots mirror", 0.7, (6.9, -3.2))),
    # Jewellery.
    "earrings": (
        *one("ear dots metal", 1.25, (0, 0)), *one("ear dots gem", 0.5, (0, 0)),
        *both("ear poly metal", 0.2, (0.4, -0.9), (1.3, -2.6)), *both("ear dots metal+", 0.3, (0, -3), (1, -3))),
    "choker": (
        *both("chest line metal-", 1.6, *_COLLAR), *both("chest line metal", 1.0, *_COLLAR),
        *both("chest dots gem", 0.35, (0, -1), (1.3, -0.6))),
    "short necklace": necklace(7.5), "long necklace": necklace(12, 4.6, gem="green"),
    "pearls": necklace(7, 3.2, "white"),
    "rudraksha": both("chest beads leather", 0.5, (0, -6.4), (2, -5.0), (3.4, 0)),
    "flower garland": ring("chest flowers jasmine", 1.0, 0, -2, 5.4, 14, 190, 350),
    "belt": belt(2.6), "broad belt": belt(3.4), "waist cloth": belt(3.2, "contrast", "gold"),
    "chains": tuple(m for a, b, drop in ((-6, -2, 4), (-2.4, 2.4, 5), (2, 6, 4), (-4.4, 0, 6.2), (0, 4.4, 6.2))
                    for spec, size in (("pelvis line metal-", 0.75), ("pelvis beads metal", 0.34))
                    for m in one(spec, size, (a, 4.4), ((a + b) / 2, 5.2 - drop), (b, 4.4))),
    "sash": (
        *both("pelvis poly contrast", 0.3, (6.4, 4.6), (6.0, 7.6)),
        *both("pelvis line trim", 0.5, (0, 7.4), (6, 7.4)), *both("pelvis line trim", 0.5, (0, 4.9), (6.3, 4.9))),
    "yoke": (
        *both("chest blob main-", 0.4, (0, -4.6), (3.4, -2.0), (3.0, -10.0), (0, -12.0)),
        *one("chest beads trim", 0.4, (0, -5.0), (0, -11.0))),
    "breastplate": (
        *both("chest blob gold", 0.5, (0, -2.0), (5.6, -3.4), (5.0, -8.6), (0, -11.6)),
        *(m for k, c in enumerate(("ruby", "green", "ruby"))
          for m in both(f"chest beads {c}", 0.62, (0, -5.6 - 2 * k), (4.4 - 0.6 * k, -4.6 - 2 * k))),
        *necklace(13.5, 4.6, "white")),
    "epaulettes": (*one("shoulder dots gold", 3.1, (0, 0.6)), *one("shoulder dots ruby", 1.9, (0, 0.6)),
                   *one("shoulder dots gold+", 0.9, (0, 0.6))),
    "lotus ends": tuple(m for x, y in ((5.4, -7), (9.8, -3)) for m in (
        *twice("pelvis blob crimson", 0.3, (x - 1.6, y), (x - 3, y - 2.6), (x, y - 4.8), (x + 3, y - 2.6),
               (x + 1.6, y)),
        *twice("pelvis dots mirror", 1.2, (x, y - 1.8)))),
    "woven": tuple(m for y in (-1, -5.5, -10, -14.5) for r, colour in ((2.2, "main"), (1.1, "contrast"))
                   for m in one(f"pelvis poly {colour}", 0, (r, y), (0, y + r * 0.8), (-r, y), (0, y - r * 0.8))),
    "girdle": (*both("pelvis poly gold", 0.3, (8.2, 3.6), (7.6, 7.4)),
               *both("pelvis beads ruby", 0.8, (0, 5.5), (7, 5.5))),
    "2 bells": bells(2), "3 bells": bells(3), "5 bells": bells(5),
    "bangles": bangles(3), "plain bangles": bangles(3, armlet=False), "many bangles": bangles(5),
    # Things held, worn and stood on.
    "plate": (
        *disc("floor blob gold-", 0.3, 0, -1.8, 15.2, 3.6), *disc("floor blob gold+", 0.3, 0, -1, 15, 3.6),
        *disc("floor blob gold-", 0, 0, -1.2, 12.6, 2.7)),
    "hand lamps": (*both("palm poly gold", 0.3, (1.2, -0.4), (2.4, 1.2)), *flame("palm", 0, 1.2, 1.0)),
    "pung": drum((4.6, 4.2), 14.5), "khol": drum((5.6, 3.2), 13.5),
    "flute": one("flute petals wood+", 0.8, (-13, 0.8), (12, 0.8)),
    # Company: a seated musician and a standing brass lamp.
    "musician": (
        *both("floor blob main+", 0.3, (0, 0.6), (15, 3), (9, 8.5), (0, 7)),
        *both("floor blob main", 0.3, (8, 6), (9.4, 22), (4, 30)),
        *one("floor poly shade", 0, (2, 28), (8, 24), (7, 7), (3, 7), alpha=50),
        *one("floor petals skin", 2.4, (0, 27), (0.8, 34)), *disc("floor blob skin", 0.3, 1.4, 38.4, 5, 6.4),
        *one("floor blob hair", 0, (-5, 38), (-4, 44), (0, 46), (4.6, 44), (5.6, 40), (2.4, 42.4)),
        *one("floor dots kohl", 0.55, (3.6, 38.8), (0.6, 38.8)),
        *one("floor line lips", 0.5, (1.2, 35.2), (3.2, 35.3))),
    "sleeves": (*twice("floor petals main", 2.9, (7.6, 26.5), (11.5, 17)),
                *twice("floor petals skin", 2.0, (11.5, 17), (8, 14))),
    "brass lamp": (
        *disc("floor blob gold-", 0.3, 0, 0.6, 7, 1.8), *disc("floor blob gold", 0.3, 0, 1.6, 5.2, 1.4),
        *both("floor poly gold", 0.3, (1.2, 2), (0.8, 34)), *one("floor dots gold", 1.8, (0, 10), (0, 19), (0, 28)),
        *(m for x in (-5.4, -2.7, 0, 2.7, 5.4) for m in flame("floor", x, 35.5, 0.9)),
        *disc("floor blob gold+", 0.3, 0, 35, 6, 1.7), *both("floor poly gold", 0.3, (1, 35), (0, 46))),
}
# fmt: on
