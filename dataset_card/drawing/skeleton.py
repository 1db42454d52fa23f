"""Poses as angles and foot positions, and the joints that follow from them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

import numpy as np

from dataset_card.drawing.canvas import Frame, Point

UPPER_ARM, FOREARM, THIGH, SHIN, ANKLE = 15.0, 13.5, 23.5, 22.5, 2.8


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes:
        upper: direction of the upper arm, degrees; 0 points sideways away from the body, 90 up, -90 down.
        fore: direction of the forearm, same convention; 180 points inwards across the body.
        hand: a hand sign known to `hands.draw_hand`.
        wrist: turn of the hand against the forearm, degrees, positive upwards.
        reach: share of the full length seen, below 1 when the arm points at the viewer.
    """

    upper: float
    fore: float
    hand: str = "pataka"
    wrist: float = 0.0
    reach: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Leg:
    """One leg.

    Attributes:
        x: foot, figure units from the middle, positive outwards.
        y: height of the sole above the floor.
        knee: how far the knee turns out, from -1 (inwards) over 0 (at the viewer) to 1 (sideways).
        toe: where the toes point, from -1 (inwards) to 1 (outwards).
    """

    x: float
    y: float = 0.0
    knee: float = 1.0
    toe: float = 0.9


@dataclass(frozen=True)
class Pose:
    """A whole pose; index 0 of each pair is the picture's left side.

    Attributes:
        arms: both arms.
        legs: both legs.
        hip: middle of the hips, figure units; 46 stands straight, 36 is a half-sit.
        sway: sideways shift of the neck against the hips.
        bend: sideways shift of the waist, the bow of an S-curve.
        pelvis: tilt of the hips, degrees counter-clockwise.
        lean: tilt of the chest, degrees counter-clockwise.
        tilt: tilt of the head, degrees counter-clockwise.
        turn: turn of the face, from -1 (picture left) to 1 (right).
    """

    arms: tuple[Arm, Arm]
    legs: tuple[Leg, Leg]
    hip: Point = (0.0, 46.0)
    sway: float = 0.0
    bend: float = 0.0
    pelvis: float = 0.0
    lean: float = 0.0
    tilt: float = 0.0
    turn: float = 0.0

    def jittered(self, rng: random.Random) -> Pose:
        """Returns the pose as another dancer would strike it on another evening."""
        arms = tuple(
            replace(a, upper=a.upper + rng.gauss(0, 6), fore=a.fore + rng.gauss(0, 7), wrist=a.wrist + rng.gauss(0, 8))
            for a in self.arms
        )
        legs = tuple(replace(g, x=g.x + rng.gauss(0, 0.7), toe=g.toe + rng.gauss(0, 0.08)) for g in self.legs)
        return replace(
            self,
            arms=(arms[0], arms[1]),
            legs=(legs[0], legs[1]),
            hip=(self.hip[0] + rng.gauss(0, 0.6), self.hip[1] + rng.gauss(0, 0.9)),
            sway=self.sway + rng.gauss(0, 1.0),
            lean=self.lean + rng.gauss(0, 2.0),
            tilt=self.tilt + rng.gauss(0, 4.0),
            turn=max(-1.0, min(1.0, self.turn + rng.gauss(0, 0.25))),
        )


@dataclass(frozen=True)
class Joints:
    """Where everything is, in figure units; pairs are (picture left, picture right)."""

    pose: Pose
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

    def box(self) -> tuple[float, float, float, float]:
        """Returns left, bottom, right, top of the bare figure, hands included."""
        spots = np.array([*self.wrists, *self.elbows, *self.knees, *self.ankles, *self.shoulders])
        left, right = spots[:, 0].min() - 7, spots[:, 0].max() + 7
        top = max(self.head.y + 9, max(w[1] for w in self.wrists) + 7)
        return float(left), 0.0, float(right), float(top)


def knee_between(hip: Point, ankle: Point, side: int, out: float) -> Point:
    """Returns the knee of a leg with fixed bone lengths (two-bone inverse kinematics).

    Args:
        hip: hip joint.
        ankle: ankle joint.
        side: -1 for the picture's left leg, 1 for the right.
        out: share of the bend seen sideways, -1 to 1.
    """
    dx, dy = ankle[0] - hip[0], ankle[1] - hip[1]
    gap = max(math.hypot(dx, dy), 1e-6)
    reach = min(gap, THIGH + SHIN - 0.01)
    along = (THIGH**2 - SHIN**2 + reach**2) / (2 * reach)
    off = math.sqrt(max(THIGH**2 - along**2, 0.0)) * out * side
    ux, uy = dx / gap, dy / gap
    along = along * gap / reach
    return hip[0] + ux * along - uy * off, hip[1] + uy * along + ux * off


def place(pose: Pose, broad: float = 1.0) -> Joints:
    """Returns the joints of a pose; `broad` widens the shoulders (1 for women, about 1.15 for men)."""
    hx, hy = pose.hip
    pelvis = Frame(hx, hy, math.radians(pose.pelvis))
    chest = Frame(hx + pose.sway, hy + 29.0, math.radians(pose.lean))
    waist = (hx + pose.sway * 0.4 + pose.bend, hy + 10.5)
    head = Frame(*chest.point(0.4 * pose.lean * -0.1, 0.0), math.radians(pose.tilt * 0.5 + pose.lean * 0.3))
    centre = head.point(0.0, 10.0)
    head = Frame(centre[0], centre[1], math.radians(pose.tilt))
    shoulders, elbows, wrists, hips, knees, ankles = [], [], [], [], [], []
    for i, side in enumerate((-1, 1)):
        arm, leg = pose.arms[i], pose.legs[i]
        shoulder = chest.point(side * 8.0 * broad, -2.6 + 0.02 * max(0.0, arm.upper))
        up, fore = math.radians(arm.upper), math.radians(arm.fore)
        l1, l2 = UPPER_ARM * arm.reach[0], FOREARM * arm.reach[1]
        elbow = (shoulder[0] + side * math.cos(up) * l1, shoulder[1] + math.sin(up) * l1)
        wrist = (elbow[0] + side * math.cos(fore) * l2, elbow[1] + math.sin(fore) * l2)
        hip = pelvis.point(side * 4.6, -1.0)
        ankle = (side * leg.x, leg.y + ANKLE)
        shoulders.append(shoulder)
        elbows.append(elbow)
        wrists.append(wrist)
        hips.append(hip)
        knees.append(knee_between(hip, ankle, side, leg.knee))
        ankles.append(ankle)
    pairs = [(p[0], p[1]) for p in (shoulders, elbows, wrists, hips, knees, ankles)]
    return Joints(pose, pelvis, waist, chest, head, *pairs)
