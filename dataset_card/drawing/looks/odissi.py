"""Odissi: three-bend or square stance, silver ornaments, a white pith crown, ikat silk."""

from __future__ import annotations

import random

import numpy as np

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour, Frame, darker, lighter
from dataset_card.drawing.cloth import arc, drape, hip_cloth, pleated, silk_leg
from dataset_card.drawing.face import HAIR, Face, draw_face, draw_hair
from dataset_card.drawing.ornaments import (
    JASMINE,
    RUBY,
    SILVER,
    anklet_bells,
    bangles,
    belt,
    brow_chain,
    choker,
    earrings,
    flower_ring,
    necklace,
)
from dataset_card.drawing.performer import SKINS, Performer, silk, strike
from dataset_card.drawing.skeleton import Arm, Joints, Leg, Pose, place

_CHAUKA = (Leg(11, 0, 1.0, 1.0), Leg(11, 0, 1.0, 1.0))
_BENDS = (Leg(5, 0, 0.5, 0.9), Leg(1, 0, 0.9, 0.7))
POSES = (
    Pose((Arm(-4, -92, "pataka", 80), Arm(-4, -92, "pataka", 80)), _CHAUKA, (0, 35)),
    Pose((Arm(0, 88, "alapadma"), Arm(-6, -88, "pataka", 70)), _CHAUKA, (0, 35), tilt=6, turn=0.3),
    Pose(
        (Arm(-30, 160, "katakamukha", 0, (0.9, 0.9)), Arm(24, 128, "alapadma")),
        _BENDS,
        (-4, 44),
        sway=5,
        bend=-4,
        pelvis=10,
        lean=-12,
        tilt=13,
        turn=0.4,
    ),
    Pose(
        (Arm(-34, -120, "mushti", 0, (0.9, 0.75)), Arm(20, 80, "hamsasya")),
        _BENDS,
        (-4, 44),
        sway=6,
        bend=-4,
        pelvis=11,
        lean=-12,
        tilt=15,
        turn=0.7,
    ),
    Pose(
        (Arm(-24, 150, "mrigashirsha", 0, (0.95, 0.95)), Arm(-24, 128, "mrigashirsha", 0, (0.95, 0.95))),
        (Leg(4, 0, 0.5), Leg(-6, 3, 0.6, 0.3)),
        (-4, 44),
        sway=5,
        bend=-4,
        pelvis=10,
        lean=-11,
        tilt=12,
        turn=-0.5,
    ),
    Pose(
        (Arm(46, 118, "alapadma"), Arm(-22, 140, "hamsasya", 0, (0.9, 0.9))),
        (Leg(3, 0, 0.7), Leg(-8, 20, 1.0, -0.8)),
        (0, 42),
        sway=3,
        bend=-2,
        pelvis=5,
        lean=-7,
        tilt=9,
        turn=0.4,
    ),
    Pose(
        (Arm(30, 100, "tripataka"), Arm(6, -20, "alapadma", 40)),
        (Leg(5, 0, 0.8), Leg(26, 1, 0.4, 1.0)),
        (-5, 39),
        sway=7,
        bend=-3.5,
        pelvis=9,
        lean=-10,
        tilt=14,
        turn=0.8,
    ),
)


def odissi(rng: random.Random) -> Performer:
    """Returns an Odissi dancer in chauka, tribhangi or one of their relatives."""
    joints = place(strike(POSES, rng))
    main, contrast = silk(rng)
    skin = rng.choice(SKINS)
    spire = rng.random() < 0.85

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        _crown(canvas, head, turn, spire)
        draw_hair(canvas, head, turn, behind=True)
        _lower(canvas, joints, skin, main, contrast)
        draw_torso(canvas, joints, skin)
        bodice(canvas, joints, contrast, lighter(main, 0.3))
        path = [joints.chest.point(-5.6, -0.8), joints.chest.point(-2.0, -9.0), joints.pelvis.point(3.6, 6.0)]
        drape(canvas, path, (4.6, 3.0), main, contrast)
        belt(canvas, joints, SILVER, 3.4, loops=True)
        choker(canvas, joints.chest, SILVER, RUBY)
        necklace(canvas, joints.chest, 9.5, SILVER, RUBY)
        draw_face(canvas, head, turn, Face(skin, mark_size=0.75, paste=(252, 246, 230), smile=0.4))
        draw_hair(canvas, head, turn, behind=False)
        brow_chain(canvas, head, turn, SILVER, RUBY)
        earrings(canvas, head, turn, SILVER, size=1.3)
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, contrast, SILVER)
            bangles(canvas, joints, i, SILVER, 4)

    return Performer(joints, paint, 22, joints.head.y + 20)


def _crown(canvas: Canvas, head: Frame, turn: float, spire: bool) -> None:
    """Draws the pith crown: a ring of buds round the bun and a temple spire above it."""
    base = Frame(*head.point(-turn * 1.5, 7.0), head.angle)
    if spire:
        tower = [(-3.4, 1.5), (-3.0, 5.5), (-1.3, 9.5), (0.0, 13.2), (1.3, 9.5), (3.0, 5.5), (3.4, 1.5)]
        canvas.blob(base.at(tower), JASMINE, darker(JASMINE, 0.35))
        for k, w in enumerate((2.8, 2.4, 1.7, 1.0)):
            canvas.beads(
                base.at([(-w, 4.0 + 2.2 * k), (0, 3.6 + 2.2 * k), (w, 4.0 + 2.2 * k)]), 0.5, darker(JASMINE, 0.16)
            )
        canvas.dot(base.point(0, 13.4), 0.8, RUBY)
    canvas.oval(base.point(0, 0.5), 7.2, 4.6, HAIR)
    for k in range(15):
        a = np.radians(-12 + 204 * k / 14)
        x, y = 7.4 * np.cos(a), 0.4 + 5.2 * np.sin(a)
        tip = (x + 2.5 * np.cos(a), y + 2.5 * np.sin(a))
        canvas.limb(base.point(x, y), base.point(*tip), (0.9, 1.1, 0.4), JASMINE, 0)
    flower_ring(canvas, base.point(0, 0.4), 6.6, 4.5, -5, 185, JASMINE, 0.95)
    flower_ring(canvas, base.point(0, 0.4), 5.0, 3.2, 0, 180, (214, 60, 60), 0.6)


def _ikat(canvas: Canvas, a: tuple[float, float], b: tuple[float, float], half: float, tone: Colour) -> None:
    """Draws rows of blurred diamonds across a limb, as resist-dyed cloth shows them."""
    for k in range(1, 4):
        x, y = a[0] + (b[0] - a[0]) * k / 4, a[1] + (b[1] - a[1]) * k / 4
        for d in (-0.5, 0.5):
            cx, cy = x + d * half * (b[1] - a[1]) / 24, y - d * half * (b[0] - a[0]) / 24
            canvas.polygon([(cx - 0.9, cy), (cx, cy + 0.7), (cx + 0.9, cy), (cx, cy - 0.7)], tone)


def _lower(canvas: Canvas, joints: Joints, skin: Colour, main: Colour, contrast: Colour) -> None:
    light = lighter(contrast, 0.72)
    order = sorted((0, 1), key=lambda i: joints.pose.legs[i].y)
    for i in order:
        draw_foot(canvas, joints, i, skin)
        silk_leg(canvas, joints.hips[i], joints.knees[i], joints.ankles[i], main, contrast)
        _ikat(canvas, joints.hips[i], joints.knees[i], 5.0, light)
        _ikat(canvas, joints.knees[i], joints.ankles[i], 3.6, light)
        anklet_bells(canvas, joints, i, 2, SILVER)
    hip_cloth(canvas, joints.pelvis, main)
    apex = joints.pelvis.point(0, 4.0)
    drop = apex[1] * 0.62
    angles = [270 + np.degrees(np.arctan2(k[0] - apex[0], apex[1] - k[1])) * 0.55 for k in joints.knees]
    start, stop = min(angles[0], 260.0), max(angles[1], 280.0)
    bands = [(0.62, 0.66, light), (0.72, 1.0, contrast), (0.78, 0.82, light), (0.9, 0.94, light)]
    pleated(canvas, arc(apex, 2.0, start, stop), arc(apex, drop, start, stop), main, 10, bands, tooth=0.9)
