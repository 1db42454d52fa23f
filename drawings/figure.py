"""The body under the costume: poses, the joints that follow from them, torso, arms, hands, feet."""

import math
import random
from dataclasses import dataclass, replace

import numpy as np

from drawings.canvas import Array, Canvas, Colour, Frame, Point, between, darker, mix, smooth

UPPER_ARM, FOREARM, THIGH, SHIN, ANKLE = 15.0, 13.5, 23.5, 22.5, 2.8
SIDES = ((0, -1), (1, 1))
DYE = (196, 30, 44)

# Hand signs (mudras). Per finger, thumb first: degrees from the hand's axis (thumb side positive), length, and bend at
# the middle joint in degrees. A finger shorter than 1.9 is folded into the palm.
SIGNS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "pataka": ((30, 2.6, -35), (7, 4.6, 0), (2, 5.0, 0), (-3, 4.7, 0), (-8, 3.9, 0)),
    "tripataka": ((38, 2.8, -30), (7, 4.6, 0), (2, 5.0, 0), (-4, 2.2, 60), (-10, 4.0, 0)),
    "alapadma": ((72, 3.2, 20), (38, 4.4, 25), (12, 4.9, 10), (-14, 4.6, -15), (-42, 3.9, -30)),
    "hamsasya": ((44, 3.2, -50), (30, 3.4, 62), (6, 4.9, 0), (-14, 4.6, -6), (-34, 3.8, -12)),
    "katakamukha": ((36, 3.2, -30), (16, 3.2, 36), (4, 3.2, 30), (-16, 4.4, -10), (-36, 3.8, -18)),
    "mushti": ((48, 2.4, -80), (10, 1.6, 0), (3, 1.8, 0), (-4, 1.7, 0), (-12, 1.3, 0)),
    "shikhara": ((78, 3.6, 8), (10, 1.6, 0), (3, 1.8, 0), (-4, 1.7, 0), (-12, 1.3, 0)),
    "suchi": ((44, 2.4, -70), (4, 5.0, 0), (1, 1.8, 0), (-5, 1.7, 0), (-12, 1.3, 0)),
    "mrigashirsha": ((72, 3.8, 0), (10, 2.4, 40), (2, 2.6, 40), (-5, 2.4, 40), (-36, 4.2, 0)),
    "soft": ((40, 2.8, -20), (14, 4.2, -14), (5, 4.7, -16), (-4, 4.4, -18), (-14, 3.6, -22)),
}


@dataclass(frozen=True)
class Arm:
    """One arm; angles in degrees: 0 points sideways away from the body, 90 up, -90 down, 180 across the body."""

    upper: float
    fore: float
    sign: str = "pataka"  # a key of `SIGNS`
    wrist: float = 0.0  # turn of the hand against the forearm, positive upwards
    reach: tuple[float, float] = (1.0, 1.0)  # seen shares of both lengths, below 1 if they point at the viewer


@dataclass(frozen=True)
class Leg:
    """One leg; lengths in figure units."""

    x: float  # distance of the foot from the middle, positive outwards
    y: float = 0.0  # height of the sole above the floor
    knee: float = 1.0  # how far the knee turns out, from -1 (inwards) over 0 (at the viewer) to 1 (sideways)
    toe: float = 0.9  # where the toes point, from -1 (inwards) to 1 (outwards)


@dataclass(frozen=True)
class Pose:
    """A whole pose; of a pair, the first is on the left of the picture. Angles in degrees, counter-clockwise."""

    arms: tuple[Arm, Arm]
    legs: tuple[Leg, Leg]
    hip: Point = (0.0, 46.0)  # middle of the hips; a height of 46 stands straight, 36 is a half-sit
    sway: float = 0.0  # sideways shift of the neck against the hips
    bend: float = 0.0  # sideways shift of the waist, the bow of an S-curve
    pelvis: float = 0.0  # tilts of hips, chest and head
    lean: float = 0.0
    tilt: float = 0.0
    turn: float = 0.0  # of the face, from -1 (picture left) to 1 (right)


def strike(poses: tuple[Pose, ...], rng: random.Random) -> Pose:
    """Returns one of the poses with every angle jittered, at times with an arm or both arms of another."""
    pose = rng.choice(poses)
    arms = [rng.choice(poses).arms[i] if rng.random() < 0.25 else pose.arms[i] for i in (0, 1)]
    if rng.random() < 0.25:
        arms.reverse()
    for i, a in enumerate(arms):
        upper, fore, wrist = a.upper + rng.gauss(0, 7), a.fore + rng.gauss(0, 9), a.wrist + rng.gauss(0, 8)
        arms[i] = replace(a, upper=upper, fore=fore, wrist=wrist)
    legs = [replace(leg, x=leg.x + rng.gauss(0, 0.8), toe=leg.toe + rng.gauss(0, 0.08)) for leg in pose.legs]
    turn = pose.turn + rng.gauss(0, 0.25) if rng.random() > 0.12 else rng.choice((-1.25, 1.25))
    return replace(
        pose,
        arms=(arms[0], arms[1]),
        legs=(legs[0], legs[1]),
        hip=(pose.hip[0] + rng.gauss(0, 0.6), pose.hip[1] + rng.gauss(0, 0.9)),
        sway=pose.sway + rng.gauss(0, 1.0),
        lean=pose.lean + rng.gauss(0, 2.5),
        tilt=pose.tilt + rng.gauss(0, 4.5),
        turn=max(-1.25, min(1.25, turn)),
    )


@dataclass(frozen=True)
class Joints:
    """Where the parts of a posed body are, in figure units; of a pair, the first is on the left of the picture."""

    pose: Pose
    broad: float
    pelvis: Frame
    waist: Point
    chest: Frame
    head: Frame
    shoulders: tuple[Point, Point]
    elbows: tuple[Point, Point]
    wrists: tuple[Point, Point]
    hips: tuple[Point, Point]
    knees: tuple[Point, Point]
    ankles: tuple[Point, Point]


def knee_between(hip: Point, ankle: Point, side: int, out: float) -> Point:
    """Returns the knee of a leg with bones of fixed lengths (two-bone inverse kinematics).

    `side` is -1 for the leg on the left of the picture, `out` the seen share of the bend, from -1 (inwards) to 1.
    """
    gap = max(math.dist(hip, ankle), 1e-6)
    reach = min(gap, THIGH + SHIN - 0.01)
    along = (THIGH**2 - SHIN**2 + reach**2) / (2 * reach)
    off = math.sqrt(max(THIGH**2 - along**2, 0.0)) * out * side
    return Frame.along(hip, ankle).point(along * gap / reach, off)


def place(pose: Pose, broad: float = 1.0) -> Joints:
    """Returns the joints of a pose; `broad` widens the chest (1 for women, about 1.15 for men)."""
    hx, hy = pose.hip
    pelvis = Frame(hx, hy, math.radians(pose.pelvis))
    chest = Frame(hx + pose.sway, hy + 29.0, math.radians(pose.lean))
    neck = Frame(chest.x, chest.y, math.radians(pose.tilt * 0.5 + pose.lean * 0.3))
    head = Frame(*neck.point(0.0, 10.0), math.radians(pose.tilt))
    shoulders, elbows, wrists, hips, knees, ankles = ([(0.0, 0.0)] * 2 for _ in range(6))
    for i, side in SIDES:
        arm, leg = pose.arms[i], pose.legs[i]
        shoulders[i] = chest.point(side * 8.0 * broad, -2.6 + 0.02 * max(0.0, arm.upper))
        # A forearm that comes inwards comes towards the viewer, too.
        start, inward = shoulders[i], 1 - 0.1 * max(0.0, -math.cos(math.radians(arm.fore)))
        for joint, angle, length in (
            (elbows, math.radians(arm.upper), UPPER_ARM * arm.reach[0]),
            (wrists, math.radians(arm.fore), FOREARM * arm.reach[1] * inward),
        ):
            joint[i] = start = start[0] + side * math.cos(angle) * length, start[1] + math.sin(angle) * length
        hips[i], ankles[i] = pelvis.point(side * 4.6, -1.0), (side * leg.x, leg.y + ANKLE)
        knees[i] = knee_between(hips[i], ankles[i], side, leg.knee)
    pairs = [(p[0], p[1]) for p in (shoulders, elbows, wrists, hips, knees, ankles)]
    return Joints(pose, broad, pelvis, (hx + pose.sway * 0.4 + pose.bend, hy + 10.5), chest, head, *pairs)


def torso_side(joints: Joints, side: int) -> Array:
    """Returns one side of the torso, shape (9, 2): neck, slope, shoulder, armpit, chest, ribs, waist, belt, hip."""
    b = joints.broad
    chest = [(2.0, 1.0), (4.6, -0.5), (8.0 * b, -2.0), (6.7 * b, -6.5), (6.6 * b, -9.6), (5.3 * b, -14.5)]
    waist = (joints.waist[0] + side * 4.8 * (1 + (b - 1) * 1.4), joints.waist[1])
    pelvis = joints.pelvis.at([(side * 6.5, 4.0), (side * 7.7, -2.5)])
    return np.concatenate([joints.chest.at([(side * x, y) for x, y in chest]), [waist], pelvis])


def draw_torso(canvas: Canvas, joints: Joints, skin: Colour) -> None:
    """Draws neck and torso in skin colour."""
    left, right = torso_side(joints, -1), torso_side(joints, 1)
    canvas.blob(np.concatenate([left[:8], right[7::-1]]), skin, 0.25)
    shade = (*darker(skin, 0.6), 46)
    canvas.blob(np.concatenate([right[2:8], right[7:1:-1] - [2.4, 0]]), shade)
    canvas.dot((joints.waist[0], joints.waist[1] - 2.2), 0.5, (*darker(skin, 0.7), 150))
    if joints.broad > 1:
        for s in (-1, 1):
            canvas.stroke(joints.chest.at([(s * 6.2, -6.4), (s * 3.4, -8.6), (s * 0.8, -7.8)]), shade, 0.6)
        canvas.stroke([joints.chest.point(0, -8), joints.waist], shade, 0.6)
    canvas.limbs([(joints.chest.point(0, -0.8), joints.head.point(0, -3.5), (2.5, 2.3, 2.3))], skin, 0)
    chin = [joints.head.at([(-2.3, -5.8), (2.3, -5.8)]), joints.chest.at([(2.1, 1.2), (0.0, 0.2), (-2.1, 1.6)])]
    canvas.polygon(np.concatenate(chin), (*darker(skin, 0.6), 90))


def draw_blouse(canvas: Canvas, joints: Joints, cloth: Colour, trim: Colour, to: int, neckline: float) -> None:
    """Draws a fitted blouse down to row `to` of `torso_side`, with a round neck `neckline` units deep."""
    left, right = torso_side(joints, -1), torso_side(joints, 1)
    half = [(4.4, -neckline * 0.06), (3.2, -neckline * 0.75)]
    neck = joints.chest.at([*half, (0.0, -neckline), *((-x, y) for x, y in half[::-1])])
    hem = np.array([left[to], (left[to] + right[to]) / 2 - [0.0, 0.8], right[to]])
    sides = smooth(left[1 : to + 1]), smooth(right[1 : to + 1])[::-1]
    canvas.polygon(np.concatenate([sides[0], smooth(hem), sides[1], smooth(neck)]), cloth, 0.3)
    shadow = (*darker(cloth, 0.7), 62)
    canvas.blob(np.concatenate([right[2 : to + 1], right[to:1:-1] - [2.2, 0]]), shadow)
    for s in (-1, 1) if joints.broad == 1 else ():
        canvas.stroke(joints.chest.at([(s * 6.0, -9.6), (s * 3.4, -11.6), (s * 0.7, -10.4)]), shadow, 0.7)
    canvas.stroke(neck, trim, 0.7)
    canvas.stroke(hem, trim, 1.0)


def draw_arm(canvas: Canvas, joints: Joints, i: int, skin: Colour, sleeve: Colour | None, trim: Colour,
             cover: float, dye: bool, nails: Colour | None = None) -> None:  # fmt: skip
    """Draws arm `i` with its hand; `cover` is where the sleeve ends: 1 at the elbow, 2 at the wrist."""
    a, b, c = joints.shoulders[i], joints.elbows[i], joints.wrists[i]
    w = 1 + (joints.broad - 1) * 1.1
    upper, lower = (2.6 * w, 2.7 * w, 1.95 * w), (1.95 * w, 2.15 * w, 1.3 * w)
    side, arm = (-1, 1)[i], joints.pose.arms[i]
    heading = math.degrees(math.atan2(c[1] - b[1], c[0] - b[0]))
    # Thumbs point up, also where the hand comes back across the body.
    inward = math.cos(math.radians(heading)) * side < -0.2
    hand = Frame(*c, math.radians(heading + arm.wrist * side), 1.12)
    flip = (i == 0) != inward

    def draw_forearm() -> None:
        draw_hand(canvas, hand, arm.sign, skin, flip, dye, nails)
        canvas.limbs([(b, c, lower)], skin)
        if sleeve is not None and cover > 1:
            canvas.limbs([(b, between(b, c, cover - 1), (2.4 * w, 2.5 * w, 1.75 * w))], sleeve)

    folded = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1]) < -40
    if not folded:
        draw_forearm()
    canvas.limbs([(a, b, upper), *([] if folded else [(b, c, lower)])], skin)
    start, end, half = a, between(a, b, min(cover, 1)), 2.75 * w
    if sleeve is not None:
        segments = [(a, end, (3.0 * w, 3.1 * w, 2.65 * w if cover < 1 else 2.4 * w))]
        if cover > 1:
            start, end, half = b, between(b, c, cover - 1), 1.9 * w
            segments += [] if folded else [(b, end, (2.4 * w, 2.5 * w, 1.75 * w))]
        canvas.limbs(segments, sleeve)
    if folded:
        draw_forearm()
    if sleeve is not None:
        cuff = Frame.along(end, start)
        canvas.polygon(cuff.at([(0, half), (1.3, half), (1.3, -half), (0, -half)]), trim, 0.2)


def draw_hand(canvas: Canvas, hand: Frame, sign: str, skin: Colour, flip: bool, dye: bool,
              nails: Colour | None = None) -> None:  # fmt: skip
    """Draws a palm at the frame's origin and five fingers along its x axis; `flip` turns the thumb clockwise."""
    s = -1.0 if flip else 1.0
    light = mix(skin, (255, 226, 196), 0.18)
    palm = [(-0.6, 1.15), (1.4, 1.75), (3.6, 1.75), (4.2, 0.2), (3.5, -1.75), (1.2, -1.55), (-0.6, -1.15)]
    canvas.blob(hand.at([(x, s * y) for x, y in palm]), light, 0.25)
    if dye:
        canvas.dot(hand.point(1.9, 0.0), 0.85, (*DYE, 150))
    roots = ((1.1, 1.3), (3.5, 1.25), (3.8, 0.4), (3.65, -0.45), (3.2, -1.2))
    for i in (0, 4, 3, 2, 1) if sign == "pataka" else (4, 3, 2, 1, 0):
        (angle, length, bend), (x, y), r = SIGNS[sign][i], roots[i], 0.72 if i else 0.8
        joint = Frame(x, y, math.radians(angle)).point(length / 2, 0)
        tip = Frame(*joint, math.radians(angle - bend)).point(length / 2, 0)
        start, middle, end = (hand.point(px, s * py) for px, py in ((x, y), joint, tip))
        if length < 1.9:
            canvas.limbs([(start, end, (r, r * 1.1, r))], light, 0)
            continue
        canvas.limbs([(start, middle, (r, r, r * 0.9)), (middle, end, (r * 0.9, r * 0.85, r * 0.5))], light, 0)
        if dye:
            canvas.limbs([(between(end, middle, 0.35), end, (r * 0.7, r * 0.7, r * 0.5))], DYE, 0)
        if nails is not None:
            canvas.limbs([(end, between(end, middle, -1.1), (r * 0.55, r * 0.5, 0.15))], nails, 0)


def draw_foot(canvas: Canvas, joints: Joints, i: int, skin: Colour, dye: bool) -> None:
    """Draws foot `i`, turned out as far as the pose says."""
    x, y = joints.ankles[i]
    toe = joints.pose.legs[i].toe * (-1 if i == 0 else 1)
    s, away = (1 if toe >= 0 else -1), 1 - min(1.0, abs(toe))
    reach, wide, drop, sole = 6.6 * toe, 1.0 + 1.3 * away, -1.6 * away, y - ANKLE
    tip, heel = x + reach + wide * 1.2 * s, x - 1.5 * s
    instep = (x + reach * 0.62 + wide * 0.9 * s, sole + 1.9 + drop * 0.3)
    ball = (x + reach * 0.3, sole + drop * 0.6)
    front = [instep, (tip, sole + 0.9 + drop), (tip - 0.8 * s, sole + drop), ball]
    canvas.blob([(heel, sole + 0.2), (x - 1.4, y + 0.4), (x + 1.4, y + 0.4), *front], skin, 0.25)
    if dye:
        canvas.stroke([(heel, sole + 0.4), (ball[0], ball[1] + 0.35), (tip, sole + 0.5 + drop)], DYE, 0.75)
