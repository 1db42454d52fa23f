"""Light and camera: stage light, spotlight, daylight, dusk; vignette and grain."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageChops, ImageFilter

GRID = 32

# Per light: colour of the shade and of the lit part (1 keeps the picture as painted), and how fast it falls off.
LIGHTS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "day": ((0.92, 0.94, 0.97), (1.0, 1.0, 0.98), 0.5),
    "warm stage": ((0.74, 0.60, 0.50), (1.0, 0.95, 0.84), 0.9),
    "cool stage": ((0.54, 0.62, 0.80), (0.92, 0.97, 1.0), 0.9),
    "spot": ((0.36, 0.34, 0.40), (1.0, 0.98, 0.93), 1.7),
    "rose": ((0.74, 0.48, 0.60), (1.0, 0.90, 0.92), 1.0),
    "dim": ((0.40, 0.38, 0.44), (0.70, 0.64, 0.60), 0.8),
}


def light(image: Image.Image, rng: random.Random, focus: tuple[float, float]) -> Image.Image:
    """Lights a finished picture and adds vignette and grain.

    Args:
        image: RGB.
        rng: source of every choice.
        focus: where the light falls, as shares of width and height.

    Returns:
        A new RGB picture of the same size.
    """
    kind = rng.choices(tuple(LIGHTS), (5, 4, 3, 2.5, 1.5, 1.2))[0]
    shade, lit, fall = LIGHTS[kind]
    y, x = np.mgrid[0:GRID, 0:GRID] / (GRID - 1)
    fx, fy = focus[0] + rng.gauss(0, 0.08), focus[1] + rng.gauss(0, 0.08)
    reach = np.exp(-fall * (((x - fx) / 0.55) ** 2 + ((y - fy) / 0.62) ** 2))[..., None]
    field = np.array(shade) * (1 - reach) + np.array(lit) * reach
    field *= 1 - rng.uniform(0, 0.25) * (((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.5)[..., None] ** 1.4
    exposure = rng.uniform(1.0, 1.13)
    small = Image.fromarray((field * 255).clip(0, 255).round().astype(np.uint8))
    result = ImageChops.multiply(image, small.resize(image.size, Image.Resampling.BICUBIC))
    result = result.point([min(255, round(level * exposure)) for level in range(256)] * 3)
    haze = rng.choice((0, 0, 0, 14, 30))
    if haze:
        result = ImageChops.screen(result, Image.new("RGB", image.size, (haze, round(haze * 0.9), round(haze * 0.85))))
    if rng.random() < 0.12:
        result = result.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 1.5)))
    return _grain(result, rng, rng.choice((0.0, 0.0, 2.0, 3.0, 5.0)))


def _grain(image: Image.Image, rng: random.Random, strength: float) -> Image.Image:
    """Adds grey noise with a standard deviation of `strength` levels."""
    if strength == 0:
        return image
    noise = np.random.default_rng(rng.getrandbits(64)).standard_normal((image.height, image.width), dtype=np.float32)
    plane = Image.fromarray((128 + strength * noise).clip(0, 255).astype(np.uint8))
    return ImageChops.add(image, Image.merge("RGB", (plane,) * 3), 1.0, -128)
