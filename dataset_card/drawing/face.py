"""Faces that turn: outline, kohl-lined eyes, nose, lips, forehead mark, hair."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset_card.drawing.canvas import Canvas, Colour, Frame, Point, Points, clear, darker, lighter, smooth

HAIR: Colour = (30, 20, 24)
KOHL: Colour = (22, 14, 20)
_RADIUS = 6.2
_OUTLINE = ((0.0, -7.0), (2.1, -6.5), (3.9, -4.3), (4.9, -1.2), (5.2, 1.8), (4.7, 5.0), (2.8, 7.0), (0.0, 7.6))


@dataclass(frozen=True)
class Face:
    """What is painted on a face.

    Attributes:
        skin: base colour.
        lips: lip colour.
        mark: colour of the forehead dot, None for none.
        mark_size: its radius, figure units.
        paste: colour of dots of paste above the brows, None for none.
        moustache: whether a thin moustache is drawn.
        smile: from 0 (quiet) to 1 (open smile).
        lids: colour above the eyes.
        brows: factor on the thickness of the brows.
    """

    skin: Colour
    lips: Colour = (176, 28, 44)
    mark: Colour | None = (190, 20, 36)
    mark_size: float = 0.6
    paste: Colour | None = None
    moustache: bool = False
    smile: float = 0.5
    lids: Colour = (120, 60, 60)
    brows: float = 1.0


@dataclass(frozen=True)
class Turned:
    """Maps points on an unturned head to the figure, as if they lay on a ball that turns with the face."""

    head: Frame
    turn: float

    def at(self, points: Points) -> NDArray[np.float64]:
        """Maps head-local points, shape (n, 2)."""
        p = np.array(points, dtype=float)
        angle = np.arcsin(np.clip(p[:, 0] / _RADIUS, -1, 1)) + self.turn * 0.5
        p[:, 0] = _RADIUS * np.sin(np.clip(angle, -1.5, 1.5))
        return self.head.at(p)

    def point(self, x: float, y: float) -> Point:
        """Maps one head-local point."""
        p = self.at([(x, y)])[0]
        return float(p[0]), float(p[1])


def face_outline(head: Frame, turn: float) -> NDArray[np.float64]:
    """Returns the control points of the face's outline, chin first, shape (14, 2)."""
    right = [(x + turn * 0.9 * max(0.0, -y / 7), y) for x, y in _OUTLINE]
    left = [(-x + turn * 0.9 * max(0.0, -y / 7), y) for x, y in _OUTLINE[-2:0:-1]]
    return head.at(right + left)


def draw_face(canvas: Canvas, head: Frame, turn: float, face: Face) -> None:
    """Draws a whole face without hair; `turn` from -1 (picture left) to 1."""
    skin, on = face.skin, Turned(head, turn)
    for s in (-1, 1):
        if s * turn < 0.6:
            x, y = head.point(s * (5.1 - 0.5 * abs(turn)), -0.6)
            canvas.oval((x, y), 1.0, 1.7, skin, darker(skin, 0.4))
    canvas.blob(face_outline(head, turn), skin, darker(skin, 0.45), 0.25)
    shade = clear(darker(skin, 0.55), 40)
    canvas.blob(head.at([(5.1, 2.4), (4.8, -1.2), (3.8, -4.3), (1.8, -6.5), (3.2, -3.4), (3.9, 0.0)]), shade)
    for s in (-1, 1):
        canvas.oval(on.point(s * 3.2, -2.0), 1.4, 1.0, (214, 70, 70, 46))
    draw_eyes(canvas, on, face.lids, face.brows)
    nose = on.at(
        [(0.5, 0.6), (0.55 + turn * 0.4, -1.4), (1.1 + turn * 0.5, -2.5), (0.3 + turn * 0.5, -2.9), (0.1, -1.5)]
    )
    canvas.blob(nose, clear(darker(skin, 0.55), 84))
    canvas.stroke(on.at([(-0.9, -2.5), (-0.3, -2.9), (0.5, -2.9), (1.0, -2.5)]), clear(darker(skin, 0.7), 170), 0.3)
    canvas.blob(on.at([(-0.35, 1.2), (0.05, 1.2), (0.0, -1.8), (-0.4, -1.8)]), clear(lighter(skin, 0.7), 70))
    draw_lips(canvas, on, face.lips, face.smile)
    if face.moustache:
        for s in (-1, 1):
            canvas.blob(on.at([(0, -3.2), (s * 1.6, -3.2), (s * 3.0, -2.5), (s * 1.5, -3.8), (0, -3.7)]), HAIR)
    if face.mark is not None:
        canvas.dot(on.point(0, 3.3), face.mark_size, face.mark)
    if face.paste is not None:
        for k in range(-4, 5):
            canvas.dot(on.point(k * 0.95, 2.75 + 0.12 * abs(k) + (0.5 if abs(k) < 1 else 0)), 0.24, face.paste)


def draw_eyes(canvas: Canvas, on: Turned, lids: Colour, brows: float = 1.0, white: Colour = (250, 246, 240)) -> None:
    """Draws both eyes with kohl to the temples, and the brows."""
    glance = on.turn * 0.25
    for s in (-1, 1):
        cx, cy = s * 2.4, 0.15

        def eye(points: list[tuple[float, float]], cx: float = cx, cy: float = cy, s: int = s) -> NDArray[np.float64]:
            return on.at([(cx + s * x, cy + y) for x, y in points])

        canvas.blob(eye([(-1.7, -0.1), (-0.5, 1.5), (1.2, 1.55), (2.4, 0.7), (0.4, 0.6)]), clear(lids, 120))
        canvas.blob(eye([(-1.55, -0.25), (-0.6, 0.72), (0.6, 0.8), (1.65, 0.2), (0.6, -0.62), (-0.6, -0.68)]), white)
        px, py = on.point(cx + glance, cy + 0.08)
        canvas.oval((px, py), 0.72, 0.78, (54, 28, 20))
        canvas.dot((px, py), 0.36, (10, 6, 8))
        canvas.dot((px - 0.25, py + 0.3), 0.2, (255, 255, 255))
        upper = [
            (-1.8, -0.45),
            (-0.7, 0.66),
            (0.5, 0.78),
            (1.6, 0.3),
            (2.7, 0.75),
            (1.7, 0.75),
            (0.5, 1.2),
            (-0.7, 1.05),
        ]
        canvas.blob(eye(upper), KOHL)
        canvas.stroke(eye([(-1.7, -0.4), (-0.6, -0.72), (0.6, -0.66), (1.7, 0.2)]), KOHL, 0.34)
        brow = [
            (-1.7, 1.9),
            (-0.2, 2.55),
            (1.4, 2.6),
            (2.7, 1.75),
            (1.4, 2.6 - 0.42 * brows),
            (-0.2, 2.5 - 0.5 * brows),
        ]
        canvas.blob(eye(brow), KOHL)


def draw_lips(canvas: Canvas, on: Turned, colour: Colour, smile: float) -> None:
    """Draws the mouth; an open smile shows the teeth."""
    w, up = 1.55 + 0.45 * smile, 0.45 * smile
    if smile > 0.7:
        canvas.blob(on.at([(-w, -4.2 + up), (0, -4.25), (w, -4.2 + up), (0.8, -5.2), (-0.8, -5.2)]), (250, 244, 238))
    top = [(-w, -4.35 + up), (-0.6, -3.95), (0, -4.15), (0.6, -3.95), (w, -4.35 + up), (0.6, -4.45), (-0.6, -4.45)]
    low = [(-w, -4.4 + up), (-0.7, -4.65 - 0.3 * smile), (0.7, -4.65 - 0.3 * smile), (w, -4.4 + up)]
    low += [(0.75, -5.3 - 0.25 * smile), (-0.75, -5.3 - 0.25 * smile)]
    canvas.blob(on.at(low), colour)
    canvas.blob(on.at(top), darker(colour, 0.18))
    canvas.stroke(on.at([(-w, -4.38 + up), (0, -4.5 - 0.15 * smile), (w, -4.38 + up)]), darker(colour, 0.6), 0.22)


def draw_hair(canvas: Canvas, head: Frame, turn: float, behind: bool, colour: Colour = HAIR) -> None:
    """Draws combed hair with a middle parting; once with `behind` before the face, once without after it."""
    if behind:
        ring = [(6.0 * math.sin(a), 0.8 + 7.7 * math.cos(a)) for a in np.linspace(-2.0, 2.0, 11)]
        canvas.blob(head.at(ring), colour)
        return
    on = Turned(head, turn)
    crown = smooth(
        [
            (-5.7, -0.4),
            (-5.9, 2.5),
            (-4.9, 5.9),
            (-2.7, 7.9),
            (0, 8.5),
            (2.7, 7.9),
            (4.9, 5.9),
            (5.9, 2.5),
            (5.7, -0.4),
        ]
    )
    hairline = on.at(
        smooth(
            [
                (5.6, -0.4),
                (4.9, 2.0),
                (3.4, 4.4),
                (1.4, 5.5),
                (0, 6.0),
                (-1.4, 5.5),
                (-3.4, 4.4),
                (-4.9, 2.0),
                (-5.6, -0.4),
            ]
        )
    )
    canvas.polygon(np.concatenate([head.at(crown), hairline]), colour)
    sheen = clear(lighter(colour, 0.5), 60)
    for s in (-1, 1):
        for k in (0.0, 0.9):
            canvas.stroke(
                on.at(
                    [(s * (0.7 + k), 7.4 - k * 0.3), (s * (2.9 + k * 0.6), 6.3 - k * 0.4), (s * (4.7 + k * 0.3), 3.2)]
                ),
                sheen,
                0.28,
            )
    canvas.stroke(on.at([(0, 6.0), (0, 7.6), (0, 8.3)]), clear(lighter((150, 100, 80), 0.2), 200), 0.28)
