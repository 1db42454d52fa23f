"""What the dancers of each dance wear and how they stand: tables, one row a pose, one block a costume."""

from dataclasses import dataclass, field, replace

from drawings.canvas import Colour
from drawings.figure import Arm, Leg, Pose

Bands = tuple[tuple[float, float, str], ...]  # borders: from, to (shares of the way to the hem), colour
Motifs = tuple[tuple[str, float, int, float], ...]  # rows of diamonds or mirrors: colour, share, count, size
# A length of cloth through two points on the chest and one on the pelvis: widths at its ends, colour, border.
Drape = tuple[tuple[float, float], tuple[float, float], tuple[float, float], float, float, str, str]


@dataclass(frozen=True)
class Skirt:
    """A skirt, from the waist down to an elliptic hem. Lengths are in figure units."""

    hem: float  # height of the hem: above the floor if positive, below the hips if negative
    half: float  # half width at the hem
    sag: float  # how much lower the middle of the hem hangs than its sides
    waist: float = 5.9  # half width at the waist; above 10, a dome joins it to the belt
    pleats: int = 14  # 0 for stiff cloth
    cloth: str = "main"
    bands: Bands = ()
    motifs: Motifs = ()
    waves: float = 0.0  # height of the waves of the hem
    back: bool = False  # whether the far side of the hem is seen


@dataclass(frozen=True)
class Fan:
    """A fan of pleats that opens downwards from the belt. Angles are in degrees."""

    reach: float  # length, as a share of the height of the belt above the floor
    spread: float | None  # half of its angle; None to reach from knee to knee
    pleats: int
    cloth: str = "main"
    bands: Bands = ((0.80, 0.84, "trim"), (0.88, 1.0, "trim"), (0.93, 0.95, "trim-"))
    aim: float = 0.0  # direction, 0 for straight down
    inside: float = 0.0  # how far short of the knees it ends
    waist: float = 2.2  # radius at the belt


@dataclass(frozen=True)
class Costume:
    """What a dancer's look is made of. Marks are keys of `ornaments.MARKS`; one of alternatives is drawn at random."""

    poses: tuple[Pose, ...]
    cloths: tuple[tuple[Colour, Colour], ...]  # main cloth and contrast: alternatives
    lower: tuple[tuple[Skirt | Fan, ...], ...]  # skirts and fans, drawn in order: alternatives
    head: tuple[tuple[str, ...], ...]  # marks of face, hair and headgear: alternatives
    worn: tuple[str, ...] = ()  # further marks
    props: tuple[tuple[str, ...], ...] = ((),)  # further marks: alternatives
    drapes: tuple[Drape, ...] = ()
    blouse: tuple[str, ...] = ("contrast",)  # colours: alternatives; empty for a bare chest
    to: int = 5  # last row of `figure.torso_side` that the blouse covers: 5 leaves the midriff bare, 7 does not
    neckline: float = 5.0  # depth of the neck
    cover: float = 0.5  # where the sleeves end: 1 at the elbow, 2 at the wrist
    legs: str = "draped"  # or "tight", or "bare" under a long skirt
    full: float = 1.0  # factor on the width of draped legs
    motif: str = ""  # colour of woven diamonds on draped legs
    broad: float = 1.0  # factor on the width of the chest
    dye: bool = True  # whether fingertips and soles are red
    nails: str = ""  # colour of long nails on one hand
    colours: dict[str, str | Colour] = field(default_factory=dict)  # by name, in place of those of `COLOURS`
    top: float = 11.0  # height of the headgear above the middle of the head


# fmt: off
# A costume replaces some of these; a dancer adds skin, main, contrast and blouse. See `dancer.tone`.
COLOURS: dict[str, Colour] = {
    "gold": (226, 172, 58), "silver": (206, 212, 222), "ruby": (178, 22, 48), "green": (30, 108, 72),
    "crimson": (186, 32, 40), "blue": (40, 90, 170), "white": (250, 246, 238), "pale": (244, 234, 208),
    "jasmine": (250, 246, 232), "hair": (30, 20, 24), "kohl": (22, 14, 20), "iris": (54, 28, 20),
    "shade": (40, 14, 18), "leather": (96, 40, 30), "wood": (146, 76, 46), "mirror": (226, 236, 242),
    "peacock": (40, 124, 84), "flame": (255, 204, 96), "lips": (176, 28, 44), "lids": (120, 60, 60),
    "mark": (190, 20, 36), "gem": (178, 22, 48), "metal": (226, 172, 58), "trim": (226, 172, 58),
}
SKINS = ((232, 182, 138), (217, 162, 116), (196, 138, 94), (170, 114, 76), (142, 92, 62))
# Silks are shared on purpose: the cut tells the dances apart, not the hue.
SILKS = (
    ((176, 24, 46), (24, 92, 70)), ((22, 110, 84), (150, 26, 60)), ((226, 130, 30), (126, 22, 84)),
    ((46, 58, 140), (206, 84, 30)), ((120, 28, 100), (234, 158, 40)), ((216, 64, 92), (40, 64, 120)),
    ((232, 184, 62), (170, 30, 40)), ((20, 120, 140), (190, 40, 90)), ((244, 232, 204), (168, 26, 44)),
    ((92, 132, 48), (124, 30, 58)), ((200, 60, 40), (36, 44, 96)), ((126, 92, 168), (226, 150, 50)),
)
MUSLINS = (((248, 244, 236), (150, 26, 60)), ((232, 224, 240), (120, 28, 100)), ((246, 238, 220), (24, 92, 70)))
CREAMS = (((246, 238, 216), (150, 28, 48)), ((250, 246, 232), (30, 96, 72)), ((240, 226, 194), (206, 160, 60)),
          ((246, 238, 216), (246, 238, 216)), ((250, 246, 232), (250, 246, 232)), ((236, 226, 206), (236, 226, 206)))
PATS = (((244, 234, 208), (176, 28, 36)), ((232, 210, 160), (150, 22, 40)), ((248, 242, 228), (196, 52, 36)),
        ((222, 192, 134), (176, 28, 36)), ((244, 234, 208), (150, 22, 40)))
SATINS = (((30, 120, 70), (40, 30, 60)), ((184, 26, 48), (24, 70, 60)), ((170, 34, 90), (40, 30, 60)),
          ((206, 60, 40), (120, 24, 50)), ((34, 96, 110), (120, 24, 50)), ((30, 120, 70), (120, 24, 50)))
STRIPES = (((206, 44, 40), (34, 40, 60)), ((226, 120, 40), (150, 26, 40)), ((30, 96, 80), (196, 40, 44)))
YELLOWS = (((238, 178, 40), (176, 30, 44)), ((232, 150, 34), (140, 30, 70)), ((244, 200, 70), (176, 30, 44)))
WHITES = (((246, 242, 234), (200, 180, 150)), ((240, 232, 216), (176, 60, 50)))

SIT, OPEN, WIDE = (Leg(4.5), Leg(4.5)), (Leg(11, 0, 1, 1), Leg(11, 0, 1, 1)), (Leg(9), Leg(9))
STRAIGHT, SOFT = (Leg(4, 0, 0.15, 0.5), Leg(4, 0, 0.15, 0.5)), (Leg(6, 0, 0.35, 0.7), Leg(6, 0, 0.35, 0.7))
PLATE, TOGETHER = (Leg(5, 0, 0.7, 0.7), Leg(5, 0, 0.7, 0.7)), (Leg(4, 0, 0.3, 0.5), Leg(4, 0, 0.3, 0.5))
STANCE, LUNGE = (Leg(14, 0, 0.5), Leg(14, 0, 0.5)), (Leg(7), Leg(14))
BENDS, CROSS = (Leg(5, 0, 0.5), Leg(1, 0, 0.9, 0.7)), (Leg(4, 0, 0.5), Leg(-5, 2, 0.7, 0.4))
HEEL, STEP = (Leg(3, 0, 0.4), Leg(9, 0, 0.3)), (Leg(5, 0, 0.6), Leg(16, 1, 0.6, 1))
STRIDE, LIFT = (Leg(8), Leg(30, 0, 0.35, 1)), (Leg(3, 0, 0.8), Leg(-9, 21, 1, -0.9))
KICK, LEAP = (Leg(8, 0, 0.7), Leg(7, 14, 0.9, 0.5)), (Leg(12, 4, 1, 0.7), Leg(15, 9))
BEAT = Arm(-50, 214, "pataka", -10, (0.92, 0.5))
FLUTE = Arm(-24, 140, "suchi", 0, (0.9, 0.8)), Arm(-18, 150, "suchi", 0, (0.9, 0.8))

# Columns: arms, legs, hip, sway, bend, pelvis, lean, tilt, turn.
BHARATANATYAM = (
    Pose((Arm(4, -6), Arm(4, -6)), SIT, (0, 36)),
    Pose((Arm(58, 82, "alapadma"), Arm(2, -2)), SIT, (0, 36), 0, 0, 0, 0, -6, 0.4),
    Pose((Arm(-16, 170, "katakamukha"), Arm(-16, 170, "katakamukha")), SIT, (0, 36)),
    Pose((Arm(-16, 172, "katakamukha"), Arm(18, 14, "tripataka")), STRIDE, (-3, 37), 0, 0, 0, -5, -8, 0.6),
    Pose((Arm(0, 90), Arm(-22, 205, "soft", 20)), LIFT, (0, 41), 0, 0, 0, 0, 5),
    Pose((Arm(52, 124, "alapadma"), Arm(52, 124, "alapadma")), SIT, (0, 41)),
    Pose((Arm(22, 60, "tripataka"), Arm(-12, -35, "alapadma", 25)), SIT, (0, 35), 0, 0, 0, 6, 10, 0.7),
    Pose((Arm(34, 30, "shikhara"), Arm(-40, 150, "mushti")), LUNGE, (0, 33), 0, 0, 0, 0, 0, -0.6),
    Pose((Arm(30, 32, "tripataka"), Arm(-26, -28, "tripataka")), STRIDE, (-2, 36), 0, 0, 0, -3, 4, 0.5),
)
KATHAK = (
    Pose((Arm(10, 40, "soft", -20), Arm(-18, 168, "hamsasya")), STRAIGHT, (0, 47.5), 0, 0, 0, 0, -5, 0.4),
    Pose((Arm(66, 88, "soft", 10), Arm(2, 2, "soft", 10)), STRAIGHT, (0, 47.5), 0, 0, 0, 0, 5, 0.5),
    Pose((Arm(2, 6, "soft", 10), Arm(2, 6, "soft", 10)), STRAIGHT, (0, 47.5), 0, 0, 0, 0, 0, -0.3),
    Pose((Arm(-20, 160, "soft"), Arm(-20, 176, "soft")), STRAIGHT, (0, 47.5), 0, 0, 0, 0, -8, 0.6),
    Pose((Arm(54, 126, "hamsasya"), Arm(-50, -30, "soft", 10)), HEEL, (0, 47), 1, 0, 0, -2, 7, 0.7),
    Pose((Arm(36, 60, "hamsasya", 10), Arm(-30, 140, "hamsasya", 10)), CROSS, (0, 47), 0, 0, 0, 0, 8, -0.7),
    Pose((Arm(60, 100, "soft", 10), Arm(60, 100, "soft", 10)), STRAIGHT, (0, 47.5), 0, 0, 0, 0, 4, 0.2),
)
KATHAKALI = (
    Pose((Arm(-6, 30, "pataka", 20), Arm(-6, 30, "pataka", 20)), STANCE, (0, 39)),
    Pose((Arm(-14, 160, "katakamukha"), Arm(14, 52, "tripataka")), STANCE, (0, 39), 0, 0, 0, 0, -5, 0.4),
    Pose((Arm(-20, 120, "mushti"), Arm(-20, 120, "mushti")), STANCE, (0, 38), 0, 0, 0, 0, 0, -0.2),
    Pose((Arm(30, 74, "alapadma"), Arm(-16, -20, "pataka", 30)), STEP, (-2, 41), 2, 0, 0, -5, 6, 0.3),
    Pose((Arm(-2, 66, "mrigashirsha"), Arm(-24, 140, "hamsasya")), STANCE, (0, 37), -2, 0, 0, 5, -6, -0.5),
    Pose((Arm(4, -14, "hamsasya", 20), Arm(40, 60, "suchi")), STANCE, (1, 39), -2, 0, 0, 4, 5, 0.5),
    Pose((Arm(44, 50, "tripataka"), Arm(-34, 160, "mushti")), STEP, (-2, 40), 2, 0, 0, -6, 6, 0.4),
)
KUCHIPUDI = (
    Pose((Arm(8, 20, "pataka", 30), Arm(8, 20, "pataka", 30)), PLATE, (0, 41), 2, -2, 3, -3, 4),
    Pose((Arm(30, 62, "alapadma"), Arm(-14, 6, "hamsasya", 20)), PLATE, (2, 41), -4, 2.5, -6, 7, -8, 0.5),
    Pose((Arm(-20, 165, "katakamukha"), Arm(26, 70, "tripataka")), STEP, (-3, 40), 4, -2.5, 7, -8, 9, 0.6),
    Pose((Arm(-38, -110, "mushti"), Arm(0, 78, "mrigashirsha")), HEEL, (2, 43), -5, 3, -9, 8, -10, -0.5),
    Pose((Arm(44, 70, "alapadma"), Arm(44, 70, "alapadma")), CROSS, (1, 43), -3, 2, -4, 5, -6),
    Pose((Arm(-30, 120, "hamsasya", 10), Arm(-2, 40, "hamsasya", 10)), STEP, (-4, 40), 5, -3, 6, -9, 10, 0.8),
)
LAMPS = (
    Pose((Arm(8, 22, "pataka", 20), Arm(8, 22, "pataka", 20)), PLATE, (0, 41), 2, -2, 3, -3, 4, 0.2),
    Pose((Arm(34, 66), Arm(-6, 20, "pataka", 20)), PLATE, (2, 41), -4, 2.5, -6, 7, -8, 0.4),
    Pose((Arm(-30, 40, "pataka", 20), Arm(-30, 40, "pataka", 20)), PLATE, (0, 41), 2, -2, 3, -3, 4, -0.3),
    Pose((Arm(40, 70), Arm(40, 70)), PLATE, (0, 41), -3, 2, -4, 5, -6),
)
GOPI = (
    Pose((Arm(-24, 20, "soft", 20), Arm(-24, 20, "soft", 20)), TOGETHER, (0, 44), 0, 0, 0, 0, 6, 0.3),
    Pose((Arm(20, 74, "soft", 20), Arm(-30, -10, "soft", 30)), TOGETHER, (0, 44), 1, 0, 0, -3, -8, 0.5),
    Pose((Arm(-34, 120, "hamsasya", 10), Arm(-14, 30, "soft", 20)), TOGETHER, (0, 44), -1, 0, 0, 4, 9, -0.5),
    Pose((Arm(34, 96, "soft", 10), Arm(34, 96, "soft", 10)), TOGETHER, (0, 44), 0, 0, 0, 0, -5, -0.3),
    Pose((Arm(-30, 150, "hamsasya"), Arm(4, 40, "soft", 10)), TOGETHER, (0, 44), 2, 0, 0, -4, 7, 0.7),
)
KRISHNA = (
    Pose((Arm(14, 70, "tripataka"), Arm(-10, 20, "pataka", 20)), STEP, (-2, 42), 3, -1, 3, -5, 7, 0.6),
    Pose((Arm(-30, 100, "hamsasya"), Arm(20, 40, "soft", 10)), CROSS, (-2, 45), 2, -2, 5, -5, 8, 0.5),
)
FLUTIST = (Pose(FLUTE, CROSS, (-2, 45), 2, -2, 5, -5, 8, 0.5), Pose(FLUTE, BENDS, (-2, 45), 3, -2, 6, -7, 10, -0.3))
CHOLOM = (
    Pose((BEAT, Arm(30, 64)), KICK, (0, 43), 2, 0, 0, -6, 8, 0.4),
    Pose((BEAT, BEAT), LEAP, (0, 42), 0, 0, 0, 0, -6),
    Pose((Arm(40, 70), BEAT), (Leg(20, 0, 0.6, 1), Leg(9)), (2, 38), -3, 0, 0, 7, -8, -0.5),
)
MOHINIYATTAM = (
    Pose((Arm(-14, 30, "hamsasya", 20), Arm(-8, -40, "soft", 40)), WIDE, (-2, 38), 6, 0, 4, -13, -8, 0.3),
    Pose((Arm(10, 50, "soft", 20), Arm(-20, 165, "hamsasya")), WIDE, (2, 38), -6, 0, -4, 13, 10, -0.3),
    Pose((Arm(28, 106, "alapadma"), Arm(-12, 10, "soft", 20)), WIDE, (2, 37), -6, 0, -5, 14, 8, 0.5),
    Pose((Arm(-24, 150, "katakamukha"), Arm(-24, 166, "hamsasya")), WIDE, (-2, 39), 5, 0, 4, -11, -14, 0.6),
    Pose((Arm(-40, -20, "soft", 30), Arm(30, 66, "hamsasya", 10)), LUNGE, (-3, 39), 7, 0, 5, -14, -10, 0.7),
    Pose((Arm(-30, 130, "mrigashirsha", 10), Arm(-4, 24, "alapadma", 20)), WIDE, (2, 42), -6, 0, -5, 12, -6, -0.5),
)
ODISSI = (
    Pose((Arm(-4, -92, "pataka", 80), Arm(-4, -92, "pataka", 80)), OPEN, (0, 35)),
    Pose((Arm(0, 88, "alapadma"), Arm(-6, -88, "pataka", 70)), OPEN, (0, 35), 0, 0, 0, 0, 6, 0.3),
    Pose((Arm(-30, 160, "katakamukha"), Arm(24, 128, "alapadma")), BENDS, (-4, 44), 5, -4, 10, -12, 13, 0.4),
    Pose((Arm(-34, -120, "mushti"), Arm(20, 80, "hamsasya")), BENDS, (-4, 44), 6, -4, 11, -12, 15, 0.7),
    Pose((Arm(-24, 150, "mrigashirsha"), Arm(-24, 128, "mrigashirsha")), CROSS, (-4, 44), 5, -4, 10, -11, 12, -0.5),
    Pose((Arm(46, 118, "alapadma"), Arm(-22, 140, "hamsasya")), LIFT, (0, 42), 3, -2, 5, -7, 9, 0.4),
    Pose((Arm(30, 100, "tripataka"), Arm(6, -20, "alapadma", 40)), STRIDE, (-5, 39), 7, -3.5, 9, -10, 14, 0.8),
)
SATTRIYA = (
    Pose((Arm(-20, 40, "alapadma", 10), Arm(-20, 40, "alapadma", 10)), SOFT, (0, 43), 0, 0, 0, 0, 6, 0.3),
    Pose((Arm(12, 70), Arm(-26, -4, "pataka", 20)), SOFT, (1, 43), -2, 0, 0, 3, -7, 0.5),
    Pose((Arm(-28, 156, "hamsasya"), Arm(-6, 46, "soft", 20)), SOFT, (-1, 42), 3, 0, 0, -5, 9, 0.6),
    Pose((Arm(-30, 148, "katakamukha"), Arm(-30, 148, "katakamukha")), SOFT, (0, 42), 0, 0, 0, 0, -6),
    Pose((Arm(40, 112, "alapadma"), Arm(-8, -20, "alapadma", 40)), HEEL, (-1, 43), 3, 0, 2, -4, 6, -0.4),
)
KHOL = (
    Pose((BEAT, BEAT), WIDE, (0, 42)),
    Pose((BEAT, Arm(20, 62)), STEP, (-2, 41), 2, 0, 0, -5, 6, 0.5),
    Pose((Arm(24, 58), BEAT), KICK, (0, 44), -2, 0, 0, 4, -6, -0.5),
)

GEMS = ("earrings", "choker", "short necklace")
TEMPLE = ("hair", "eyes", "dot", "nose stud", "brow chain", "sun and moon")
HEM: Bands = ((0.80, 0.82, "trim"), (0.87, 1.0, "trim"), (0.91, 0.96, "trim-"))
KASAVU: Bands = ((0.34, 0.37, "trim"), (0.58, 0.62, "trim"), (0.8, 0.84, "trim"), (0.88, 1.0, "trim"))
STRIPED: Bands = ((0.40, 0.55, "contrast"), (0.66, 0.98, "main"), (0.8, 0.85, "gold"))
MIRRORS: Motifs = (("mirror", 0.54, 9, 0.8), ("mirror", 0.715, 11, 1.25), ("mirror", 0.865, 13, 1.0))
DRUM: Bands = (
    (0.44, 0.47, "gold"), (0.62, 1.0, "main-"), (0.62, 0.65, "gold"), (0.78, 0.8, "gold"), (0.94, 1, "gold"))
WOVEN: Bands = ((0.70, 0.715, "contrast"), (0.80, 0.83, "contrast"), (0.88, 1.0, "contrast"))
IKAT: Bands = ((0.62, 0.66, "white"), (0.72, 1.0, "contrast"), (0.82, 0.86, "white"))
ENDS: Bands = ((0.80, 0.84, "gold"), (0.90, 0.94, "gold"))
FRONT = (Fan(0.55, 9, 6, bands=((0.84, 0.97, "contrast"),), waist=18),)
LONG, MIDDLE, SHORT = (Fan(r, None, n, cloth, inside=i) for r, n, cloth, i in
                       ((0.84, 14, "main", 4), (0.6, 11, "contrast", 9), (0.36, 8, "main", 14)))

_bharatanatyam = Costume(
    BHARATANATYAM, SILKS, ((LONG, MIDDLE, SHORT), (LONG, MIDDLE)), (("plait", "garland", *TEMPLE, "smile"),),
    (*GEMS, "long necklace", "belt", "bangles", "2 bells"),
    drapes=(((-5.4, -0.8), (-1.2, -8.0), (5.0, 5.0), 4.6, 3.6, "main", "gold"),))
_kuchipudi = Costume(
    KUCHIPUDI, SILKS, ((Fan(0.5, 11, 6, "contrast", aim=27), Fan(0.9, 15, 9, waist=2.6)),),
    (("plait", "crown disc", *TEMPLE, "laugh"), ("plait", "crown disc", *TEMPLE, "laugh"),
     ("plait", *TEMPLE, "pot", "laugh")),
    (*GEMS, "belt", "bangles", "2 bells"), (("plate",), ("plate",), ()), full=1.05, top=17,
    drapes=(((5.4, -0.8), (1.0, -9.0), (-5.0, 5.0), 5.2, 3.2, "main", "gold"),))
_kathak = Costume(
    KATHAK, SILKS + MUSLINS,
    ((Skirt(15, 19, 4.4, pleats=15, bands=HEM, waves=0.8, back=True),),
     (Skirt(-11, 31, 8.4, pleats=22, bands=HEM, waves=0.9, back=True),)),
    (("veil", "hair", "eyes", "smile", "dot"), ("veil", "hair", "eyes", "calm", "dot", "nose stud"),
     ("low bun", "hair", "eyes", "smile", "dot", "cap"), ("low bun", "hair", "eyes", "smile", "dot", "brow chain")),
    ("earrings", "choker", "pearls", "yoke", "sash", "plain bangles", "5 bells"), blouse=("main",), to=7,
    neckline=4.0, cover=1.62, legs="tight", dye=False,
    drapes=(((5.0, -0.6), (0, -9), (-6, 6), 3.6, 3.0, "contrast", "trim"),))
_hero = Costume(
    KATHAKALI, STRIPES,
    tuple((*(Skirt(hem, half, 3.6, waist, 0, tone, STRIPED, waves=0.5) for hem, half, waist, tone in
             ((14, 25, 20, cloth), (19, 23, 19, "white"), (24.5, 20, 16, cloth))),
           Fan(0.6, 8, 6, bands=((0.8, 0.97, "gold"),))) for cloth in ("white", "pale", "jasmine")),
    (("paper rim", "painted eyes", "calm", "hero marks", "great crown"),),
    ("breastplate", "girdle", "plain bangles", "epaulettes", "lotus ends", "3 bells"),
    blouse=("jacket",), to=7, neckline=2.0, cover=1.86, legs="tight", broad=1.12, dye=False, nails="silver", top=23,
    colours={"face": (34, 142, 74), "jacket": "crimson", "mark": "gold", "lids": "kohl", "legs": "pale"},
    drapes=tuple(((s * 3.6, -0.6), (s * x, -13), (s * end, y), 2.4, 3.0, cloth, edge)
                 for s, cloth, edge in ((-1, "white", "crimson"), (1, "crimson", "pale"))
                 for x, end, y in ((5, 5.4, -7), (6, 9.8, -3))))
_villain = replace(_hero, head=(("paper rim", "painted eyes", "calm", "hero marks", "knob", "great crown"),))
_red_beard, _white_beard, _black_beard = (
    replace(_hero, head=(("beard", "painted eyes", "calm", "hero marks", "knob", "great crown"),),
            colours=_hero.colours | {"face": face, "beard": beard, "mark": mark, "jacket": jacket})
    for face, beard, mark, jacket in (((196, 40, 36), (150, 20, 28), "white", "crimson"),
                                      ((34, 142, 74), "white", "crimson", "pale"),
                                      ((44, 40, 48), "kohl", "crimson", (40, 38, 52))))
_gopi = Costume(
    GOPI, SATINS,
    ((Skirt(6, 16.5, 3.4, 9.5, 0, "main", DRUM, MIRRORS),
      Skirt(-3, 18.5, 5.2, pleats=13, cloth="white", bands=((0.9, 1.0, "gold+"),), waves=1.3)),),
    tuple(("cone", "hair", "soft eyes", mouth, "dot", "gauze") for mouth in ("quiet", "calm")),
    (*GEMS, "belt", "plain bangles"), blouse=("contrast", "contrast", "main-"), to=7, neckline=3.6, cover=0.8,
    legs="bare", top=18)
_krishna = Costume(
    KRISHNA, YELLOWS, (FRONT,), (("peacock", "hair", "eyes", "calm", "stripe", "coronet"),),
    (*GEMS, "flower garland", "belt", "bangles", "2 bells"), blouse=("blue-",), to=6, neckline=3.6, full=1.12, top=22,
    colours={"mark": "gold", "trim": "contrast"}, drapes=(((-5, -0.6), (0, -9), (6, 5), 4, 3, "crimson", "gold"),))
_cholom = Costume(
    CHOLOM, WHITES, ((Fan(0.6, 9, 6, bands=(), waist=18),),),
    tuple(("hair", "eyes", "calm", "stripe", "ball turban", *more) for more in ((), ("moustache",))),
    ("rudraksha", "waist cloth"), (("pung",),), blouse=(), full=1.2, broad=1.16, dye=False, top=15,
    colours={"mark": "pale", "trim": "contrast"})
_mohiniyattam = Costume(
    MOHINIYATTAM, CREAMS,
    ((Fan(0.7, None, 15, bands=KASAVU, inside=-6, waist=4),
      Fan(0.42, 28, 9, "main+", ((0.76, 0.8, "trim"), (0.86, 1.0, "trim")))),),
    (("side bun", "hair", "eyes", "calm", "large dot", "parting", "nose stud"),),
    (*GEMS, "belt", "plain bangles", "2 bells"), blouse=("contrast", "main"), to=7,
    cover=0.62, full=1.12,
    drapes=(((-5.0, -0.8), (0.0, -9.0), (5.6, 5.0), 6.4, 4.6, "main", "trim"),))
_odissi = Costume(
    ODISSI, SILKS, ((Fan(0.62, None, 10, bands=IKAT, inside=18),),),
    tuple((*more, "pith crown", "hair", "eyes", "large dot", "paste", "brow chain")
          for more in (("spire", "calm"), ("spire", "smile"), ("calm",))),
    (*GEMS, "long necklace", "chains", "broad belt", "many bangles", "2 bells"), motif="contrast+", top=23,
    colours={"metal": "silver", "trim": "contrast", "gem": "silver"},
    drapes=(((-5.6, -0.8), (-2.0, -9.0), (3.6, 6.0), 4.6, 3.0, "main", "contrast"),))
_sattriya = Costume(
    SATTRIYA, PATS,
    ((Skirt(7.5, 18, 2.6, bands=WOVEN, motifs=(("contrast", 0.757, 13, 1.1), ("gold+", 0.94, 12, 0.6))),
      Fan(0.56, 10, 0, "contrast", ENDS, waist=18)),),
    tuple(("top bun", "hair", "eyes", mouth, "dot", "kopali") for mouth in ("calm", "smile")),
    (*GEMS, "waist cloth", "woven", "plain bangles"), blouse=("contrast", "contrast", "main", "green"), to=7,
    neckline=4.0, cover=0.75, legs="bare", top=14,
    drapes=(((-5.6, -0.6), (0.5, -9.0), (6.0, 5.0), 6.5, 5.0, "main", "contrast"),))
_khol = Costume(
    KHOL, PATS, (FRONT,),
    tuple(("hair", "eyes", "calm", "stripe", "flat turban", *more) for more in ((), ("moustache",))),
    ("waist cloth",), (("khol",),), blouse=("main+",), to=7, neckline=3.0, cover=0.9, full=1.18, broad=1.14, dye=False,
    colours={"mark": "pale", "lips": (160, 76, 66), "trim": "contrast"},
    drapes=tuple(((s * 4.6, -0.4), (s * 4.2, -12.0), (s * 4.6, -4.0), 3.6, 3.6, "contrast", "main") for s in (-1, 1)))

# Per dance, how often each costume is worn.
COSTUMES: dict[str, tuple[tuple[float, Costume], ...]] = {
    "bharatanatyam": ((1, _bharatanatyam),),
    "kathak": ((1, _kathak),),
    "kathakali": ((5, _hero), (2, _villain), (1, _red_beard), (1, _white_beard), (1, _black_beard)),
    "kuchipudi": ((7, _kuchipudi), (3, replace(_kuchipudi, poses=LAMPS, props=(("plate", "hand lamps"),)))),
    "manipuri": (
        (62, _gopi), (12, _krishna), (6, replace(_krishna, poses=FLUTIST, props=(("flute",),))), (20, _cholom)),
    "mohiniyattam": ((7, _mohiniyattam), (3, replace(_mohiniyattam, colours={"trim": (190, 60, 44)}))),
    "odissi": ((1, _odissi),),
    "sattriya": ((64, _sattriya), (36, _khol)),
}
# fmt: on
