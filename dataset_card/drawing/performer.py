"""What a look hands to the picture: a posed dancer who can be painted, and the colours dancers share."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dataset_card.drawing.canvas import Canvas, Colour
from dataset_card.drawing.skeleton import Joints, Pose

SKINS: tuple[Colour, ...] = ((232, 182, 138), (217, 162, 116), (196, 138, 94), (170, 114, 76), (142, 92, 62))

# Silks are shared on purpose: the cut tells the dances apart, not the hue. Pairs of main cloth and contrast.
SILKS: tuple[tuple[Colour, Colour], ...] = (
    ((176, 24, 46), (24, 92, 70)),
    ((22, 110, 84), (150, 26, 60)),
    ((226, 130, 30), (126, 22, 84)),
    ((46, 58, 140), (206, 84, 30)),
    ((120, 28, 100), (234, 158, 40)),
    ((216, 64, 92), (40, 64, 120)),
    ((232, 184, 62), (170, 30, 40)),
    ((20, 120, 140), (190, 40, 90)),
    ((244, 232, 204), (168, 26, 44)),
)


@dataclass(frozen=True)
class Performer:
    """A dancer ready to be painted.

    Attributes:
        joints: the posed figure.
        paint: draws the dancer on a canvas whose (0, 0) is the floor between the feet.
        wide: how far skirt or crown reach to each side of the middle, figure units.
        top: highest point of headgear or hands, figure units.
        low: how far plate or hem reach below the floor line.
    """

    joints: Joints
    paint: Callable[[Canvas], None]
    wide: float = 20.0
    top: float = 100.0
    low: float = 3.0

    def box(self) -> tuple[float, float, float, float]:
        """Returns left, bottom, right, top in figure units."""
        left, _, right, top = self.joints.box()
        middle = self.joints.pelvis.x
        return min(left, middle - self.wide), -self.low, max(right, middle + self.wide), max(top, self.top)


def strike(poses: Sequence[Pose], rng: random.Random) -> Pose:
    """Returns one of the poses, jittered; now and then arms come from another pose or the face turns far away."""
    pose = rng.choice(poses)
    if rng.random() < 0.35:
        pose = replace(pose, arms=rng.choice(poses).arms)
    if rng.random() < 0.25:
        pose = replace(pose, arms=(pose.arms[1], pose.arms[0]))
    pose = pose.jittered(rng)
    if rng.random() < 0.12:
        pose = replace(pose, turn=rng.choice((-1.3, 1.3)))
    return pose


def silk(rng: random.Random) -> tuple[Colour, Colour]:
    """Returns a silk and its contrast, each nudged in hue."""
    main, contrast = rng.choice(SILKS)
    nudge = [rng.randint(-12, 12) for _ in range(3)]
    main = tuple(max(0, min(255, c + d)) for c, d in zip(main, nudge, strict=True))
    return main, contrast
