"""Kathakali: painted face with a white rim, a great crown, red jacket, a bell of layered cloth, scarves."""

from __future__ import annotations

import math
import random

import numpy as np

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour, clear, darker, lighter
from dataset_card.drawing.cloth import drape, pleated
from dataset_card.drawing.looks.kathakali_make_up import ROLES, crown_disc, crown_front, paint_face
from dataset_card.drawing.ornaments import GOLD, RUBY, SILVER, anklet_bells, bangles, necklace
from dataset_card.drawing.performer import SKINS, Performer, strike
from dataset_card.drawing.skeleton import Arm, Joints, Leg, Pose, place

_WIDE = (Leg(14, 0, 0.5, 0.9), Leg(14, 0, 0.5, 0.9))
POSES = (
    Pose((Arm(-6, 30, "pataka", 20), Arm(-6, 30, "pataka", 20)), _WIDE, (0, 39)),
    Pose((Arm(-14, 160, "katakamukha", 0, (1.0, 0.9)), Arm(14, 52, "tripataka")), _WIDE, (0, 39), tilt=-5, turn=0.4),
    Pose((Arm(-20, 120, "mushti"), Arm(-20, 120, "mushti")), _WIDE, (0, 38), turn=-0.2),
    Pose(
        (Arm(30, 74, "alapadma"), Arm(-16, -20, "pataka", 30)),
        (Leg(12, 0, 0.5), Leg(18, 2, 0.4, 0.9)),
        (-2, 41),
        sway=2,
        lean=-5,
        tilt=6,
        turn=0.3,
    ),
    Pose(
        (Arm(-2, 66, "mrigashirsha"), Arm(-24, 140, "hamsasya", 0, (1.0, 0.95))),
        _WIDE,
        (0, 37),
        sway=-2,
        lean=5,
        tilt=-6,
        turn=-0.5,
    ),
    Pose((Arm(4, -14, "hamsasya", 20), Arm(40, 60, "suchi")), _WIDE, (1, 39), sway=-2, lean=4, tilt=5, turn=0.5),
)


def kathakali(rng: random.Random) -> Performer:
    """Returns a Kathakali actor, most often a green hero."""
    joints = place(strike(POSES, rng), 1.12)
    role, skin = rng.choice(ROLES), rng.choice(SKINS)
    disc = rng.uniform(13.0, 17.0)
    stripes = rng.choice(
        (((206, 44, 40), (34, 40, 60)), ((226, 120, 40), (150, 26, 40)), ((30, 96, 80), (196, 40, 44)))
    )
    ground = rng.choice(((248, 242, 228), (244, 228, 196), (214, 60, 50)))

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        crown_disc(canvas, head, disc, role)
        canvas.blob(head.at([(-5.6, 3), (-8.2, -10), (-7.4, -20), (7.4, -20), (8.2, -10), (5.6, 3)]), (34, 24, 26))
        for i in (0, 1):
            draw_foot(canvas, joints, i, skin, None)
            canvas.limb(joints.knees[i], joints.ankles[i], (3.2, 3.4, 2.2), (236, 226, 206))
            anklet_bells(canvas, joints, i, 3)
        _bell(canvas, joints, ground, stripes)
        draw_torso(canvas, joints, skin, 1.12)
        bodice(canvas, joints, role.jacket, GOLD, to=7, broad=1.12, neckline=2.0)
        _breast(canvas, joints)
        _scarves(canvas, joints, ground)
        paint_face(canvas, head, turn, role)
        crown_front(canvas, head, role)
        for i in (0, 1):
            nails = SILVER if i == 1 else None
            draw_arm(canvas, joints, i, skin, role.jacket, GOLD, None, 1.86, nails, 1.18)
            bangles(canvas, joints, i, GOLD, 3, armlet=False, gem=RUBY)
            x, y = joints.shoulders[i]
            canvas.dot((x, y + 0.6), 3.1, GOLD, darker(GOLD, 0.5))
            canvas.dot((x, y + 0.6), 1.9, RUBY)
            canvas.dot((x, y + 0.6), 0.9, lighter(GOLD, 0.5))

    return Performer(joints, paint, 27, max(joints.head.y + 8 + disc, joints.head.y + 21))


def _bell(canvas: Canvas, joints: Joints, ground: Colour, stripes: tuple[Colour, Colour]) -> None:
    """Draws the skirt: many starched layers that stand off the body like a bell."""
    x, y = joints.pelvis.x, joints.pelvis.y
    layers = ((1.0, 25.0, 14.0), (0.82, 23.6, 19.0), (0.6, 20.5, 24.5))
    for k, (_, half, low) in enumerate(layers):
        a = np.linspace(math.pi, 2 * math.pi, 21)
        hem = np.stack([x + half * np.cos(a), low + 3.6 * np.sin(a) + 0.5 * np.sin(11 * a)], axis=1)
        shoulder = [(x - 7.5, y + 6), (x - half * 0.82, y - 3.5), (x - half, (y + low) / 2 - 3), (x - half, low)]
        dome = np.concatenate([np.array(shoulder), hem, np.array([(2 * x - px, py) for px, py in shoulder[::-1]])])
        tone = ground if k != 1 else lighter(ground, 0.4)
        canvas.polygon(dome, tone, darker(tone, 0.5), 0.35)
        top = np.stack([x + half * 0.8 * np.cos(a), y - 2 + 2.5 * np.sin(a)], axis=1)
        for start, stop, colour in ((0.50, 0.62, stripes[1]), (0.70, 0.98, stripes[0]), (0.82, 0.86, GOLD)):
            u, v = top + (hem - top) * start, top + (hem - top) * stop
            u[:, 0], v[:, 0] = (x + (hem[:, 0] - x) * (0.9 + 0.1 * start), x + (hem[:, 0] - x) * (0.9 + 0.1 * stop))
            canvas.polygon(np.concatenate([u, v[::-1]]), colour)
        for j in range(1, 20, 2):
            canvas.stroke([tuple(top[j]), tuple(hem[j])], clear(darker(tone, 0.7), 60), 0.5, curved=False)
        canvas.polygon(np.concatenate([top[14:], hem[14:][::-1]]), clear((30, 10, 20), 50))
    pleated(
        canvas,
        [(x - 3.4, y + 6), (x + 3.4, y + 6)],
        [(x - 5.5, 17), (x + 5.5, 17)],
        stripes[0],
        6,
        [(0.8, 0.97, GOLD)],
    )
    canvas.polygon(
        [(x - 7.6, y + 7.4), (x + 7.6, y + 7.4), (x + 8.2, y + 3.6), (x - 8.2, y + 3.6)], GOLD, darker(GOLD, 0.5)
    )
    canvas.beads([(x - 7, y + 5.5), (x + 7, y + 5.5)], 0.8, RUBY, 2.6, curved=False)


def _breast(canvas: Canvas, joints: Joints) -> None:
    """Draws the breastplate of beads and the necklaces."""
    plate = joints.chest.at([(-5.6, -3.4), (0, -2.0), (5.6, -3.4), (5.0, -8.6), (0, -11.6), (-5.0, -8.6)])
    canvas.blob(plate, GOLD, darker(GOLD, 0.5), 0.5)
    for k, tone in enumerate((RUBY, (34, 110, 80), RUBY)):
        w, y = 4.4 - 0.6 * k, -4.6 - 2.0 * k
        canvas.beads(joints.chest.at([(-w, y), (0, y - 1.0), (w, y)]), 0.62, tone)
    necklace(canvas, joints.chest, 13.5, (244, 240, 230), RUBY, 4.6)


def _scarves(canvas: Canvas, joints: Joints, ground: Colour) -> None:
    """Draws the scarves that hang from the neck to lotus-shaped ends with mirrors."""
    for s, colour, edge in ((-1, (244, 240, 230), (196, 40, 44)), (1, (200, 44, 44), (244, 232, 200))):
        for k in (0, 1):
            x, y = joints.pelvis.point(s * (5.4 + 4.4 * k), -7.0 + 4.0 * k)
            drape(
                canvas,
                [joints.chest.point(s * 3.6, -0.6), joints.chest.point(s * (5.0 + k), -13), (x, y)],
                (2.4, 3.0),
                colour,
                edge,
            )
            bud = [
                (x - 1.6, y),
                (x - 3.0, y - 2.6),
                (x - 1.6, y - 3.4),
                (x, y - 4.8),
                (x + 1.6, y - 3.4),
                (x + 3.0, y - 2.6),
                (x + 1.6, y),
            ]
            canvas.blob(bud, edge, darker(edge, 0.5))
            canvas.dot((x, y - 1.7), 1.2, (220, 232, 240), GOLD)
