"""Manipuri: a stiff mirrored drum skirt, gauze overskirt, conical cap and veil; Krishna; the drummer."""

from __future__ import annotations

import math
import random

import numpy as np

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour, Frame, darker, lighter
from dataset_card.drawing.cloth import panel, veil
from dataset_card.drawing.face import Face, draw_face, draw_hair
from dataset_card.drawing.looks.manipuri_men import drummer, krishna
from dataset_card.drawing.ornaments import GOLD, RUBY, bangles, belt, choker, earrings, necklace
from dataset_card.drawing.performer import SKINS, Performer, strike
from dataset_card.drawing.skeleton import Arm, Joints, Leg, Pose, place

_FEET = (Leg(4, 0, 0.3, 0.5), Leg(4, 0, 0.3, 0.5))
GOPIS = (
    Pose((Arm(-24, 20, "soft", 20), Arm(-24, 20, "soft", 20)), _FEET, (0, 44), tilt=6, turn=0.3),
    Pose((Arm(20, 74, "soft", 20), Arm(-30, -10, "soft", 30)), _FEET, (0, 44), sway=1, lean=-3, tilt=-8, turn=0.5),
    Pose(
        (Arm(-34, 120, "hamsasya", 10), Arm(-14, 30, "soft", 20)), _FEET, (0, 44), sway=-1, lean=4, tilt=9, turn=-0.5
    ),
    Pose((Arm(34, 96, "soft", 10), Arm(34, 96, "soft", 10)), _FEET, (0, 44), tilt=-5, turn=-0.3),
    Pose(
        (Arm(-30, 150, "hamsasya", 0, (0.95, 0.95)), Arm(4, 40, "soft", 10)),
        _FEET,
        (0, 44),
        sway=2,
        lean=-4,
        tilt=7,
        turn=0.7,
    ),
)
SATINS: tuple[Colour, ...] = ((30, 120, 70), (184, 26, 48), (170, 34, 90), (206, 60, 40), (34, 96, 110))


def manipuri(rng: random.Random) -> Performer:
    """Returns a gopi in the drum skirt (three in five), a Krishna, or a leaping drummer."""
    skin = rng.choice(SKINS[:3])
    kind = rng.random()
    if kind < 0.62:
        return _gopi(rng, skin)
    return krishna(rng, skin) if kind < 0.8 else drummer(rng, skin)


def _gopi(rng: random.Random, skin: Colour) -> Performer:
    joints = place(strike(GOPIS, rng))
    satin = rng.choice(SATINS)
    blouse = rng.choice(((40, 30, 60), (120, 24, 50), darker(satin, 0.3), (24, 70, 60)))
    sheer = rng.randint(60, 110)

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        _cap(canvas, head, blouse)
        draw_hair(canvas, head, turn, behind=True)
        for i in (0, 1):
            draw_foot(canvas, joints, i, skin)
        _drum_skirt(canvas, joints, satin)
        draw_torso(canvas, joints, skin)
        bodice(canvas, joints, blouse, GOLD, to=7, neckline=3.6)
        _overskirt(canvas, joints)
        belt(canvas, joints, GOLD, 3.0)
        choker(canvas, joints.chest, GOLD, RUBY)
        necklace(canvas, joints.chest, 8.0, GOLD, RUBY)
        draw_face(canvas, head, turn, Face(skin, smile=0.15, mark_size=0.4, brows=0.7))
        draw_hair(canvas, head, turn, behind=False)
        canvas.beads(head.at([(-5.2, 3.2), (-3.0, 5.6), (0, 6.6), (3.0, 5.6), (5.2, 3.2)]), 0.55, GOLD)
        earrings(canvas, head, turn, GOLD)
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, blouse, GOLD, cover=0.8)
            bangles(canvas, joints, i, GOLD, 3, armlet=False)
        x, y = head.point(0, -8.0)
        top = head.at([(0.9, 16.0), (-0.9, 16.0), (-6.4, 8.0), (-8.6, -2.0)])
        skirt = [(x - 12.5, y - 18), (x - 5, y - 20), (x, y - 12), (x + 5, y - 20), (x + 12.5, y - 18)]
        cloth = np.concatenate([top, skirt, head.at([(8.6, -2.0), (6.4, 8.0)])])
        veil(canvas, cloth, (255, 255, 255), sheer, (240, 226, 180))

    return Performer(joints, paint, 20, joints.head.y + 18)


def _cap(canvas: Canvas, head: Frame, cloth: Colour) -> None:
    """Draws the conical cap over the top-knot."""
    canvas.blob(
        head.at([(-5.0, 5.0), (-3.6, 9.6), (-1.0, 15.4), (1.0, 15.4), (3.6, 9.6), (5.0, 5.0)]),
        cloth,
        darker(cloth, 0.5),
    )
    for k in range(3):
        w = 4.2 - 1.1 * k
        canvas.stroke(head.at([(-w, 8.0 + 2.5 * k), (0, 7.4 + 2.5 * k), (w, 8.0 + 2.5 * k)]), GOLD, 0.6)
    canvas.dot(head.point(0, 15.8), 1.0, GOLD, darker(GOLD, 0.5))


def _drum_skirt(canvas: Canvas, joints: Joints, satin: Colour) -> None:
    """Draws the stiff cylinder with mirror-work bands and an embroidered hem."""
    x, y = joints.pelvis.x, joints.pelvis.y
    top = [(x - 9.5, y + 2), (x, y + 0.5), (x + 9.5, y + 2)]
    low = [(x - 16.5, 6.0), (x - 9, 3.6), (x, 2.8), (x + 9, 3.6), (x + 16.5, 6.0)]
    bands = [
        (0.44, 0.47, GOLD),
        (0.62, 1.0, darker(satin, 0.25)),
        (0.62, 0.65, GOLD),
        (0.78, 0.8, GOLD),
        (0.93, 1.0, GOLD),
    ]
    panel(canvas, top, low, satin, bands)
    for row, count, radius in ((0.54, 9, 0.8), (0.715, 11, 1.25), (0.865, 13, 1.0)):
        for k in range(count):
            t = (k + 0.5) / count * 2 - 1
            # Mirrors crowd together towards the sides of a cylinder.
            u = math.sin(t * 1.45)
            half = 9.5 + 7.0 * row
            cy = (y + 0.5) + (2.8 - y - 0.5) * row + 2.4 * u * u
            tone = lighter((196, 214, 226), 0.6 if k % 3 else 0.95)
            canvas.oval(
                (x + u * half * 0.96, cy), radius * max(0.35, math.cos(t * 1.45)), radius, tone, darker(GOLD, 0.2)
            )
    canvas.polygon([(x - 11.5, y - 6), (x - 9.8, y - 6), (x - 12.6, 6), (x - 14.6, 6)], (255, 255, 255, 46))


def _overskirt(canvas: Canvas, joints: Joints) -> None:
    """Draws the short gauze skirt that stands off the waist in waves."""
    x, y = joints.pelvis.x, joints.pelvis.y
    a = np.linspace(math.pi, 2 * math.pi, 29)
    hem = np.stack([x + 18.5 * np.cos(a), y - 2.5 + 5.2 * np.sin(a) + 1.3 * np.sin(9 * a)], axis=1)
    top = joints.pelvis.at([(-5.8, 6.6), (0, 5.8), (5.8, 6.6)])
    canvas.polygon(np.concatenate([top, hem[::-1]]), (250, 250, 252, 176))
    for k in range(0, 29, 2):
        start = top[0] + (top[2] - top[0]) * k / 28
        canvas.stroke([tuple(start), tuple(hem[k])], (170, 176, 200, 90), 0.5, curved=False)
    canvas.stroke(hem, (236, 196, 96), 1.0, curved=False)
