from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pictures import RefusedError
from pictures.colour import srgb_on_white
from pictures.decoding import decode

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# What it calls red is the green of sRGB.
SWAPPED = SRGB.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")


def _colour(image: Image.Image) -> tuple[int, ...]:
    shown = srgb_on_white(image)
    assert shown.mode == "RGB"
    return tuple(np.asarray(shown).reshape(-1, 3).astype(int).mean(axis=0).round().astype(int).tolist())


def _plain(mode: str, colour: object, profile: bytes | None = None) -> Image.Image:
    image = Image.new(mode, (40, 40), colour)  # type: ignore[arg-type]
    if profile is not None:
        image.info["icc_profile"] = profile
    return image


@pytest.mark.parametrize(
    ("mode", "colour", "shown"),
    [
        ("RGB", (200, 30, 30), (200, 30, 30)), ("L", 90, (90, 90, 90)), ("1", 1, (255, 255, 255)),
        ("LA", (90, 255), (90, 90, 90)), ("LA", (90, 0), (255, 255, 255)), ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("RGBa", (0, 0, 0, 128), (127, 127, 127)), ("PA", (0, 0), (255, 255, 255)), ("RGBX", (9, 8, 7, 0), (9, 8, 7)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)), ("YCbCr", (76, 85, 255), (254, 0, 0)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("I;16", 25700, (100, 100, 100)), ("I;16B", 25700, (100, 100, 100)), ("F", 0.5, (128, 128, 128)),
    ],
)  # fmt: skip
def test_every_mode_becomes_rgb_on_white(mode: str, colour: object, shown: tuple[int, ...]) -> None:
    assert _colour(_plain(mode, colour)) == shown


def test_rgb_without_a_profile_is_not_copied() -> None:
    image = _plain("RGB", "red")
    assert srgb_on_white(image) is image


def test_a_transparent_colour_or_entry_becomes_white() -> None:
    for mode, colour, transparent in (("P", 3, 3), ("P", 1, b"\xff\0"), ("L", 7, 7), ("I;16", 700, 700)):
        image = _plain(mode, colour)
        image.info["transparency"] = transparent
        assert _colour(image) == (255, 255, 255)
    image = _plain("RGB", (9, 8, 7))
    image.info["transparency"] = (9, 8, 7)
    assert _colour(image) == (255, 255, 255)


def test_lab_is_converted() -> None:
    lab = ImageCms.profileToProfile(
        _plain("RGB", (200, 30, 30)), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert np.abs(np.array(_colour(lab)) - (200, 30, 30)).max() <= 2


def test_a_profile_is_converted_to_srgb() -> None:
    red, green, blue = _colour(_plain("RGB", (220, 20, 20), SWAPPED))
    assert green > 200 > 60 > max(red, blue)
    # Also under transparency, and from a palette.
    red, green, blue = _colour(_plain("RGBA", (220, 20, 20, 255), SWAPPED))
    assert green > 200 > 60 > max(red, blue)
    palette = _plain("RGB", (220, 20, 20), SWAPPED).quantize(4)
    palette.info["icc_profile"] = SWAPPED
    red, green, blue = _colour(palette)
    assert green > 200 > 60 > max(red, blue)
    # Of grey, a profile for RGB keeps its greys.
    assert np.abs(np.array(_colour(_plain("L", 90, SWAPPED))) - 90).max() <= 2


@pytest.mark.parametrize("profile", [SRGB, b"", b"garbage", SRGB[:200], SRGB.replace(b"RGB ", b"CMYK")])
def test_srgb_and_broken_profiles_leave_the_pixels(profile: bytes) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    image = Image.fromarray(levels)
    image.info["icc_profile"] = profile
    assert (np.asarray(srgb_on_white(image)) == levels).all()


@pytest.mark.parametrize(("mode", "value"), [("I", 70_000), ("F", -1.0), ("F", 255.0), ("F", float("nan"))])
def test_brightness_without_a_scale_is_refused(mode: str, value: float) -> None:
    with pytest.raises(RefusedError, match=r"unknown brightness scale .values from"):
        srgb_on_white(_plain(mode, value))


def test_an_inverted_cmyk_jpeg_of_adobe_shows_its_colours(tmp_path: Path) -> None:
    _plain("CMYK", (0, 200, 200, 20)).save(tmp_path / "adobe.jpg", quality=95)
    assert b"Adobe" in (tmp_path / "adobe.jpg").read_bytes()
    red, green, blue = _colour(decode((tmp_path / "adobe.jpg").read_bytes()).image)
    assert red > 220
    assert max(green, blue) < 70
