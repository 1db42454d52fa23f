"""The make-up and the crowns of Kathakali, by kind of character."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dataset_card.drawing.canvas import Canvas, Colour, Frame, clear, darker, lighter
from dataset_card.drawing.face import KOHL, Turned, draw_eyes, draw_lips, face_outline
from dataset_card.drawing.ornaments import GOLD, RUBY


@dataclass(frozen=True)
class Role:
    """The make-up of a kind of character: base, marks, beard, lips, and whether the nose bears a knob."""

    base: Colour
    mark: Colour
    beard: Colour | None
    lips: Colour
    knob: bool
    jacket: Colour


GREEN: Colour = (34, 142, 74)


ROLES = (
    *(Role(GREEN, (236, 196, 60), None, (206, 30, 40), False, (178, 28, 36)),) * 5,
    *(Role(GREEN, (200, 34, 40), None, (206, 30, 40), True, (184, 34, 40)),) * 2,
    Role((196, 40, 36), (250, 244, 236), (170, 24, 30), (30, 14, 16), True, (170, 24, 30)),
    Role((40, 120, 76), (220, 50, 40), (246, 242, 234), (190, 30, 40), False, (240, 236, 226)),
    Role((40, 36, 44), (210, 60, 40), (30, 26, 32), (200, 40, 40), True, (40, 38, 52)),
)


def paint_face(canvas: Canvas, head: Frame, turn: float, role: Role) -> None:
    """Paints the face of a role: beard or paper rim, base, marks, eyes, lips."""
    on = Turned(head, turn)
    if role.beard is None:
        rim = [
            (-6.0, 1.6),
            (-6.9, -2.4),
            (-5.6, -6.8),
            (-2.6, -9.6),
            (0, -10.3),
            (2.6, -9.6),
            (5.6, -6.8),
            (6.9, -2.4),
            (6.0, 1.6),
            (3, 3),
            (-3, 3),
        ]
        canvas.blob(head.at(rim), (252, 250, 244), (190, 180, 170), 0.35)
        inner = [(-5.4, 0), (-5.8, -3.4), (-4.4, -6.8), (0, -8.7), (4.4, -6.8), (5.8, -3.4), (5.4, 0)]
        canvas.stroke(head.at(inner), (176, 168, 160), 0.3)
    else:
        beard = [
            (-6.0, 1.0),
            (-8.4, -4.0),
            (-7.0, -10.0),
            (-3.0, -13.6),
            (0, -14.6),
            (3.0, -13.6),
            (7.0, -10.0),
            (8.4, -4.0),
            (6.0, 1.0),
            (0, -1.0),
        ]
        canvas.blob(head.at(beard), role.beard, darker(role.beard, 0.5))
        for k in range(-5, 6):
            canvas.stroke(
                head.at([(k * 0.9, -5), (k * 1.35, -12.2 + 0.14 * k * k)]),
                clear(darker(role.beard, 0.5), 110),
                0.35,
                False,
            )
    canvas.blob(face_outline(head, turn), role.base, darker(role.base, 0.5))
    canvas.blob(
        head.at([(5.1, 2.4), (4.8, -1.2), (3.8, -4.3), (1.8, -6.5), (3.2, -3.4), (3.9, 0.0)]), clear((0, 20, 10), 56)
    )
    if role.knob:
        for s in (-1, 1):
            canvas.blob(
                on.at([(s * 0.6, -1.6), (s * 3.0, -0.9), (s * 4.4, -2.6), (s * 2.8, -3.5), (s * 0.8, -3.1)]),
                (190, 28, 36),
                (250, 246, 240),
                0.4,
            )
    draw_eyes(canvas, on, KOHL, 2.6, (252, 226, 214))
    canvas.blob(on.at([(0, 5.6), (-1.0, 4.2), (0, 2.2), (1.0, 4.2)]), role.mark, RUBY, 0.3)
    canvas.stroke(on.at([(-0.8, -2.5), (0, -3.0), (0.8, -2.5)]), darker(role.base, 0.6), 0.4)
    canvas.blob(on.at([(-0.3, 1.4), (0.2, 1.4), (0.3, -2.0), (-0.4, -2.0)]), clear(lighter(role.base, 0.6), 100))
    if role.knob:
        canvas.dot(on.point(0.1, -2.2), 1.0, (252, 250, 244), (180, 170, 160))
        canvas.dot(on.point(0, 4.6), 0.9, (252, 250, 244))
    draw_lips(canvas, on, role.lips, 0.25)


def crown_disc(canvas: Canvas, head: Frame, radius: float, role: Role) -> None:
    """Draws the great disc behind the head, ring within ring."""
    x, y = head.point(0, 6.5)
    rings: tuple[tuple[float, Colour], ...] = (
        (1.0, GOLD),
        (0.93, (176, 26, 36)),
        (0.84, GOLD),
        (0.78, (28, 104, 70)),
        (0.68, GOLD),
        (0.62, (176, 26, 36)),
    )
    for share, colour in rings:
        canvas.dot((x, y), radius * share, colour, darker(colour, 0.5))
    for k in range(36):
        a = k * math.tau / 36
        canvas.dot((x + radius * 0.965 * math.cos(a), y + radius * 0.965 * math.sin(a)), 0.55, (250, 246, 236))
        if k % 2 == 0:
            canvas.dot((x + radius * 0.885 * math.cos(a), y + radius * 0.885 * math.sin(a)), 0.6, lighter(GOLD, 0.6))
            canvas.dot((x + radius * 0.73 * math.cos(a), y + radius * 0.73 * math.sin(a)), 0.6, (226, 240, 244))


def crown_front(canvas: Canvas, head: Frame, role: Role) -> None:
    """Draws the carved front of the crown: brow band, dome and finial, and the ear discs."""
    tower = [
        (-5.6, 4.6),
        (-6.0, 8.0),
        (-4.6, 12.0),
        (-2.2, 15.0),
        (0, 18.4),
        (2.2, 15.0),
        (4.6, 12.0),
        (6.0, 8.0),
        (5.6, 4.6),
        (0, 6.4),
    ]
    canvas.blob(head.at(tower), GOLD, darker(GOLD, 0.55), 0.4)
    for k, tone in enumerate(((176, 26, 36), (28, 104, 70), (176, 26, 36))):
        w, y = 4.9 - 1.1 * k, 8.6 + 2.3 * k
        canvas.stroke(head.at([(-w, y), (0, y + 0.8), (w, y)]), tone, 1.0)
        canvas.beads(head.at([(-w, y + 1.1), (0, y + 1.9), (w, y + 1.1)]), 0.42, lighter(GOLD, 0.7))
    canvas.dot(head.point(0, 18.6), 1.1, RUBY, GOLD)
    band = [(-5.7, 3.4), (-3.0, 5.2), (0, 5.8), (3.0, 5.2), (5.7, 3.4)]
    canvas.stroke(head.at(band), (178, 26, 36), 2.0)
    canvas.beads(head.at(band), 0.55, (250, 246, 236))
    for s in (-1, 1):
        for x, y, r in ((7.6, 1.0, 2.6), (6.9, -3.2, 1.3)):
            canvas.dot(head.point(s * x, y), r, GOLD, darker(GOLD, 0.5))
            canvas.dot(head.point(s * x, y), r * 0.55, (176, 26, 36) if r > 2 else (226, 240, 244))
