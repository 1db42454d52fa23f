"""Mohiniyattam: cream and gold, a side bun ringed with jasmine, a torso swaying over bent knees."""

from __future__ import annotations

import random

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour, Frame, lighter
from dataset_card.drawing.cloth import arc, drape, hip_cloth, pleated, silk_leg
from dataset_card.drawing.face import HAIR, Face, draw_face, draw_hair
from dataset_card.drawing.ornaments import (
    GOLD,
    JASMINE,
    RUBY,
    anklet_bells,
    bangles,
    belt,
    choker,
    earrings,
    flower_ring,
    necklace,
    nose_ring,
)
from dataset_card.drawing.performer import SKINS, Performer, strike
from dataset_card.drawing.skeleton import Arm, Joints, Leg, Pose, place

_WIDE = (Leg(9, 0, 1.0, 0.9), Leg(9, 0, 1.0, 0.9))
POSES = (
    Pose(
        (Arm(-14, 30, "hamsasya", 20), Arm(-8, -40, "soft", 40)),
        _WIDE,
        (-2, 38),
        sway=6,
        pelvis=4,
        lean=-13,
        tilt=-8,
        turn=0.3,
    ),
    Pose(
        (Arm(10, 50, "soft", 20), Arm(-20, 165, "hamsasya", 0, (0.95, 0.9))),
        _WIDE,
        (2, 38),
        sway=-6,
        pelvis=-4,
        lean=13,
        tilt=10,
        turn=-0.3,
    ),
    Pose(
        (Arm(28, 106, "alapadma"), Arm(-12, 10, "soft", 20)),
        _WIDE,
        (2, 37),
        sway=-6,
        pelvis=-5,
        lean=14,
        tilt=8,
        turn=0.5,
    ),
    Pose(
        (Arm(-24, 150, "katakamukha", 0, (0.95, 0.9)), Arm(-24, 166, "hamsasya", 0, (0.95, 0.9))),
        _WIDE,
        (-2, 39),
        sway=5,
        pelvis=4,
        lean=-11,
        tilt=-14,
        turn=0.6,
    ),
    Pose(
        (Arm(-40, -20, "soft", 30), Arm(30, 66, "hamsasya", 10)),
        (Leg(8, 0, 0.9), Leg(17, 2, 0.8, 1.0)),
        (-3, 39),
        sway=7,
        pelvis=5,
        lean=-14,
        tilt=-10,
        turn=0.7,
    ),
    Pose(
        (Arm(-30, 130, "mrigashirsha", 10), Arm(-4, 24, "alapadma", 20)),
        (Leg(6, 0, 0.6), Leg(7, 0, 0.7)),
        (2, 43),
        sway=-6,
        pelvis=-5,
        lean=12,
        tilt=-6,
        turn=-0.5,
    ),
)
CREAMS: tuple[Colour, ...] = ((246, 238, 216), (250, 246, 232), (240, 226, 194), (236, 226, 206))


def mohiniyattam(rng: random.Random) -> Performer:
    """Returns a Mohiniyattam dancer; the costume is cream, its border gold or gold with red."""
    joints = place(strike(POSES, rng))
    cream, skin = rng.choice(CREAMS), rng.choice(SKINS)
    trim: Colour = GOLD if rng.random() < 0.7 else (190, 60, 44)
    blouse: Colour = cream if rng.random() < 0.65 else rng.choice(((150, 28, 48), (30, 96, 72), (206, 160, 60)))

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        _bun(canvas, head)
        draw_hair(canvas, head, turn, behind=True)
        _lower(canvas, joints, skin, cream, trim)
        draw_torso(canvas, joints, skin)
        bodice(canvas, joints, blouse, GOLD, to=7)
        low = joints.pelvis.point(5.6, 5.0)
        drape(canvas, [joints.chest.point(-5.0, -0.8), joints.chest.point(0.0, -9.0), low], (6.4, 4.6), cream, trim)
        belt(canvas, joints, GOLD, 2.4, gem=None)
        choker(canvas, joints.chest, GOLD, (30, 120, 76))
        necklace(canvas, joints.chest, 9.0, GOLD, None)
        draw_face(canvas, head, turn, Face(skin, mark_size=0.95, smile=0.35, brows=1.15))
        draw_hair(canvas, head, turn, behind=False)
        canvas.stroke([head.point(0, 8.2), head.point(0, 5.4)], GOLD, 0.7)
        canvas.dot(head.point(turn * 1.5, 5.0), 0.9, GOLD)
        earrings(canvas, head, turn, GOLD, RUBY, 1.15)
        nose_ring(canvas, head, turn, GOLD)
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, blouse, GOLD, cover=0.62)
            bangles(canvas, joints, i, GOLD, 3, armlet=False)

    return Performer(joints, paint, 22)


def _bun(canvas: Canvas, head: Frame) -> None:
    """Draws the bun on the dancer's left with rings of jasmine."""
    # It stays on the dancer's left in mirrored pictures, too.
    s = -1 if canvas.mirrored else 1
    x, y = head.point(s * 5.4, 5.4)
    canvas.dot((x, y), 4.6, HAIR)
    flower_ring(canvas, (x, y), 4.9, 4.9, 0, 360, JASMINE, 1.15)
    flower_ring(canvas, (x, y), 3.3, 3.3, 0, 360, JASMINE, 0.9)
    canvas.dot((x + s * 0.6, y + 0.6), 1.2, GOLD)


def _lower(canvas: Canvas, joints: Joints, skin: Colour, cream: Colour, trim: Colour) -> None:
    for i in (0, 1):
        draw_foot(canvas, joints, i, skin)
        silk_leg(canvas, joints.hips[i], joints.knees[i], joints.ankles[i], cream, trim, 1.12)
        anklet_bells(canvas, joints, i, 1)
    hip_cloth(canvas, joints.pelvis, cream)
    p = joints.pelvis
    (lx, ly), (rx, ry) = joints.knees
    low = min(ly, ry)
    hem = [
        (lx + 0.5, low - 3),
        (lx * 0.55 + rx * 0.05, low - 12),
        ((lx + rx) / 2, low - 15),
        (rx * 0.55 + lx * 0.05, low - 12),
        (rx - 0.5, low - 3),
    ]
    bands = [
        (0.34, 0.37, trim),
        (0.58, 0.62, trim),
        (0.80, 0.84, trim),
        (0.88, 1.0, trim),
        (0.92, 0.95, lighter(trim, 0.5)),
    ]
    pleated(canvas, p.at([(-5.6, 5.5), (0, 4.6), (5.6, 5.5)]), hem, cream, 15, bands, 0.2, 0.8)
    apex = p.point(0, 5.0)
    bands = [(0.76, 0.8, trim), (0.86, 1.0, trim)]
    pleated(canvas, arc(apex, 2.2, 244, 296), arc(apex, 19, 240, 300), lighter(cream, 0.3), 9, bands, 0.2, 0.8)
