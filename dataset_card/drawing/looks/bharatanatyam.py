"""Bharatanatyam: deep half-sit, stepped pleated fans between the knees, gold, a long plait."""

from __future__ import annotations

import math
import random

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour
from dataset_card.drawing.cloth import drape, fan, hip_cloth, silk_leg
from dataset_card.drawing.face import Face, draw_face, draw_hair
from dataset_card.drawing.ornaments import (
    GOLD,
    JASMINE,
    RUBY,
    anklet_bells,
    bangles,
    belt,
    brow_chain,
    choker,
    earrings,
    flower_ring,
    necklace,
    nose_ring,
    plait,
)
from dataset_card.drawing.performer import SKINS, Performer, silk, strike
from dataset_card.drawing.skeleton import Arm, Joints, Leg, Pose, place

_SIT = (Leg(4.5), Leg(4.5))
POSES = (
    Pose((Arm(4, -6), Arm(4, -6)), _SIT, (0, 36)),
    Pose((Arm(58, 82, "alapadma"), Arm(2, -2, "pataka")), _SIT, (0, 36), tilt=-6, turn=0.4),
    Pose(
        (Arm(-16, 170, "katakamukha", 0, (0.95, 0.95)), Arm(-16, 170, "katakamukha", 0, (0.95, 0.95))), _SIT, (0, 36)
    ),
    Pose(
        (Arm(-16, 172, "katakamukha", 0, (0.95, 0.9)), Arm(18, 14, "tripataka")),
        (Leg(8), Leg(31, 0, 0.3, 1.0)),
        (-3, 37),
        lean=-5,
        tilt=-8,
        turn=0.6,
    ),
    Pose((Arm(0, 90, "pataka"), Arm(-22, 205, "soft", 20)), (Leg(3, 0, 0.8), Leg(-9, 21, 1.0, -0.9)), (0, 41), tilt=5),
    Pose((Arm(52, 124, "alapadma"), Arm(52, 124, "alapadma")), (Leg(4, 0, 0.6), Leg(4, 0, 0.6)), (0, 42)),
    Pose((Arm(22, 60, "tripataka"), Arm(-12, -35, "alapadma", 25)), _SIT, (0, 35), lean=6, tilt=10, turn=0.7),
    Pose(
        (Arm(34, 30, "shikhara"), Arm(-40, 150, "mushti", 0, (0.9, 0.9))),
        (Leg(7), Leg(13, 0, 1.0, 1.0)),
        (0, 33),
        turn=-0.6,
    ),
)


def bharatanatyam(rng: random.Random) -> Performer:
    """Returns a Bharatanatyam dancer in one of eight poses."""
    joints = place(strike(POSES, rng))
    main, contrast = silk(rng)
    skin = rng.choice(SKINS)
    side = rng.choice((-1, 1))
    flowers = rng.choice((JASMINE, JASMINE, (240, 140, 40)))
    fans = rng.choice((2, 3, 3))

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        plait(canvas, head, turn, 46, GOLD, flowers, side)
        flower_ring(canvas, head.point(0, 2.0), 7.0, 7.2, 20, 160, flowers, 1.2)
        draw_hair(canvas, head, turn, behind=True)
        _legs(canvas, joints, skin, main, contrast, fans)
        draw_torso(canvas, joints, skin)
        bodice(canvas, joints, contrast, GOLD)
        low = joints.pelvis.point(5.0, 5.0)
        drape(canvas, [joints.chest.point(-5.4, -0.8), joints.chest.point(-1.2, -8.0), low], (4.6, 3.6), main, GOLD)
        belt(canvas, joints, GOLD, 2.6)
        choker(canvas, joints.chest, GOLD, RUBY)
        necklace(canvas, joints.chest, 7.0, GOLD, RUBY)
        necklace(canvas, joints.chest, 12.0, GOLD, (30, 110, 70), 4.6)
        draw_face(canvas, head, turn, Face(skin, smile=0.6))
        draw_hair(canvas, head, turn, behind=False)
        brow_chain(canvas, head, turn, GOLD, RUBY, discs=True)
        earrings(canvas, head, turn, GOLD, RUBY)
        nose_ring(canvas, head, turn, GOLD)
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, contrast, GOLD)
            bangles(canvas, joints, i, GOLD, 4, gem=RUBY)

    return Performer(joints, paint, 22)


def _legs(canvas: Canvas, joints: Joints, skin: Colour, main: Colour, contrast: Colour, fans: int) -> None:
    order = sorted((0, 1), key=lambda i: joints.pose.legs[i].y)
    lifted = joints.pose.legs[order[1]].y > 8
    for i in order if not lifted else order[:1]:
        _leg(canvas, joints, i, skin, main)
    hip_cloth(canvas, joints.pelvis, main)
    apex = joints.pelvis.point(0, 3.0)
    for k in range(fans):
        radius = (0.84 - 0.24 * k) * (apex[1] - 2)
        fan(canvas, apex, radius, _spread(joints, apex, 4 + 5 * k), contrast if k == 1 else main, GOLD, 14 - 3 * k)
    if lifted:
        _leg(canvas, joints, order[1], skin, main)


def _leg(canvas: Canvas, joints: Joints, i: int, skin: Colour, main: Colour) -> None:
    draw_foot(canvas, joints, i, skin)
    silk_leg(canvas, joints.hips[i], joints.knees[i], joints.ankles[i], main, GOLD)
    anklet_bells(canvas, joints, i, 2)


def _spread(joints: Joints, apex: tuple[float, float], inside: float) -> tuple[float, float]:
    """Returns the angles of a fan that hangs between the knees, `inside` degrees short of them."""
    ends = []
    for s, knee in zip((-1, 1), joints.knees, strict=True):
        away = math.degrees(math.atan2(knee[0] - apex[0], apex[1] - knee[1])) - s * inside
        ends.append(270 + max(-58.0, min(58.0, away if abs(away) > 12 else s * 12.0)))
    return min(ends[0], 250.0), max(ends[1], 290.0)
