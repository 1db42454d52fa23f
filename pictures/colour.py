"""Colours: whatever a decoder gives becomes 8-bit sRGB, as a screen would show it on white paper."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from pictures import RefusedError

# Levels of 255. A profile that moves no colour further than this is sRGB under one of its many names.
_INVISIBLE = 2


def srgb_on_white(image: Image.Image) -> Image.Image:
    """Turns a decoded picture of any mode into RGB.

    16 bits are scaled to 8; an embedded ICC profile is converted to sRGB, a broken one passed over; what is
    transparent becomes white.

    Args:
        image: The picture as Pillow decoded it.

    Returns:
        The picture in mode RGB, colours in sRGB; `image` itself where nothing is to be done.

    Raises:
        RefusedError: The brightness has no scale: whole numbers of 32 bits, or fractions beyond 0 to 1.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = _from_16_bits(image)
    elif image.mode in ("I", "F"):
        image = _from_fractions(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("RGB") if image.mode != "RGB" else image
    if profile:
        image = _by_profile(image, profile)
    image = image.convert("RGB") if image.mode != "RGB" else image
    if alpha is None:
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)
    grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
    if (transparent := image.info.get("transparency")) is not None:
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _from_fractions(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    lowest, highest = values.min(), values.max()
    # Written so that NaN fails, too.
    if image.mode == "I" or not (lowest >= 0 and highest <= 1):
        raise RefusedError("unknown brightness scale", f"values from {lowest} to {highest}")
    return Image.fromarray((values * 255).round().astype(np.uint8))


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    # Grey pictures often carry a profile for RGB.
    for mode in dict.fromkeys((image.mode, "RGB")) if image.mode == "L" else (image.mode,):
        if transform := _transform_to_srgb(profile, mode):
            return ImageCms.applyTransform(image.convert(mode), transform) or image
    return image


@lru_cache(maxsize=8)
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns None where there is nothing to convert: a broken profile, one of another mode, or sRGB."""
    try:
        transform = ImageCms.buildTransform(io.BytesIO(profile), ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:
        return None
    if mode == "RGB":
        levels = np.linspace(0, 255, 18).astype(np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
        converted = ImageCms.applyTransform(Image.fromarray(colours), transform)
        if np.abs(np.asarray(converted).astype(int) - colours).max() <= _INVISIBLE:
            return None
    return transform
