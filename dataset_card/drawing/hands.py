"""Hand signs (mudras) as a palm and five tapered fingers."""

from __future__ import annotations

import math

from dataset_card.drawing.canvas import Canvas, Colour, Frame, Point, clear, darker, mix

# Per finger, thumb first: direction in degrees from the hand's axis (thumb side positive), length, bend at the
# middle joint in degrees. Lengths in figure units; a length below 1.5 is a finger folded into the palm.
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


def draw_hand(
    canvas: Canvas,
    wrist: Point,
    direction: float,
    sign: str,
    skin: Colour,
    flip: bool,
    dye: Colour | None = None,
    nails: Colour | None = None,
) -> None:
    """Draws one hand.

    Args:
        canvas: where to draw.
        wrist: where the hand begins.
        direction: degrees the hand's axis points to, counter-clockwise from the picture's right.
        sign: a key of `SIGNS`.
        skin: skin colour.
        flip: whether the thumb lies clockwise of the axis.
        dye: colour of fingertips and palm, as dyed for the stage.
        nails: colour of long artificial nails.

    Raises:
        KeyError: if the sign is unknown.
    """
    frame = Frame(wrist[0], wrist[1], math.radians(direction), 1.12)
    s = -1.0 if flip else 1.0
    light = mix(skin, (255, 226, 196), 0.18)
    roots = ((1.1, 1.3), (3.5, 1.25), (3.8, 0.4), (3.65, -0.45), (3.2, -1.2))
    order = (4, 3, 2, 1, 0) if sign != "pataka" else (0, 4, 3, 2, 1)
    palm = [(-0.6, 1.15), (1.4, 1.75), (3.6, 1.75), (4.2, 0.2), (3.5, -1.75), (1.2, -1.55), (-0.6, -1.15)]
    canvas.blob(frame.at([(x, s * y) for x, y in palm]), light, darker(skin, 0.45), 0.25)
    if dye is not None:
        canvas.dot(frame.point(1.9, 0.0), 0.85, clear(dye, 150))
    for i in order:
        angle, length, bend = SIGNS[sign][i]
        x, y = roots[i]
        a = math.radians(angle)
        joint = (x + math.cos(a) * length * 0.5, y + math.sin(a) * length * 0.5)
        b = math.radians(angle - bend)
        tip = (joint[0] + math.cos(b) * length * 0.5, joint[1] + math.sin(b) * length * 0.5)
        r = 0.72 if i else 0.8
        start, middle, end = (frame.point(px, s * py) for px, py in ((x, y), joint, tip))
        if length < 1.9:
            canvas.limb(start, end, (r, r * 1.1, r), light, 0)
            continue
        canvas.limb(start, middle, (r, r, r * 0.9), light, 0)
        canvas.limb(middle, end, (r * 0.9, r * 0.85, r * 0.5), light, 0)
        if dye is not None:
            near = (end[0] + (middle[0] - end[0]) * 0.35, end[1] + (middle[1] - end[1]) * 0.35)
            canvas.limb(near, end, (r * 0.7, r * 0.7, r * 0.5), dye, 0)
        if nails is not None:
            far = (end[0] + (end[0] - middle[0]) * 1.1, end[1] + (end[1] - middle[1]) * 1.1)
            canvas.limb(end, far, (r * 0.55, r * 0.5, 0.15), nails, 0)
