"""Kathak: straight legs, a flared frock that spins to a disc, churidar, rows of bells, cap or veil."""

from __future__ import annotations

import math
import random

import numpy as np

from dataset_card.drawing.body import bodice, draw_arm, draw_foot, draw_torso
from dataset_card.drawing.canvas import Canvas, Colour, Frame, clear, darker, lighter
from dataset_card.drawing.cloth import arc, drape, pleated, veil
from dataset_card.drawing.face import HAIR, Face, draw_face, draw_hair
from dataset_card.drawing.ornaments import GOLD, RUBY, anklet_bells, bangles, brow_chain, choker, earrings, necklace
from dataset_card.drawing.performer import SKINS, Performer, silk, strike
from dataset_card.drawing.skeleton import Arm, Joints, Leg, Pose, place

_STRAIGHT = (Leg(4, 0, 0.15, 0.5), Leg(4, 0, 0.15, 0.5))
POSES = (
    Pose(
        (Arm(10, 40, "soft", -20), Arm(-18, 168, "hamsasya", 0, (0.95, 0.95))), _STRAIGHT, (0, 47.5), turn=0.4, tilt=-5
    ),
    Pose((Arm(66, 88, "soft", 10), Arm(2, 2, "soft", 10)), _STRAIGHT, (0, 47.5), turn=0.5, tilt=5),
    Pose((Arm(2, 6, "soft", 10), Arm(2, 6, "soft", 10)), _STRAIGHT, (0, 47.5), turn=-0.3),
    Pose(
        (Arm(-20, 160, "soft", 0, (0.95, 0.9)), Arm(-20, 176, "soft", 0, (0.95, 0.9))),
        _STRAIGHT,
        (0, 47.5),
        turn=0.6,
        tilt=-8,
    ),
    Pose(
        (Arm(54, 126, "hamsasya"), Arm(-50, -30, "soft", 10)),
        (Leg(4, 0, 0.1, 0.5), Leg(9, 0, 0.1, 0.8)),
        (0, 47),
        sway=1,
        lean=-2,
        tilt=7,
        turn=0.7,
    ),
    Pose(
        (Arm(36, 60, "hamsasya", 10), Arm(-30, 140, "hamsasya", 10)),
        (Leg(3, 0, 0.1, 0.5), Leg(-3, 4, 0.3, 0.4)),
        (0, 47),
        tilt=8,
        turn=-0.7,
    ),
)


def kathak(rng: random.Random) -> Performer:
    """Returns a Kathak dancer, standing or (two in five) in a spin."""
    joints = place(strike(POSES, rng))
    main, contrast = silk(rng)
    if rng.random() < 0.25:
        main = rng.choice(((248, 244, 236), (232, 224, 240), (250, 236, 224)))
    skin, trim = rng.choice(SKINS), rng.choice((GOLD, GOLD, (206, 212, 222)))
    spin = rng.random() < 0.42
    flare = rng.uniform(27, 36) if spin else rng.uniform(16, 22)
    lift = rng.uniform(-3, 5)
    head_dress = rng.choice(("cap", "veil", "veil", "bare"))
    side = rng.choice((-1, 1))

    def paint(canvas: Canvas) -> None:
        head, turn = joints.head, joints.pose.turn
        if head_dress == "veil":
            _veil_behind(canvas, joints, contrast, trim, side, 14.0 if spin else 0.0)
        else:
            canvas.dot(head.point(-turn * 3.0, -4.0), 3.8, HAIR)
        draw_hair(canvas, head, turn, behind=True)
        _trousers(canvas, joints, skin, contrast)
        if spin:
            _disc(canvas, joints, main, trim, flare, lift)
        else:
            _frock(canvas, joints, main, trim, flare)
        draw_torso(canvas, joints, skin)
        bodice(canvas, joints, main, trim, to=7, neckline=4.0)
        yoke = joints.chest.at([(-3.4, -2.0), (0, -4.6), (3.4, -2.0), (3.0, -10.0), (0, -12.0), (-3.0, -10.0)])
        canvas.blob(yoke, darker(main, 0.2), trim, 0.4)
        canvas.beads(joints.chest.at([(0, -5.0), (0, -11.0)]), 0.4, trim, 3.0, curved=False)
        p = joints.pelvis
        canvas.polygon(p.at([(-6.0, 7.6), (6.0, 7.6), (6.4, 4.6), (-6.4, 4.6)]), contrast, darker(contrast, 0.5))
        canvas.stroke(p.at([(-6.0, 7.4), (6.0, 7.4)]), trim, 0.5)
        canvas.stroke(p.at([(-6.3, 4.9), (6.3, 4.9)]), trim, 0.5)
        if head_dress != "veil":
            drape(
                canvas,
                [joints.chest.point(side * 5.0, -0.6), joints.chest.point(0, -9), p.point(-side * 6, 6)],
                (3.6, 3.0),
                contrast,
                trim,
            )
        choker(canvas, joints.chest, trim, None)
        necklace(canvas, joints.chest, 7.0, (240, 234, 224), RUBY, 3.2)
        draw_face(canvas, head, turn, Face(skin, mark_size=0.4, smile=0.55, lids=(90, 60, 80)))
        draw_hair(canvas, head, turn, behind=False)
        if head_dress == "cap":
            _cap(canvas, head, contrast, trim)
        elif head_dress == "veil":
            _veil_over(canvas, head, contrast, trim)
        else:
            brow_chain(canvas, head, turn, trim, RUBY)
        earrings(canvas, head, turn, trim, RUBY)
        for i in (0, 1):
            draw_arm(canvas, joints, i, skin, main, trim, dye=None, cover=1.62)
            bangles(canvas, joints, i, trim, 2, armlet=False)

    return Performer(joints, paint, flare + 2)


def _trousers(canvas: Canvas, joints: Joints, skin: Colour, cloth: Colour) -> None:
    """Draws tight trousers with gathers, and many rows of bells."""
    for i in (0, 1):
        draw_foot(canvas, joints, i, skin)
        canvas.limb(joints.hips[i], joints.knees[i], (5.0, 4.9, 3.3), cloth)
        canvas.limb(joints.knees[i], joints.ankles[i], (3.2, 3.4, 2.1), cloth)
        anklet_bells(canvas, joints, i, 5)


def _frock(canvas: Canvas, joints: Joints, main: Colour, trim: Colour, flare: float) -> None:
    p, y = joints.pelvis, 15.0
    x = p.x
    hem = [
        (x + flare * math.cos(a), y + 4.4 * math.sin(a) + 0.8 * math.sin(7 * a))
        for a in np.linspace(math.pi, 2 * math.pi, 25)
    ]
    back = [(x + flare * math.cos(a), y + 3.0 * math.sin(a)) for a in np.linspace(0, math.pi, 13)]
    canvas.polygon(hem + back, darker(main, 0.55))
    bands = [(0.80, 0.82, trim), (0.87, 1.0, trim), (0.91, 0.96, darker(trim, 0.35))]
    pleated(canvas, p.at([(-5.8, 6.0), (0, 5.2), (5.8, 6.0)]), hem, main, 15, bands, 0.3, 0.6)


def _disc(canvas: Canvas, joints: Joints, main: Colour, trim: Colour, flare: float, lift: float) -> None:
    """Draws the skirt of a spinning dancer: a wide shallow cone seen from slightly above."""
    x, top = joints.pelvis.x, joints.pelvis.y + 5.0
    y = joints.pelvis.y - 12.0 + lift
    canvas.polygon(arc((x, y), flare, 0, 360, 0.27), darker(main, 0.6))
    bands = [(0.78, 0.80, trim), (0.86, 1.0, trim), (0.90, 0.95, darker(trim, 0.35))]
    pleated(
        canvas,
        arc((x, top), 5.6, 176, 4, 0.2),
        arc((x, y), flare, 176, 4, 0.27),
        darker(main, 0.25),
        14,
        bands,
        0.25,
        0.3,
    )
    front = [
        (x + flare * math.cos(a), y + flare * 0.27 * math.sin(a) + 0.9 * math.sin(6 * a))
        for a in np.linspace(math.pi, 2 * math.pi, 31)
    ]
    pleated(canvas, arc((x, top), 6.0, 180, 360, 0.2), front, main, 20, bands, 0.3, 0.3)


def _cap(canvas: Canvas, head: Frame, cloth: Colour, trim: Colour) -> None:
    canvas.blob(
        head.at([(-5.4, 4.6), (-4.8, 8.0), (-1.0, 11.0), (1.2, 10.6), (4.8, 8.0), (5.4, 4.6), (0, 6.4)]),
        cloth,
        darker(cloth, 0.5),
    )
    canvas.stroke(head.at([(-5.3, 4.9), (0, 6.7), (5.3, 4.9)]), trim, 1.1)
    canvas.dot(head.point(0, 7.4), 0.9, trim)
    canvas.stroke(head.at([(0.4, 8.0), (1.0, 11.4), (2.4, 13.2)]), lighter(trim, 0.5), 0.6)


def _veil_behind(canvas: Canvas, joints: Joints, cloth: Colour, trim: Colour, side: int, blown: float) -> None:
    h, hip = joints.head, joints.pelvis
    left, right = (-11.0 - (blown if side < 0 else 0)), (11.0 + (blown if side > 0 else 0))
    points = [
        h.point(-6.2, 3),
        h.point(-4, 8.6),
        h.point(0, 9.8),
        h.point(4, 8.6),
        h.point(6.2, 3),
        (h.x + 9, h.y - 16),
    ]
    points += [
        (hip.x + right, hip.y + blown * 0.6),
        (hip.x, hip.y - 4),
        (hip.x + left, hip.y + blown * 0.6),
        (h.x - 9, h.y - 16),
    ]
    veil(canvas, points, cloth, 205, trim)


def _veil_over(canvas: Canvas, head: Frame, cloth: Colour, trim: Colour) -> None:
    rim = [
        (-6.3, -2.0),
        (-6.5, 3.0),
        (-4.6, 7.8),
        (0, 9.9),
        (4.6, 7.8),
        (6.5, 3.0),
        (6.3, -2.0),
        (5.2, 2.6),
        (3.4, 6.2),
        (0, 8.0),
        (-3.4, 6.2),
        (-5.2, 2.6),
    ]
    canvas.blob(head.at(rim), clear(cloth, 235), darker(cloth, 0.5))
    canvas.stroke(
        head.at([(-6.0, -1.6), (-5.2, 2.6), (-3.4, 6.2), (0, 8.0), (3.4, 6.2), (5.2, 2.6), (6.0, -1.6)]), trim, 0.6
    )
