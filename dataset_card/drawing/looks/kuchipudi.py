"""Kuchipudi: one long fan and a side fan, a curved bouncing body, brass plate, pot and lamps."""

from __future__ import annotations

import random
from dataclasses import replace

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour, Frame, clear, darker
from dataset_card.drawing.cloth import drape, fan, hip_cloth, pleated, silk_leg
from dataset_card.drawing.face import HAIR, Face, draw_face, draw_hair
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
from dataset_card.drawing.props import brass_plate, hand_lamp, pot
from dataset_card.drawing.skeleton import Arm, Joints, Leg, Pose, place

_ON_PLATE = (Leg(5.0, 0, 0.7, 0.7), Leg(5.0, 0, 0.7, 0.7))
_LAMP_ARMS = (
    (Arm(8, 22, "pataka", 20), Arm(8, 22, "pataka", 20)),
    (Arm(34, 66, "pataka"), Arm(-6, 20, "pataka", 20)),
    (Arm(-30, 40, "pataka", 20), Arm(-30, 40, "pataka", 20)),
    (Arm(40, 70, "pataka"), Arm(40, 70, "pataka")),
)
POSES = (
    Pose(
        (Arm(8, 20, "pataka", 30), Arm(8, 20, "pataka", 30)),
        _ON_PLATE,
        (0, 41),
        sway=2,
        bend=-2,
        pelvis=3,
        lean=-3,
        tilt=4,
    ),
    Pose(
        (Arm(30, 62, "alapadma"), Arm(-14, 6, "hamsasya", 20)),
        _ON_PLATE,
        (2, 41),
        sway=-4,
        bend=2.5,
        pelvis=-6,
        lean=7,
        tilt=-8,
        turn=0.5,
    ),
    Pose(
        (Arm(-20, 165, "katakamukha", 0, (0.95, 0.9)), Arm(26, 70, "tripataka")),
        (Leg(4, 0, 0.7), Leg(16, 3, 0.8, 1.0)),
        (-3, 40),
        sway=4,
        bend=-2.5,
        pelvis=7,
        lean=-8,
        tilt=9,
        turn=0.6,
    ),
    Pose(
        (Arm(-38, -110, "mushti", 0, (0.9, 0.8)), Arm(0, 78, "mrigashirsha")),
        (Leg(3, 0, 0.4), Leg(12, 0, 0.5)),
        (4, 44),
        sway=-5,
        bend=3,
        pelvis=-9,
        lean=8,
        tilt=-10,
        turn=-0.5,
    ),
    Pose(
        (Arm(44, 70, "alapadma"), Arm(44, 70, "alapadma")),
        (Leg(4, 0, 0.6), Leg(-4, 14, 0.9, 0.2)),
        (1, 43),
        sway=-3,
        bend=2,
        pelvis=-4,
        lean=5,
        tilt=-6,
    ),
    Pose(
        (Arm(-30, 120, "hamsasya", 10), Arm(-2, 40, "hamsasya", 10)),
        (Leg(5, 0, 0.7), Leg(20, 0, 0.5, 1.0)),
        (-4, 40),
        sway=5,
        bend=-3,
        pelvis=6,
        lean=-9,
        tilt=10,
        turn=0.8,
    ),
)


def kuchipudi(rng: random.Random) -> Performer:
    """Returns a Kuchipudi dancer; plate, pot, lamps come and go."""
    pose = strike(POSES, rng)
    plate, carries_pot, lamps = rng.random() < 0.6, rng.random() < 0.28, rng.random() < 0.3
    if plate:
        pose = replace(pose, legs=_ON_PLATE, hip=(pose.hip[0] * 0.3, min(pose.hip[1], 42.0)))
    if carries_pot:
        pose = replace(pose, tilt=pose.tilt * 0.2)
    if lamps:
        pose = replace(pose, arms=rng.choice(_LAMP_ARMS))
    joints = place(pose)
    main, contrast = silk(rng)
    skin, side = rng.choice(SKINS), rng.choice((-1, 1))
    disc = not carries_pot and rng.random() < 0.7

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, pose.turn
        if plate:
            brass_plate(canvas, (0.0, -0.8), 15)
        plait(canvas, head, turn, 46, GOLD, JASMINE, side)
        if disc:
            _crown_disc(canvas, head)
        draw_hair(canvas, head, turn, behind=True)
        _lower(canvas, joints, skin, main, contrast, side)
        draw_torso(canvas, joints, skin)
        bodice(canvas, joints, contrast, GOLD)
        drape(
            canvas,
            [joints.chest.point(5.4, -0.8), joints.chest.point(1.0, -9.0), joints.pelvis.point(-5.0, 5.0)],
            (5.2, 3.2),
            main,
            GOLD,
        )
        belt(canvas, joints, GOLD, 2.2)
        choker(canvas, joints.chest, GOLD, RUBY)
        necklace(canvas, joints.chest, 8.5, GOLD, RUBY)
        draw_face(canvas, head, turn, Face(skin, smile=0.95))
        draw_hair(canvas, head, turn, behind=False)
        brow_chain(canvas, head, turn, GOLD, RUBY, discs=True)
        earrings(canvas, head, turn, GOLD, RUBY)
        nose_ring(canvas, head, turn, GOLD)
        if carries_pot:
            pot(canvas, Frame(*head.point(0, 7.6), head.angle))
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, contrast, GOLD)
            bangles(canvas, joints, i, GOLD, 3, gem=RUBY)
            if lamps:
                x, y = joints.wrists[i]
                hand_lamp(canvas, (x + (3.0 if i else -3.0), y + 2.6))

    return Performer(joints, paint, 18, joints.head.y + (17 if carries_pot else 11), 5)


def _crown_disc(canvas: Canvas, head: Frame) -> None:
    centre = head.point(0, 7.6)
    canvas.dot(head.point(0, 7.4), 4.9, HAIR)
    canvas.dot(centre, 4.0, GOLD, darker(GOLD, 0.5))
    canvas.dot(centre, 2.9, RUBY)
    canvas.dot(centre, 1.8, GOLD)
    flower_ring(canvas, centre, 4.9, 4.7, -10, 190, JASMINE, 0.95)


def _lower(canvas: Canvas, joints: Joints, skin: Colour, main: Colour, contrast: Colour, side: int) -> None:
    hx, hy = joints.pelvis.x, joints.pelvis.y
    # The end of the cloth drawn back between the legs hangs behind one hip.
    top = [joints.pelvis.point(side * 3.0, 5.0), joints.pelvis.point(side * 7.0, 4.0)]
    low = [(hx + side * 7.0, hy - 16), (hx + side * 16.5, hy - 11)]
    for i in (0, 1):
        draw_foot(canvas, joints, i, skin)
        silk_leg(canvas, joints.hips[i], joints.knees[i], joints.ankles[i], main, GOLD, 1.05)
        anklet_bells(canvas, joints, i, 2)
        knee, hip = joints.knees[i], joints.hips[i]
        for k in range(3):
            path = [
                (hx, hy - 4 - 2.0 * k),
                ((hip[0] + knee[0]) / 2, (hip[1] + knee[1]) / 2 - 4 + k),
                (knee[0], knee[1] + 2 - 3 * k),
            ]
            canvas.stroke(path, clear(darker(main, 0.55), 120), 0.4)
    hip_cloth(canvas, joints.pelvis, main)
    pleated(canvas, top, low, contrast, 6, [(0.84, 0.96, GOLD)])
    apex = joints.pelvis.point(0, 5.0)
    aim = 270 + (0 - apex[0]) * 0.8
    fan(canvas, apex, (apex[1] - 1) * 0.9, (aim - 15, aim + 15), main, GOLD, 9)
