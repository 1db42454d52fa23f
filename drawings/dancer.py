"""One dancer in one costume, and the painter that draws any of them."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from drawings.canvas import Canvas, Colour, Frame, arc, between, darker, lighter
from drawings.costumes import COLOURS, COSTUMES, SKINS, Bands, Costume, Fan, Skirt
from drawings.figure import SIDES, Joints, draw_arm, draw_blouse, draw_foot, draw_torso, place, strike
from drawings.ornaments import MARKS, Mark

Colours = dict[str, Colour]
_FACE = ((0.0, -7.0), (2.1, -6.5), (3.9, -4.3), (4.9, -1.2), (5.2, 1.8), (4.7, 5.0), (2.8, 7.0), (0.0, 7.6))
_HIP_CLOTH = ((0, -8.0), (4.0, -6.5), (8.4, -3.0), (7.9, 1.0), (6.3, 6.2))


def tone(colours: Colours, name: str) -> Colour:
    """Returns a colour by name; a trailing - or + asks for a darker or lighter shade of it."""
    if name[-1] == "-":
        return darker(colours[name[:-1]])
    return lighter(colours[name[:-1]]) if name[-1] == "+" else colours[name]


def paint_marks(canvas: Canvas, frame: Frame, marks: Iterable[Mark], colours: Colours) -> None:
    """Draws marks in a frame."""
    for mark in marks:
        points, colour, size = frame.at(mark.points), tone(colours, mark.colour), mark.size
        fill = colour if mark.alpha == 255 else (*colour, mark.alpha)
        outline = size if mark.alpha == 255 else 0.0
        if mark.kind == "blob":
            canvas.blob(points, fill, outline)
        elif mark.kind == "poly":
            canvas.polygon(points, fill, outline)
        elif mark.kind == "line":
            canvas.stroke(points, fill, size)
        elif mark.kind == "beads":
            canvas.beads(points, size, fill)
        elif mark.kind == "petals":
            for a, b in zip(points[::2], points[1::2], strict=True):
                canvas.limbs([(tuple(a), tuple(b), (size * 0.8, size, size * 0.4))], fill, 0)
        else:
            for x, y in points:
                canvas.dot((x, y), size, fill, 0.25 if outline > 0.5 else 0.0)
                if mark.kind == "flowers":
                    canvas.dot((x - size * 0.15, y + size * 0.2), size * 0.35, lighter(colour, 0.6))


@dataclass(frozen=True)
class Dancer:
    """A posed dancer in a costume, ready to be drawn."""

    joints: Joints
    costume: Costume
    lower: tuple[Skirt | Fan, ...]  # chosen from the costume
    marks: dict[str, list[Mark]]  # by frame
    colours: Colours
    drum_angle: float  # radians

    def box(self) -> tuple[float, float, float, float]:
        """Returns left, bottom, right, top in figure units."""
        j = self.joints
        x = [p[0] for pair in (j.wrists, j.elbows, j.knees, j.ankles, j.shoulders) for p in pair]
        half = max([16.0, *(skirt.half + 1 for skirt in self.lower if isinstance(skirt, Skirt))])
        top = max(j.head.y + self.costume.top, *(wrist[1] + 7 for wrist in j.wrists))
        low = -6.0 if "floor" in self.marks else -3.0
        return min(min(x) - 7, j.pelvis.x - half), low, max(max(x) + 7, j.pelvis.x + half), top

    def frames(self, mirrored: bool) -> dict[str, list[Frame]]:
        """Returns where marks are drawn, by the name of their frame. `paint` places those on arms and legs."""
        j, head, turn = self.joints, self.joints.head, self.joints.pose.turn
        return {
            "floor": [Frame(0, 0)],
            "disc": [Frame(*head.point(0, 6.5), head.angle)],
            # What lies behind the head moves against the turn of the face.
            "back": [replace(head, x=head.x - turn * 1.5)],
            # The bun stays on the dancer's left, also where the picture is mirrored.
            "side": [replace(head, flip=-1.0 if mirrored else 1.0)],
            "pelvis": [j.pelvis],
            "chest": [j.chest],
            "jaw": [head],
            "face": [replace(head, turn=turn)],
            "head": [head],
            "ear": [Frame(*head.point(s * (5.2 - 0.5 * abs(turn)), -1.7)) for s in (-1, 1) if s * turn < 0.6],
            "drum": [Frame(*j.pelvis.point(0, 10.0), self.drum_angle)],
            "flute": [Frame.along(between(*j.wrists, 0.5), j.wrists[1])],
            "over": [head],
        }

    def paint(self, canvas: Canvas) -> None:
        """Draws the dancer from back to front."""
        j, c, colours = self.joints, self.costume, self.colours
        self._marks(canvas, "floor", "disc", "back", "side")
        # A lifted leg comes in front of fans, both legs behind skirts.
        legs = sorted((0, 1), key=lambda i: j.pose.legs[i].y)
        lifted = j.pose.legs[legs[1]].y > 8 and not any(isinstance(cloth, Skirt) for cloth in self.lower)
        for i in legs[: 1 if lifted else 2]:
            self._leg(canvas, i)
        if c.legs == "draped":
            self._hip_cloth(canvas)
        for cloth in self.lower:
            if isinstance(cloth, Skirt):
                self._skirt(canvas, cloth)
            else:
                self._fan(canvas, cloth)
        if lifted:
            self._leg(canvas, legs[1])
        draw_torso(canvas, j, colours["skin"])
        if c.blouse:
            draw_blouse(canvas, j, colours["blouse"], tone(colours, "trim"), c.to, c.neckline)
        for start, middle, end, wide, narrow, name, border in c.drapes:
            path = [j.chest.point(*start), j.chest.point(*middle), j.pelvis.point(*end)]
            canvas.drape(path, (wide, narrow), tone(colours, name), tone(colours, border))
        self._marks(canvas, "pelvis", "chest", "jaw")
        self._face(canvas)
        self._marks(canvas, "face", "head", "ear", "drum")
        for i, side in SIDES:
            nails = tone(colours, c.nails) if c.nails and i else None
            sleeve = colours["blouse"] if c.blouse else None
            draw_arm(canvas, j, i, colours["skin"], sleeve, colours["trim"], c.cover, c.dye, nails)
            upper, (x, y) = Frame.along(j.shoulders[i], j.elbows[i]), j.wrists[i]
            for part, frame in (
                ("wrist", Frame(x, y, Frame.along(j.elbows[i], j.wrists[i]).angle)),
                ("arm", Frame(*between(j.shoulders[i], j.elbows[i], 0.66), upper.angle)),
                ("shoulder", Frame(*j.shoulders[i])),
                ("palm", Frame(x + side * 3.0, y + 2.6)),
            ):
                paint_marks(canvas, frame, self.marks.get(part, []), colours)
        self._marks(canvas, "flute", "over")

    def _marks(self, canvas: Canvas, *names: str) -> None:
        frames = self.frames(canvas.mirrored)
        for name in names:
            for frame in frames[name] if name in self.marks else ():
                paint_marks(canvas, frame, self.marks[name], self.colours)

    def _face(self, canvas: Canvas) -> None:
        head, turn, skin = self.joints.head, self.joints.pose.turn, self.colours["face"]
        for s in (-1, 1):
            if s * turn < 0.6:
                canvas.dot(head.point(s * (5.1 - 0.5 * abs(turn)), -0.6), 1.0, skin, 0.3, 1.7)
        half = [(x + turn * 0.9 * max(0.0, -y / 7), y) for x, y in _FACE]
        other = [(-x + turn * 0.9 * max(0.0, -y / 7), y) for x, y in _FACE[-2:0:-1]]
        canvas.blob(head.at(half + other), skin, 0.25)

    def _leg(self, canvas: Canvas, i: int) -> None:
        j, c, colours = self.joints, self.costume, self.colours
        hip, knee, ankle = j.hips[i], j.knees[i], j.ankles[i]
        draw_foot(canvas, j, i, colours["skin"], c.dye)
        main, full, hem = colours["main"], c.full, between(knee, ankle, 0.84)
        if c.legs == "tight":
            cloth = tone(colours, "legs")
            canvas.limbs([(knee, ankle, (3.2, 3.4, 2.2)), (hip, knee, (3.8, 4.4, 3.3))], cloth)
        elif c.legs == "draped":
            widths = ((4.3 * full, 4.5 * full, 3.4 * full), (5.6 * full, 6.0 * full, 4.3 * full))
            canvas.limbs([(knee, hem, widths[0]), (hip, knee, widths[1])], main)
            for start, stop, near, far in ((hip, knee, 5.0, 3.6), (knee, hem, 3.7, 2.9)):
                along = Frame.along(start, stop)
                for share in (0.2, 0.4, 0.6, 0.8):
                    x, w = math.dist(start, stop) * share, (near + (far - near) * share) * full
                    canvas.stroke(along.at([(x, -w), (x + 1.5, 0), (x, w)]), (*darker(main, 0.55), 90), 0.35)
                    for y in (-w / 2, w / 2) if c.motif else ():
                        diamond = along.at([(x + 1.6, y), (x + 2.5, y + 0.8), (x + 3.4, y), (x + 2.5, y - 0.8)])
                        canvas.polygon(diamond, tone(colours, c.motif))
            cuff, w = Frame.along(hem, ankle), 3.7 * full
            canvas.polygon(cuff.at([(0, w), (0, -w), (1.5, -w), (1.5, w)]), colours["trim"], 0.25)
        paint_marks(canvas, Frame.along(ankle, knee), self.marks.get("ankle", []), colours)

    def _hip_cloth(self, canvas: Canvas) -> None:
        pelvis, main = self.joints.pelvis, self.colours["main"]
        canvas.blob(pelvis.at([*_HIP_CLOTH, *((-x, y) for x, y in _HIP_CLOTH[:0:-1])]), main)
        for s in (-1, 1):
            for k in range(3):
                fold = [(s * (2.0 + 1.4 * k), 5.0), (s * (2.6 + 1.8 * k), 0), (s * (2.0 + 2.2 * k), -5 + 0.6 * k)]
                canvas.stroke(pelvis.at(fold), (*darker(main, 0.55), 80), 0.35)

    def _bands(self, bands: Bands) -> list[tuple[float, float, Colour]]:
        return [(start, stop, tone(self.colours, name)) for start, stop, name in bands]

    def _skirt(self, canvas: Canvas, skirt: Skirt) -> None:
        p, cloth, w = self.joints.pelvis, tone(self.colours, skirt.cloth), skirt.waist
        y = skirt.hem if skirt.hem > 0 else p.y + skirt.hem
        count = max(33, skirt.pleats * 2 + 1)
        hem = arc(p.x, y, skirt.half, skirt.sag, 180, 360, count)
        hem[:, 1] += skirt.waves * np.sin(np.linspace(0, 9 * np.pi, count))
        if w > 10:
            dome = [(7.0, 6.5), (w * 0.75, 3), (w * 0.94, -1), (w, -6), (0, -10)]
            canvas.blob([(p.x + dx, p.y + dy) for dx, dy in (*dome, *((-x, y) for x, y in dome[3::-1]))], cloth, 0.35)
            top = arc(p.x, p.y - 4, w, 3.0, 180, 360)
        else:
            top = p.at([(-w, 5.8), (0, 5.0), (w, 5.8)])
        if skirt.back:
            canvas.polygon(arc(p.x, y, skirt.half, skirt.sag * 0.8, 0, 180), darker(cloth, 0.55))
        canvas.pleats(top, hem, cloth, skirt.pleats, self._bands(skirt.bands))
        for name, share, spots, size in skirt.motifs:
            # Spots crowd together towards the sides of a round skirt.
            angles = (np.arange(spots) + 0.5) / spots * np.pi
            x = p.x - np.cos(angles) * (w + (skirt.half - w) * share) * 0.97
            lift = p.y + (y - p.y) * share - skirt.sag * np.sin(angles) * share
            for cx, cy, flat in zip(x, lift, np.sin(angles), strict=True):
                r = size * max(0.35, flat)
                if name == "mirror":
                    canvas.dot((cx, cy), size, tone(self.colours, name), 0.2)
                else:
                    diamond = [(cx - r, cy), (cx, cy + size * 1.3), (cx + r, cy), (cx, cy - size * 1.3)]
                    canvas.polygon(diamond, tone(self.colours, name))

    def _fan(self, canvas: Canvas, fan: Fan) -> None:
        x, y = self.joints.pelvis.point(0, 4.0)
        if fan.spread is None:
            ends = []
            for s, knee in zip((-1, 1), self.joints.knees, strict=True):
                away = np.degrees(np.arctan2(knee[0] - x, y - knee[1])) - s * fan.inside
                ends.append(float(np.clip(away, -58, 58)) if abs(away) > 14 else s * 14.0)
            start, stop = min(ends[0], -18.0), max(ends[1], 18.0)
        else:
            start, stop = fan.aim - fan.spread, fan.aim + fan.spread
        top = arc(x, y, fan.waist, min(fan.waist * 0.5, 2.0), 270 + start, 270 + stop)
        radius = fan.reach * (y - 1)
        hem = arc(x, y, radius, radius, 270 + start, 270 + stop)
        canvas.pleats(top, hem, tone(self.colours, fan.cloth), fan.pleats, self._bands(fan.bands))


def dress(dance: str, rng: random.Random) -> Dancer:
    """Returns a dancer of `dance`: costume, pose and colours are drawn from `rng`."""
    weights, costumes = zip(*COSTUMES[dance], strict=True)
    costume: Costume = rng.choices(costumes, weights)[0]
    joints = place(strike(costume.poses, rng), costume.broad)
    (main, contrast), shift = rng.choice(costume.cloths), rng.randint(-10, 10)
    colours: Colours = {**COLOURS, "skin": rng.choice(SKINS)}
    colours["main"] = tuple(max(0, min(255, level + shift + rng.randint(-7, 7))) for level in main)
    colours["contrast"] = contrast
    colours["flower"] = rng.choice((COLOURS["jasmine"], COLOURS["jasmine"], (240, 140, 40)))
    colours |= {"legs": contrast, "face": colours["skin"]}
    for name, value in costume.colours.items():
        colours[name] = colours[value] if isinstance(value, str) else value
    colours["blouse"] = tone(colours, rng.choice(costume.blouse or ("main",)))
    marks: dict[str, list[Mark]] = {}
    names = ("hair behind", "features", *rng.choice(costume.head), *costume.worn, *rng.choice(costume.props))
    for name in names:
        for mark in MARKS[name]:
            marks.setdefault(mark.frame, []).append(mark)
    return Dancer(joints, costume, rng.choice(costume.lower), marks, colours, rng.uniform(-0.24, 0.24))
