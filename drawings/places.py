"""Where the dancers dance, who sits there, and how it is lit. Every dance is danced in every place."""

import math
import random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from drawings.canvas import Canvas, Colour, Frame, darker, lighter, mix
from drawings.costumes import COLOURS, SKINS
from drawings.dancer import paint_marks
from drawings.ornaments import MARKS, drum

Size = tuple[int, int]
PLACES = ("stage", "courtyard", "studio")

# fmt: off
CLOTHS = ((120, 18, 34), (22, 26, 50), (30, 30, 34), (18, 74, 70), (84, 28, 84), (150, 96, 40), (40, 70, 40),
          (62, 84, 120))
WALLS = ((226, 214, 194), (190, 196, 200), (214, 176, 150), (120, 130, 150), (168, 178, 150), (92, 60, 64),
         (206, 190, 214))
WOODS = ((126, 80, 48), (70, 50, 44), (164, 120, 80), (52, 50, 56), (150, 60, 50), (190, 180, 170))
NIGHTS = ((16, 16, 26), (30, 14, 22), (12, 26, 30), (24, 18, 40))
LAMPS = ((255, 190, 110), (120, 170, 255), (255, 110, 160), (250, 240, 220))
GARLANDS = ((240, 150, 30), (250, 200, 60), (220, 60, 50), (250, 246, 236))
SKIES = (((110, 170, 220), (226, 236, 236)), ((250, 170, 110), (252, 226, 180)), ((60, 60, 110), (236, 140, 110)),
         ((170, 184, 190), (226, 226, 220)), ((150, 190, 220), (206, 222, 232)))
STONES = ((178, 150, 118), (148, 132, 120), (196, 140, 104), (120, 112, 108))
GREENS = ((70, 120, 70), (54, 98, 66), (96, 136, 78), (110, 96, 70), (70, 90, 110))
ROOFS = ((150, 116, 70), (170, 70, 54), (110, 96, 84))
GROUNDS = ((110, 150, 80), (214, 190, 140), (150, 110, 84), (206, 176, 136), (176, 168, 156))

# Colours of shade and of lit parts (1 leaves the image as it is), how fast the light falls off, how often it is seen.
LIGHTS = (
    ((0.92, 0.94, 0.97), (1.00, 1.00, 0.98), 0.5, 5.0),  # day
    ((0.74, 0.60, 0.50), (1.00, 0.95, 0.84), 0.9, 4.0),  # warm lamps
    ((0.54, 0.62, 0.80), (0.92, 0.97, 1.00), 0.9, 3.0),  # cool lamps
    ((0.36, 0.34, 0.40), (1.00, 0.98, 0.93), 1.7, 2.5),  # one spotlight
    ((0.74, 0.48, 0.60), (1.00, 0.90, 0.92), 1.0, 1.5),  # rose
    ((0.40, 0.38, 0.44), (0.70, 0.64, 0.60), 0.8, 1.2),  # dim
)
# fmt: on


def gradient(size: Size, top: Colour, bottom: Colour) -> Image.Image:
    """Returns a vertical gradient, RGB, of (width, height) pixels."""
    share = np.linspace(0, 1, max(2, size[1]))[:, None]
    column = np.array(top[:3]) * (1 - share) + np.array(bottom[:3]) * share
    return Image.fromarray(column.round().astype(np.uint8)[:, None, :]).resize(size)


def draw_place(rng: random.Random, size: Size, horizon: float, place: str) -> Image.Image:
    """Draws an empty place.

    Args:
        rng: Source of every choice.
        size: Width and height in pixels.
        horizon: Row where floor and wall meet, in pixels; may lie outside the image.
        place: One of `PLACES`.

    Returns:
        An RGB image, blurred as if behind the focus.
    """
    horizon = max(1.0, horizon)
    draw = {"stage": _stage, "courtyard": _courtyard, "studio": _studio}[place]
    image, floor, boards = draw(rng, size, horizon)
    w, h = size
    y = max(0, int(horizon))
    if y < h:
        image.paste(gradient((w, h - y), darker(floor, 0.35), lighter(floor, 0.06)), (0, y))
    if boards and y < h:
        d, vanish = ImageDraw.Draw(image, "RGBA"), w * rng.uniform(0.3, 0.7)
        for k in range(-14, 15):
            line = (vanish + k * w * 0.05, horizon, vanish + k * w * 0.22, horizon + h * 0.5)
            d.line(line, fill=(*darker(floor, 0.6), 90))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 1.9)))


def _stage(rng: random.Random, size: Size, horizon: float) -> tuple[Image.Image, Colour, bool]:
    """Draws a folded curtain, or a dark stage with the beams of lamps."""
    w, _ = size
    if rng.random() < 0.5:
        cloth = rng.choice(CLOTHS)
        image = Image.new("RGB", size, cloth)
        d = ImageDraw.Draw(image, "RGBA")
        x, step = -w * 0.1, w * rng.uniform(0.05, 0.16)
        while x < w * 1.1:
            fold = step * rng.uniform(0.7, 1.3)
            lit = ((0, 0), (0.45, 0), (0.55, horizon), (0.1, horizon))
            shaded = ((0.6, 0), (1, 0), (1, horizon), (0.7, horizon))
            d.polygon([(x + fold * s, y) for s, y in lit], fill=(*lighter(cloth, 0.35), 70))
            d.polygon([(x + fold * s, y) for s, y in shaded], fill=(*darker(cloth, 0.75), 130))
            x += fold
        if rng.random() < 0.5:
            trim, swag = lighter(rng.choice(CLOTHS), 0.2), w / rng.choice((2, 3, 4))
            for k in range(5):
                box = ((k - 0.5) * swag, -swag * 0.35, (k + 0.5) * swag, swag * 0.35)
                d.ellipse(box, fill=trim, outline=COLOURS["gold"], width=3)
        return image, rng.choice(WOODS), True
    base = rng.choice(NIGHTS)
    image = gradient(size, base, lighter(base, 0.12))
    d = ImageDraw.Draw(image, "RGBA")
    for _ in range(rng.randint(2, 5)):
        x, tone = rng.uniform(0, w), rng.choice(LAMPS)
        low = x + rng.uniform(-0.4, 0.4) * w
        for spread in (w * 0.06, w * 0.12):
            beam = [(x - 4, 0), (x + 4, 0), (low + spread, horizon), (low - spread, horizon)]
            d.polygon(beam, fill=(*tone, 30))
        d.ellipse((x - 7, -6, x + 7, 8), fill=(*tone, 220))
    for _ in range(rng.randint(0, 14)):
        x, y, r = rng.uniform(0, w), rng.uniform(0, horizon), rng.uniform(3, 12)
        d.ellipse((x - r, y - r, x + r, y + r), fill=(255, 200, 120, rng.randint(20, 80)))
    return image, lighter(base, 0.2), rng.random() < 0.5


def _courtyard(rng: random.Random, size: Size, horizon: float) -> tuple[Image.Image, Colour, bool]:
    """Draws hills or trees under a sky, and before them pillars, a thatched hall, a temple tower or nothing."""
    w, h = size
    sky, stone = rng.choice(SKIES), rng.choice(STONES)
    image = gradient(size, *sky)
    d = ImageDraw.Draw(image, "RGBA")
    for layer in range(rng.randint(1, 2)):
        base, phase, waves = horizon - h * (0.08 - 0.03 * layer), rng.uniform(0, 6), rng.uniform(4, 9)
        ridge = [(x, base - h * 0.06 * (1 + math.sin(x / w * waves + phase))) for x in np.linspace(0, w, 24)]
        hill = mix(rng.choice(GREENS), sky[1], 0.5 - 0.3 * layer)
        d.polygon([*ridge, (w, horizon + 2), (0, horizon + 2)], fill=hill)
    for _ in range(rng.randint(0, 6)):
        x, y, r = rng.uniform(0, w), horizon - h * rng.uniform(0.1, 0.4), h * rng.uniform(0.06, 0.18)
        d.ellipse((x - r, y - r, x + r, y + r), fill=rng.choice(GREENS[:3]))
    for _ in range(rng.choice((0, 0, 1, 3))):
        _palm(d, rng, rng.uniform(0, w), horizon, h * rng.uniform(0.3, 0.7))
    building = rng.choice(("pillars", "pillars", "hall", "hall", "tower", "none"))
    if building == "tower":
        x, half, high = w * rng.uniform(0.1, 0.9), w * rng.uniform(0.16, 0.34), horizon * rng.uniform(0.6, 0.95)
        for k in range(10):
            width, y = half * (1 - k / 10) ** 0.7, horizon - high * k / 10
            d.rectangle((x - width, y - high / 10, x + width, y), fill=mix(stone, sky[0], 0.25 + 0.06 * (k % 2)))
    elif building == "hall":
        left, right = w * rng.uniform(-0.3, 0.2), w * rng.uniform(0.65, 1.3)
        eave = horizon - h * rng.uniform(0.22, 0.4)
        wall, roof, posts = rng.choice(WALLS), rng.choice(ROOFS), rng.randint(5, 10)
        d.rectangle((left, eave, right, horizon), fill=darker(wall, 0.35))
        for x in np.linspace(left, right, posts):
            d.rectangle((x - w * 0.012, eave, x + w * 0.012, horizon), fill=lighter(wall, 0.1))
        d.rectangle((left, horizon - h * 0.05, right, horizon), fill=wall)
        ridge = [(left + w * 0.1, eave - h * 0.2), (right - w * 0.1, eave - h * 0.2)]
        d.polygon([(left - w * 0.08, eave + 6), *ridge, (right + w * 0.08, eave + 6)], fill=roof)
        for x in np.linspace(left, right, 24):
            d.line((x, eave - h * 0.19, x + (x - w / 2) * 0.08, eave + 5), fill=(*darker(roof, 0.6), 80))
    elif building == "pillars":
        count, shift = rng.randint(2, 5), rng.uniform(-0.5, 0.5)
        wide = w / count * rng.uniform(0.12, 0.24)
        for k in range(-1, count + 1):
            x = (k + 0.5 + shift) * w / count
            d.rectangle((x - wide, 0, x + wide, horizon), fill=stone)
            d.rectangle((x - wide, 0, x - wide * 0.4, horizon), fill=(*lighter(stone, 0.4), 110))
            d.rectangle((x + wide * 0.4, 0, x + wide, horizon), fill=(*darker(stone, 0.6), 110))
            for share in (0.25, 0.3, 0.55, 0.6, 0.9, 0.96):
                y = horizon * share
                d.rectangle((x - wide * 1.25, y, x + wide * 1.25, y + horizon * 0.022), fill=darker(stone, 0.25))
        d.rectangle((0, 0, w, horizon * rng.uniform(0.08, 0.18)), fill=darker(stone, 0.12))
    return image, rng.choice((*GROUNDS, stone)), building == "pillars"


def _palm(d: ImageDraw.ImageDraw, rng: random.Random, x: float, foot: float, high: float) -> None:
    lean, top = rng.uniform(-0.2, 0.2) * high, foot - high
    trunk = (x, foot, x + lean * 0.4, foot - high * 0.5, x + lean, top)
    d.line(trunk, fill=(96, 76, 58), width=max(2, int(high * 0.035)))
    for k in range(9):
        a = math.radians(k * 40 + rng.uniform(-10, 10))
        dx, dy = math.cos(a) * high * 0.3, -math.sin(a) * high * 0.16
        middle = (x + lean + dx * 0.57, top + dy - high * 0.06)
        tip = (x + lean + dx, top + dy + high * 0.07)
        d.polygon([(x + lean, top), middle, tip, (middle[0], middle[1] + high * 0.06)], fill=(48, 92, 56))


def _studio(rng: random.Random, size: Size, horizon: float) -> tuple[Image.Image, Colour, bool]:
    """Draws a wall with a glow on it, often with arches or windows, and at times with strings of flowers."""
    w, h = size
    wall, tall = rng.choice(WALLS), rng.uniform(0.25, 0.5)
    image = gradient(size, lighter(wall, 0.18), darker(wall, 0.12))
    d = ImageDraw.Draw(image, "RGBA")
    openings, count = rng.choice(("none", "arches", "arches", "windows")), rng.randint(1, 4)
    panes = {"arches": mix(darker(wall, 0.5), rng.choice(CLOTHS), 0.4), "windows": lighter(rng.choice(SKIES)[1], 0.2)}
    for k in range(count if openings != "none" else 0):
        x, half, top = (k + 0.5) * w / count, w / count * 0.34, horizon * tall
        low = horizon if openings == "arches" else horizon * 0.8
        d.rectangle((x - half, top, x + half, low), fill=panes[openings])
        if openings == "arches":
            d.pieslice((x - half, top - half, x + half, top + half), 180, 360, fill=panes[openings])
        else:
            for bar in ((x, top, x, low), (x - half, (top + low) / 2, x + half, (top + low) / 2)):
                d.line(bar, fill=darker(wall, 0.3), width=max(2, w // 90))
    cx, cy, r = w * rng.uniform(0.2, 0.8), h * rng.uniform(0.1, 0.6), max(size) * rng.uniform(0.25, 0.5)
    for k in range(24):
        s = r * (1 - k / 25)
        d.ellipse((cx - s, cy - s, cx + s, cy + s), fill=(*lighter(wall, 0.6), 8))
    strings, flower = rng.choice((0, 0, rng.randint(2, 12))), rng.choice(GARLANDS)
    for k in range(strings):
        x, r = (k + 0.5) * w / strings, max(3.0, w * 0.012)
        for y in np.arange(0, horizon * rng.uniform(0.15, 0.5), r * 1.7):
            d.ellipse((x - r, y - r, x + r, y + r), fill=darker(flower, rng.uniform(0, 0.25)))
    return image, rng.choice((*WOODS, wall)), rng.random() < 0.5


def draw_shadow(canvas: Canvas, x: float, half: float, strength: int) -> None:
    """Draws the soft shadow under a dancer at `x`, `half` units wide to each side; `strength` 0 to 30."""
    for k in range(10):
        canvas.dot((x, -0.6), half * (1.2 - 0.09 * k), (16, 8, 14, strength), flat=0.17)


def draw_musician(canvas: Canvas, rng: random.Random) -> None:
    """Draws a seated drummer who faces the right of the canvas."""
    colours = {
        **COLOURS,
        "main": rng.choice(((236, 228, 210), (190, 120, 60), (120, 40, 50), (60, 84, 110), (220, 180, 90))),
    }
    colours["skin"] = rng.choice(SKINS[1:])
    seat, lap = Frame(0, 0), Frame(2, 11.5, rng.uniform(-0.15, 0.15), 0.8)
    draw_shadow(canvas, 0, 18, 10)
    for frame, marks in ((seat, MARKS["musician"]), (lap, drum((4.6, 4.0), 14)), (seat, MARKS["sleeves"])):
        paint_marks(canvas, frame, marks, colours)


def draw_audience(image: Image.Image, rng: random.Random) -> None:
    """Draws the dark heads of a front row along the lower edge of the image, in place."""
    scale = min(image.size) / 105
    canvas = Canvas(image, scale, (0, image.height))
    x, low = rng.uniform(-12, 0), rng.uniform(1, 6)
    while x < image.width / scale + 12:
        size, level = rng.uniform(6.5, 8.5), rng.randint(8, 26)
        shade, top = (level + 8, level, level + 6), low + rng.uniform(-2, 3)
        canvas.blob([(x - 13, top - 30), (x - 12, top - 4), (x, top), (x + 12, top - 4), (x + 13, top - 30)], shade)
        canvas.dot((x, top + size * 0.9), size * 0.82, shade, flat=1.2)
        if rng.random() < 0.4:
            canvas.dot((x + rng.choice((-3, 3)), top + size * 1.2), 3.4, shade)
        x += rng.uniform(19, 34)


def light(image: Image.Image, rng: random.Random, focus: tuple[float, float]) -> Image.Image:
    """Lights a finished image and adds what a camera adds: vignette, haze, blur, grain.

    Args:
        image: RGB.
        rng: Source of every choice.
        focus: Where the light falls, as shares of width and height.

    Returns:
        A new RGB image of the same size.
    """
    shade, lit, fall, _ = rng.choices(LIGHTS, [row[3] for row in LIGHTS])[0]
    y, x = np.mgrid[0:32, 0:32] / 31
    fx, fy = focus[0] + rng.gauss(0, 0.08), focus[1] + rng.gauss(0, 0.08)
    reach = np.exp(-fall * (((x - fx) / 0.55) ** 2 + ((y - fy) / 0.62) ** 2))[..., None]
    field = np.array(shade) * (1 - reach) + np.array(lit) * reach
    field *= 1 - rng.uniform(0, 0.25) * (((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.5)[..., None] ** 1.4
    small = Image.fromarray((field * 255).clip(0, 255).round().astype(np.uint8))
    result = ImageChops.multiply(image, small.resize(image.size, Image.Resampling.BICUBIC))
    exposure, haze = rng.uniform(1.0, 1.13), rng.choice((0, 0, 0, 14, 30))
    result = result.point([min(255, round(level * exposure)) for level in range(256)] * 3)
    if haze:
        result = ImageChops.screen(result, Image.new("RGB", image.size, (haze, haze - 2, haze - 4)))
    if rng.random() < 0.12:
        result = result.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 1.5)))
    grain = rng.choice((0, 0, 2, 3, 5))
    if grain:
        noise = np.random.default_rng(rng.getrandbits(64)).standard_normal(image.size[::-1], dtype=np.float32)
        plane = Image.fromarray((128 + grain * noise).clip(0, 255).astype(np.uint8))
        result = ImageChops.add(result, Image.merge("RGB", (plane,) * 3), 1.0, -128)
    return result
