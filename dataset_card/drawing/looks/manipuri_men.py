"""The Krishna of the Manipuri ring dance, and the leaping drummer of the cholom."""

from __future__ import annotations

import math
import random

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour, clear, darker
from dataset_card.drawing.cloth import drape, hip_cloth, pleated, silk_leg
from dataset_card.drawing.face import Face, draw_face, draw_hair
from dataset_card.drawing.ornaments import GOLD, JASMINE, RUBY, bangles, belt, earrings, flower_ring
from dataset_card.drawing.performer import Performer, strike
from dataset_card.drawing.props import barrel_drum
from dataset_card.drawing.skeleton import Arm, Leg, Pose, place

KRISHNAS = (
    Pose(
        (Arm(-24, 140, "suchi", 0, (0.9, 0.8)), Arm(-18, 150, "suchi", 0, (0.9, 0.8))),
        (Leg(4, 0, 0.4), Leg(-5, 2, 0.7, 0.5)),
        (-2, 45),
        sway=2,
        bend=-2,
        pelvis=5,
        lean=-5,
        tilt=8,
        turn=0.5,
    ),
    Pose(
        (Arm(14, 70, "tripataka"), Arm(-10, 20, "pataka", 20)),
        (Leg(6, 0, 0.6), Leg(16, 0, 0.5, 1)),
        (-2, 42),
        sway=3,
        bend=-1,
        pelvis=3,
        lean=-5,
        tilt=7,
        turn=0.6,
    ),
)
DRUMMERS = (
    Pose(
        (Arm(-50, 214, "pataka", -10, (0.92, 0.5)), Arm(30, 64, "pataka")),
        (Leg(8, 0, 0.8), Leg(6, 16, 1, 0.5)),
        (0, 43),
        sway=2,
        lean=-6,
        tilt=8,
        turn=0.4,
    ),
    Pose(
        (Arm(-50, 214, "pataka", -10, (0.92, 0.5)), Arm(-50, 214, "pataka", -10, (0.92, 0.5))),
        (Leg(12, 4, 1, 0.7), Leg(15, 9, 1, 0.8)),
        (0, 42),
        tilt=-6,
    ),
    Pose(
        (Arm(40, 70, "pataka"), Arm(-50, 214, "pataka", -10, (0.92, 0.5))),
        (Leg(20, 0, 0.6, 1), Leg(9, 0, 0.9)),
        (2, 38),
        sway=-3,
        lean=7,
        tilt=-8,
        turn=-0.5,
    ),
)


def krishna(rng: random.Random, skin: Colour) -> Performer:
    """Returns a Krishna: yellow dhoti, peacock feathers, sometimes a flute."""
    joints = place(strike(KRISHNAS, rng))
    yellow = rng.choice(((238, 178, 40), (232, 150, 34), (244, 200, 70)))
    flute = joints.wrists[1][0] - joints.wrists[0][0] < 14

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        for k in range(9):
            a = math.radians(30 + 15 * k)
            tip = head.point(15.5 * math.cos(a), 4.0 + 14.0 * math.sin(a))
            canvas.limb(head.point(0, 6), tip, (0.4, 1.0, 1.7), (40, 116, 80), 0)
            canvas.dot(tip, 1.7, (58, 150, 96))
            canvas.dot(tip, 1.1, (40, 90, 170))
            canvas.dot(tip, 0.5, (20, 24, 70))
        draw_hair(canvas, head, turn, behind=True)
        for i in (0, 1):
            draw_foot(canvas, joints, i, skin)
            silk_leg(canvas, joints.hips[i], joints.knees[i], joints.ankles[i], yellow, (176, 30, 44), 1.12)
        hip_cloth(canvas, joints.pelvis, yellow)
        draw_torso(canvas, joints, skin)
        bodice(canvas, joints, (44, 60, 120), GOLD, to=6, neckline=3.6)
        x, y = joints.pelvis.point(0, 5)
        pleated(
            canvas,
            [(x - 3, y), (x + 3, y)],
            [(x - 4.4, y - 22), (x + 4.4, y - 22)],
            yellow,
            6,
            [(0.84, 0.97, (176, 30, 44))],
        )
        drape(
            canvas, [joints.chest.point(-5, -0.6), joints.chest.point(0, -9), (x + 6, y)], (4, 3), (200, 40, 60), GOLD
        )
        belt(canvas, joints, GOLD, 3.0)
        flower_ring(canvas, joints.chest.point(0, -2.0), 5.4, 14.0, 190, 350, JASMINE, 1.0)
        draw_face(canvas, head, turn, Face(skin, mark=(240, 214, 120), smile=0.4))
        draw_hair(canvas, head, turn, behind=False)
        canvas.blob(
            head.at([(-5.6, 4.0), (-4.4, 8.4), (0, 10.4), (4.4, 8.4), (5.6, 4.0), (0, 6.0)]), GOLD, darker(GOLD, 0.5)
        )
        canvas.beads(head.at([(-5.3, 4.6), (0, 6.8), (5.3, 4.6)]), 0.6, RUBY)
        earrings(canvas, head, turn, GOLD, RUBY, 1.2)
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, (44, 60, 120), GOLD)
            bangles(canvas, joints, i, GOLD, 3)
        if flute:
            (x0, y0), (x1, y1) = joints.wrists
            canvas.limb((x0 - 8, y0 + 2.5), (x1 + 9, y1 + 2.5), (0.7, 0.7, 0.7), (190, 140, 70), 0)

    return Performer(joints, paint, 16, joints.head.y + 22)


def drummer(rng: random.Random, skin: Colour) -> Performer:
    """Returns a bare-chested drummer in a white dhoti and a ball-shaped turban."""
    broad = 1.16
    joints = place(strike(DRUMMERS, rng), broad)
    angle = rng.uniform(-12, 12)

    def paint(canvas: Canvas) -> None:
        head, turn, white = joints.head, joints.pose.turn, (246, 242, 234)
        for i in (0, 1):
            draw_foot(canvas, joints, i, skin, None)

            silk_leg(canvas, joints.hips[i], joints.knees[i], joints.ankles[i], white, (200, 180, 150), 1.2)
        hip_cloth(canvas, joints.pelvis, white)
        draw_torso(canvas, joints, skin, broad)
        x, y = joints.pelvis.point(0, 5)
        pleated(canvas, [(x - 3, y), (x + 3, y)], [(x - 5, y - 24), (x + 4, y - 24)], white, 6, (), 0.2)
        belt(canvas, joints, (232, 224, 210), 3.6, gem=None)
        canvas.beads(joints.chest.at([(-3.4, 0), (-2, -5.0), (0, -6.4), (2, -5.0), (3.4, 0)]), 0.5, (120, 80, 50))
        draw_hair(canvas, head, turn, behind=True)
        draw_face(canvas, head, turn, Face(skin, lips=(160, 80, 70), mark=(236, 220, 180), smile=0.5, brows=1.2))
        draw_hair(canvas, head, turn, behind=False)
        ball = [(-6.2, 3.2), (-8.2, 8.0), (-5.6, 13.0), (0, 14.6), (5.6, 13.0), (8.2, 8.0), (6.2, 3.2), (0, 5.2)]
        canvas.blob(head.at(ball), white, darker(white, 0.45))
        for k in range(5):
            canvas.stroke(
                head.at([(-7.4 + k * 0.9, 5.0 + 1.9 * k), (0, 7.0 + 1.7 * k), (7.2 - k, 6.0 + 1.5 * k)]),
                clear(darker(white, 0.5), 110),
                0.4,
            )
        barrel_drum(canvas, joints.pelvis.point(0, 9.5), angle, 29, (4.6, 4.2), (140, 60, 40))
        canvas.stroke([joints.chest.point(-5, -0.6), joints.pelvis.point(10, 11)], (220, 206, 180), 0.8)
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, None, None, None, broad=1.15)

    return Performer(joints, paint, 18, joints.head.y + 15)
