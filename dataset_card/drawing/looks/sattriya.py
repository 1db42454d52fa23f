"""Sattriya: pale pat silk with red woven borders, white flowers round the bun, or turban and khol drum."""

from __future__ import annotations

import random

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour, Frame, clear, darker, lighter
from dataset_card.drawing.cloth import drape, hip_cloth, panel, pleated, silk_leg
from dataset_card.drawing.face import HAIR, Face, Turned, draw_face, draw_hair
from dataset_card.drawing.ornaments import GOLD, JASMINE, RUBY, bangles, belt, choker, earrings, flower_ring, necklace
from dataset_card.drawing.performer import SKINS, Performer, strike
from dataset_card.drawing.props import barrel_drum
from dataset_card.drawing.skeleton import Arm, Joints, Leg, Pose, place

_SOFT = (Leg(6, 0, 0.35, 0.7), Leg(6, 0, 0.35, 0.7))
WOMEN = (
    Pose((Arm(-20, 40, "alapadma", 10), Arm(-20, 40, "alapadma", 10)), _SOFT, (0, 43), tilt=6, turn=0.3),
    Pose((Arm(12, 70, "pataka"), Arm(-26, -4, "pataka", 20)), _SOFT, (1, 43), sway=-2, lean=3, tilt=-7, turn=0.5),
    Pose(
        (Arm(-28, 156, "hamsasya", 0, (0.95, 0.9)), Arm(-6, 46, "soft", 20)),
        _SOFT,
        (-1, 42),
        sway=3,
        lean=-5,
        tilt=9,
        turn=0.6,
    ),
    Pose(
        (Arm(-30, 148, "katakamukha", 0, (0.95, 0.95)), Arm(-30, 148, "katakamukha", 0, (0.95, 0.95))),
        _SOFT,
        (0, 42),
        tilt=-6,
    ),
    Pose(
        (Arm(40, 112, "alapadma"), Arm(-8, -20, "alapadma", 40)),
        (Leg(5, 0, 0.4), Leg(13, 2, 0.6, 1.0)),
        (-2, 43),
        sway=3,
        pelvis=2,
        lean=-4,
        tilt=6,
        turn=-0.4,
    ),
)
DRUMMERS = (
    Pose(
        (Arm(-50, 214, "pataka", -10, (0.92, 0.5)), Arm(-50, 214, "pataka", -10, (0.92, 0.5))),
        (Leg(9, 0, 0.8), Leg(9, 0, 0.8)),
        (0, 42),
    ),
    Pose(
        (Arm(-50, 214, "pataka", -10, (0.92, 0.5)), Arm(20, 62, "pataka")),
        (Leg(8, 0, 0.8), Leg(18, 0, 0.6, 1)),
        (-2, 41),
        sway=2,
        lean=-5,
        tilt=6,
        turn=0.5,
    ),
    Pose(
        (Arm(24, 58, "pataka"), Arm(-50, 214, "pataka", -10, (0.92, 0.5))),
        (Leg(6, 0, 0.5), Leg(7, 12, 0.8, 0.6)),
        (0, 44),
        sway=-2,
        lean=4,
        tilt=-6,
        turn=-0.5,
    ),
)
PALE: tuple[Colour, ...] = ((244, 234, 208), (232, 210, 160), (248, 242, 228), (222, 192, 134))
REDS: tuple[Colour, ...] = ((176, 28, 36), (150, 22, 40), (196, 52, 36))


def sattriya(rng: random.Random) -> Performer:
    """Returns a woman in skirt, shawl and waist cloth, or (one in three) a man with turban and drum."""
    pale, red, skin = rng.choice(PALE), rng.choice(REDS), rng.choice(SKINS)
    if rng.random() < 0.36:
        return _drummer(rng, pale, red, skin)
    joints = place(strike(WOMEN, rng))
    blouse = red if rng.random() < 0.6 else rng.choice((pale, (40, 90, 60)))

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        bun = head.point(-turn * 2.4, 8.0)
        canvas.oval(bun, 4.6, 4.0, HAIR)
        flower_ring(canvas, bun, 5.2, 4.4, -20, 200, JASMINE, 1.3)
        draw_hair(canvas, head, turn, behind=True)
        _skirt(canvas, joints, skin, pale, red)
        draw_torso(canvas, joints, skin)
        bodice(canvas, joints, blouse, GOLD, to=7, neckline=4.0)
        path = [joints.chest.point(-5.6, -0.6), joints.chest.point(0.5, -9.0), joints.pelvis.point(6.0, 5.0)]
        drape(canvas, path, (6.5, 5.0), pale, red)
        belt(canvas, joints, red, 3.0, gem=GOLD)
        _waist_cloth(canvas, joints, pale, red)
        choker(canvas, joints.chest, GOLD, RUBY)
        necklace(canvas, joints.chest, 8.0, GOLD, RUBY)
        draw_face(canvas, head, turn, Face(skin, smile=0.4))
        draw_hair(canvas, head, turn, behind=False)
        _forehead_plate(canvas, head, turn)
        earrings(canvas, head, turn, GOLD, RUBY, 1.2)
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, blouse, GOLD, cover=0.75)
            bangles(canvas, joints, i, GOLD, 2, armlet=False, gem=RUBY)

    return Performer(joints, paint, 15)


def _skirt(canvas: Canvas, joints: Joints, skin: Colour, pale: Colour, red: Colour) -> None:
    for i in (0, 1):
        draw_foot(canvas, joints, i, skin)
    p = joints.pelvis
    left, right = min(joints.ankles[0][0], -5.0) - 7.0, max(joints.ankles[1][0], 5.0) + 7.0
    hem = [(left, 7.5), (left * 0.55, 5.6), ((left + right) / 2, 5.0), (right * 0.55, 5.6), (right, 7.5)]
    bands = [(0.70, 0.715, red), (0.80, 0.83, red), (0.86, 1.0, red)]
    pleated(canvas, p.at([(-6.2, 5.5), (0, 4.8), (6.2, 5.5)]), hem, pale, 14, bands, 0.18, 0.7)
    for k in range(13):
        t = k / 12
        x, y = left + 2 + (right - left - 4) * t, 13.3 - 2.2 * (1 - (2 * t - 1) ** 2)
        canvas.polygon([(x - 0.9, y), (x, y + 1.4), (x + 0.9, y), (x, y - 1.4)], red)
        canvas.dot((x, y - 5.2), 0.55, lighter(GOLD, 0.3))


def _waist_cloth(canvas: Canvas, joints: Joints, pale: Colour, red: Colour) -> None:
    """Draws the front end of the waist cloth with woven motifs."""
    x, y = joints.pelvis.point(0, 4.6)
    drop = y * 0.52
    panel(
        canvas,
        [(x - 3.0, y), (x + 3.0, y)],
        [(x - 4.2, y - drop), (x + 4.2, y - drop)],
        red,
        [(0.8, 0.84, GOLD), (0.9, 0.94, GOLD)],
    )
    for k in range(4):
        cy = y - drop * (0.16 + 0.18 * k)
        canvas.polygon([(x - 1.9, cy), (x, cy + 1.5), (x + 1.9, cy), (x, cy - 1.5)], pale)
        canvas.polygon([(x - 0.9, cy), (x, cy + 0.7), (x + 0.9, cy), (x, cy - 0.7)], red)


def _forehead_plate(canvas: Canvas, head: Frame, turn: float) -> None:
    """Draws the kopali, a row of gold plates along the hairline."""
    on = Turned(head, turn)
    line = [(-5.2, 2.2), (-3.4, 4.6), (-1.5, 5.6), (0, 5.8), (1.5, 5.6), (3.4, 4.6), (5.2, 2.2)]
    canvas.stroke(on.at(line), darker(GOLD, 0.4), 1.6)
    canvas.stroke(on.at(line), GOLD, 1.0)
    canvas.blob(on.at([(-1.3, 5.6), (0, 6.4), (1.3, 5.6), (0, 4.2)]), GOLD, darker(GOLD, 0.5))
    canvas.dot(on.point(0, 5.3), 0.45, RUBY)


def _drummer(rng: random.Random, pale: Colour, red: Colour, skin: Colour) -> Performer:
    broad = 1.14
    joints = place(strike(DRUMMERS, rng), broad)
    moustache, shawl = rng.random() < 0.4, rng.choice((pale, red))

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        for i in (0, 1):
            draw_foot(canvas, joints, i, skin, None)
            silk_leg(canvas, joints.hips[i], joints.knees[i], joints.ankles[i], pale, red, 1.18)
        hip_cloth(canvas, joints.pelvis, pale)
        draw_torso(canvas, joints, skin, broad)
        bodice(canvas, joints, lighter(pale, 0.4), pale, to=7, broad=broad, neckline=3.0)
        x, y = joints.pelvis.point(0, 4.6)
        pleated(canvas, [(x - 3, y), (x + 3, y)], [(x - 4, y - 24), (x + 4, y - 24)], pale, 6, [(0.86, 0.97, red)])
        belt(canvas, joints, red, 3.4, gem=None)
        for s in (-1, 1):
            end = joints.pelvis.point(s * 4.6, -4.0)
            drape(
                canvas,
                [joints.chest.point(s * 4.6, -0.4), joints.chest.point(s * 4.2, -12.0), end],
                (3.6, 3.6),
                shawl,
                red if shawl == pale else pale,
            )
        draw_hair(canvas, head, turn, behind=True)
        draw_face(
            canvas,
            head,
            turn,
            Face(skin, lips=(160, 76, 66), mark=(236, 206, 150), mark_size=0.5, moustache=moustache, smile=0.4),
        )
        draw_hair(canvas, head, turn, behind=False)
        _turban(canvas, head, turn, pale, red)
        barrel_drum(canvas, joints.pelvis.point(0, 10.5), rng_angle, 27, (5.6, 3.2), (150, 84, 50))
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, lighter(pale, 0.4), pale, None, 0.9, broad=1.12)

    rng_angle = rng.uniform(-14, 14)
    return Performer(joints, paint, 18)


def _turban(canvas: Canvas, head: Frame, turn: float, pale: Colour, red: Colour) -> None:
    """Draws a flat wound turban with a red end."""
    shape = [
        (-6.4, 2.6),
        (-6.8, 5.6),
        (-5.0, 9.0),
        (0, 10.8),
        (5.0, 9.0),
        (6.8, 5.6),
        (6.4, 2.6),
        (3.0, 4.6),
        (0, 5.1),
        (-3.0, 4.6),
    ]
    canvas.blob(head.at(shape), pale, darker(pale, 0.5))
    for k in range(4):
        fold = [(-6.4 + k * 0.4, 3.6 + 1.5 * k), (0, 6.0 + 1.3 * k), (6.3 - k * 0.6, 4.6 + 1.1 * k)]
        canvas.stroke(head.at(fold), clear(darker(pale, 0.6), 120), 0.4)
    s = -1 if turn > 0 else 1
    tail = [(s * 5.6, 4.0), (s * 7.4, 3.0), (s * 8.2, -3.0), (s * 6.4, -4.0)]
    canvas.blob(head.at(tail), red, darker(red, 0.5))
