"""Who is there beside the dancer: seated musicians, the audience; and the shadow on the floor."""

from __future__ import annotations

import random

from dataset_card.drawing.canvas import Canvas, Colour, clear, darker, lighter
from dataset_card.drawing.props import BRASS, barrel_drum

KURTAS: tuple[Colour, ...] = ((236, 228, 210), (190, 120, 60), (120, 40, 50), (60, 84, 110), (220, 180, 90))


def floor_shadow(canvas: Canvas, x: float, half: float, strength: int) -> None:
    """Draws the soft shadow under a dancer at `x`, `half` units wide to each side; `strength` 0 to 60."""
    for k in range(10):
        canvas.oval((x, -0.6), half * (1.2 - 0.09 * k), half * (0.21 - 0.016 * k), (16, 8, 14, strength // 2))


def musician(canvas: Canvas, rng: random.Random, x: float, facing: int) -> None:
    """Draws a cross-legged musician with a drum or cymbals, seated at `x` and turned to side `facing`."""
    cloth, skin = rng.choice(KURTAS), rng.choice(((170, 114, 76), (142, 92, 62), (196, 138, 94)))
    canvas.oval((x, 0.4), 19, 3.0, (16, 8, 14, 70))
    canvas.blob(
        [(x - 15, 3), (x - 9, 8.5), (x, 7), (x + 9, 8.5), (x + 15, 3), (x, 0.6)],
        lighter(cloth, 0.4),
        darker(cloth, 0.5),
    )
    canvas.blob(
        [(x - 8, 6), (x - 9.4, 22), (x - 4, 30), (x + 4, 30), (x + 9.4, 22), (x + 8, 6)], cloth, darker(cloth, 0.5)
    )
    canvas.polygon([(x + 2, 28), (x + 8, 24), (x + 7, 7), (x + 3, 7)], clear(darker(cloth, 0.7), 50))
    canvas.limb((x, 28), (x + facing, 33), (2.4, 2.3, 2.2), skin, 0)
    canvas.oval((x + facing * 1.4, 38.4), 5.0, 6.4, skin, darker(skin, 0.45))
    canvas.blob(
        [(x - 5, 38), (x - 4, 44), (x, 46), (x + 4.6, 44), (x + 5.6, 39), (x + facing * 2.4, 42.4)], (34, 26, 28)
    )
    canvas.dot((x + facing * 3.6, 38.8), 0.55, (30, 20, 20))
    canvas.dot((x + facing * 0.6, 38.8), 0.55, (30, 20, 20))
    canvas.stroke([(x + facing * 1.2, 35.2), (x + facing * 3.2, 35.3)], (130, 60, 56), 0.5)
    drum = rng.random() < 0.75
    if drum:
        barrel_drum(
            canvas,
            (x + facing * 2.0, 11.5),
            rng.uniform(-8, 8),
            22,
            (4.6, 4.0),
            rng.choice(((140, 84, 50), (96, 50, 40))),
        )
    for s in (-1, 1):
        elbow = (x + s * 11.5, 17.0)
        hand = (x + facing * 2.0 + s * 9.0, 15.0) if drum else (x + facing * 5 + s * 2.0, 20.0)
        canvas.limb((x + s * 7.6, 26.5), elbow, (2.9, 2.9, 2.4), cloth)
        canvas.limb(elbow, hand, (2.2, 2.1, 1.5), skin)
        canvas.dot(hand, 1.9, skin, darker(skin, 0.45))
        if not drum:
            canvas.dot((hand[0] + s * 0.5, hand[1] + 1.2), 2.2, BRASS, darker(BRASS, 0.5))


def audience(canvas: Canvas, rng: random.Random, reach: float, y: float) -> None:
    """Draws the dark heads of the front row, `reach` units to each side, their shoulders at height `y`."""
    x = -reach
    while x < reach:
        size, tone = rng.uniform(6.5, 8.5), rng.randint(8, 26)
        shade: Colour = (tone + 8, tone, tone + 6)
        nod = y + rng.uniform(-2, 3)
        canvas.blob([(x - 13, nod - 30), (x - 12, nod - 4), (x, nod), (x + 12, nod - 4), (x + 13, nod - 30)], shade)
        canvas.oval((x, nod + size * 0.9), size * 0.82, size, shade)
        if rng.random() < 0.4:
            canvas.dot((x + rng.choice((-3, 3)), nod + size * 1.2), 3.4, shade)
        x += rng.uniform(19, 34)
