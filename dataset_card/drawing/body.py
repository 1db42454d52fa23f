"""The body under the costume: torso, neck, arms, legs and feet."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dataset_card.drawing.canvas import Canvas, Colour, Frame, Point, Radii, clear, darker, smooth
from dataset_card.drawing.hands import draw_hand
from dataset_card.drawing.skeleton import Joints

_CHEST = ((2.0, 1.0), (4.6, -0.5), (8.0, -2.0), (6.7, -6.5), (6.6, -9.6), (5.3, -14.5))


def torso_sides(joints: Joints, broad: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the outline of the torso as its left and right side, each of shape (9, 2), from neck to hip.

    Rows: 0 neck, 1 slope, 2 shoulder, 3 armpit, 4 chest, 5 ribs, 6 waist, 7 belt, 8 hip.
    """
    sides = []
    for s in (-1, 1):
        chest = joints.chest.at([(s * x * (broad if i > 1 else 1.0), y) for i, (x, y) in enumerate(_CHEST)])
        waist = [(joints.waist[0] + s * 4.8 * (1.0 if broad == 1.0 else 1.22), joints.waist[1])]
        pelvis = joints.pelvis.at([(s * 6.5, 4.0), (s * 7.7, -2.5)])
        sides.append(np.concatenate([chest, waist, pelvis]))
    return sides[0], sides[1]


def draw_torso(canvas: Canvas, joints: Joints, skin: Colour, broad: float = 1.0) -> None:
    """Draws neck and torso in skin colour; `broad` above 1 gives a man's chest."""
    left, right = torso_sides(joints, broad)
    canvas.blob(np.concatenate([left[:8], right[7::-1]]), skin, darker(skin, 0.45), 0.25)
    shade = clear(darker(skin, 0.6), 46)
    canvas.blob(np.concatenate([right[2:8], right[7:1:-1] - [2.4, 0]]), shade)
    navel = joints.waist[0], joints.waist[1] - 2.2
    canvas.oval(navel, 0.45, 0.6, clear(darker(skin, 0.7), 150))
    if broad > 1:
        for s in (-1, 1):
            canvas.stroke(joints.chest.at([(s * 6.2, -6.4), (s * 3.4, -8.6), (s * 0.8, -7.8)]), shade, 0.6)
        canvas.stroke([joints.chest.point(0, -8), joints.waist], shade, 0.6)
    draw_neck(canvas, joints, skin)


def draw_neck(canvas: Canvas, joints: Joints, skin: Colour) -> None:
    """Draws the neck with the shadow of the chin."""
    base, chin = joints.chest.point(0, -0.8), joints.head.point(0, -3.5)
    canvas.limb(base, chin, (2.5, 2.3, 2.3), skin, 0)
    top = joints.head.at([(-2.3, -5.8), (2.3, -5.8)])
    low = joints.chest.at([(2.1, 1.2), (0.0, 0.2), (-2.1, 1.6)])
    canvas.polygon(np.concatenate([top, low]), clear(darker(skin, 0.6), 90))
    canvas.stroke(joints.chest.at([(-4.6, -1.6), (-1.0, -2.0)]), clear(darker(skin, 0.6), 80), 0.35)
    canvas.stroke(joints.chest.at([(4.6, -1.6), (1.0, -2.0)]), clear(darker(skin, 0.6), 80), 0.35)


def bodice(
    canvas: Canvas,
    joints: Joints,
    colour: Colour,
    trim: Colour,
    to: int = 5,
    broad: float = 1.0,
    neckline: float = 5.0,
) -> None:
    """Draws a fitted blouse over the torso.

    Args:
        canvas: where to draw.
        joints: the figure.
        colour: cloth.
        trim: neckline and hem.
        to: last row of `torso_sides` that is covered; 5 leaves the midriff bare, 7 reaches the belt.
        broad: as for `draw_torso`.
        neckline: depth of the round neck, figure units.
    """
    left, right = torso_sides(joints, broad)
    low_left, low_right = left[to], right[to]
    sag = np.array([0.0, -0.8])
    neck = joints.chest.at(
        [(4.4, -0.3), (3.2, -neckline * 0.75), (0.0, -neckline), (-3.2, -neckline * 0.75), (-4.4, -0.3)]
    )
    hem = [low_left, (low_left + low_right) / 2 + sag, low_right]
    outer_left, outer_right = left[1 : to + 1], right[1 : to + 1]
    outline = np.concatenate([smooth(outer_left), smooth(hem), smooth(outer_right)[::-1], smooth(neck)])
    canvas.polygon(outline, colour, darker(colour, 0.5))
    shadow = clear(darker(colour, 0.7), 62)
    canvas.blob(np.concatenate([right[2 : to + 1], right[to:1:-1] - [2.2, 0]]), shadow)
    if broad == 1.0:
        for s in (-1, 1):
            canvas.stroke(joints.chest.at([(s * 6.0, -9.6), (s * 3.4, -11.6), (s * 0.7, -10.4)]), shadow, 0.7)

    canvas.stroke(neck, trim, 0.7)
    canvas.stroke(hem, trim, 1.0)


def draw_arm(
    canvas: Canvas,
    joints: Joints,
    i: int,
    skin: Colour,
    sleeve: Colour | None = None,
    trim: Colour | None = None,
    dye: Colour | None = (196, 30, 44),
    cover: float = 0.5,
    nails: Colour | None = None,
    broad: float = 1.0,
) -> None:
    """Draws arm `i` (0 picture left, 1 right) with its hand.

    Args:
        canvas: where to draw.
        joints: the figure.
        i: which arm.
        skin: skin colour.
        sleeve: cloth colour, None for bare arms.
        trim: border of the sleeve.
        dye: colour on fingertips and palm, None for none.
        cover: how far the sleeve reaches: up to 1 along the upper arm, up to 2 to the wrist.
        nails: colour of long nails, None for none.
        broad: factor on thickness.
    """
    a, b, c = joints.shoulders[i], joints.elbows[i], joints.wrists[i]
    upper, lower = (2.6 * broad, 2.7 * broad, 1.95 * broad), (1.95 * broad, 2.15 * broad, 1.3 * broad)
    _signing_hand(canvas, joints, i, skin, dye, nails)
    canvas.limbs([(a, b, upper), (b, c, lower)], skin)
    end = _between(a, b, cover) if cover <= 1 else _between(b, c, cover - 1)
    cuff: Radii = (2.4 * broad, 2.5 * broad, 1.75 * broad)
    if sleeve is not None and cover <= 1:
        canvas.limb(a, end, (3.0 * broad, 3.1 * broad, 2.65 * broad), sleeve)
    elif sleeve is not None:
        canvas.limbs([(a, b, (3.0 * broad, 3.0 * broad, 2.4 * broad)), (b, end, cuff)], sleeve)
    if sleeve is not None and trim is not None and cover <= 1:
        _ring(canvas, a, end, 2.75 * broad, trim, 1.3)
    folded = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < -40
    if folded:
        # The forearm lies in front of the upper arm and its sleeve.
        _signing_hand(canvas, joints, i, skin, dye, nails)
        canvas.limb(b, c, lower, skin)
        if sleeve is not None and cover > 1:
            canvas.limb(b, end, cuff, sleeve)
    if sleeve is not None and trim is not None and cover > 1:
        _ring(canvas, b, end, 1.9 * broad, trim, 1.3)


def _signing_hand(
    canvas: Canvas, joints: Joints, i: int, skin: Colour, dye: Colour | None, nails: Colour | None
) -> None:
    b, c, arm = joints.elbows[i], joints.wrists[i], joints.pose.arms[i]
    side = -1 if i == 0 else 1
    heading = math.degrees(math.atan2(c[1] - b[1], c[0] - b[0]))
    # Thumbs point up, also where the hand comes back across the body.
    inward = math.cos(math.radians(heading)) * side < -0.2
    draw_hand(canvas, c, heading + arm.wrist * side, arm.hand, skin, (i == 0) != inward, dye, nails)


def draw_foot(canvas: Canvas, joints: Joints, i: int, skin: Colour, dye: Colour | None = (196, 30, 44)) -> None:
    """Draws foot `i`, turned out as far as the pose says, with dyed toes unless `dye` is None."""
    x, y = joints.ankles[i]
    toe = joints.pose.legs[i].toe * (-1 if i == 0 else 1)
    reach = 6.6 * toe
    wide = 1.0 + 1.3 * (1 - min(1.0, abs(toe)))
    sole = y - 2.8
    heel = x - 1.5 * (1 if toe >= 0 else -1)
    tip = x + reach + (wide * 1.2 if toe >= 0 else -wide * 1.2)
    drop = -1.6 * (1 - min(1.0, abs(toe)))
    points = [
        (heel, sole + 0.2),
        (x - 1.4, y + 0.4),
        (x + 1.4, y + 0.4),
        (x + reach * 0.62 + wide * (0.9 if toe >= 0 else -0.9), sole + 1.9 + drop * 0.3),
        (tip, sole + 0.9 + drop),
        (tip - (0.8 if toe >= 0 else -0.8), sole + drop),
        (x + reach * 0.3, sole + drop * 0.6),
    ]
    canvas.blob(points, skin, darker(skin, 0.5), 0.25)
    if dye is not None:
        path = [(heel, sole + 0.4), (x + reach * 0.4, sole + 0.35 + drop * 0.6), (tip, sole + 0.5 + drop)]
        canvas.stroke(path, dye, 0.75)
        canvas.dot((tip - (0.5 if toe >= 0 else -0.5), sole + 0.6 + drop), 0.75, dye)


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _ring(canvas: Canvas, a: Point, b: Point, half: float, colour: Colour, width: float) -> None:
    frame = Frame(b[0], b[1], math.atan2(b[1] - a[1], b[0] - a[0]))
    canvas.polygon(
        frame.at([(-width, half), (0, half), (0, -half), (-width, -half)]), colour, darker(colour, 0.5), 0.2
    )
