import io
import math

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image
from timm.data import create_transform

from demo.telling.heatmap import _COLOURS, colour, lay_over
from model_folder.facts import Crop, read_crop


def _crop(mode: str, pct: float = 1.0, size: int = 64) -> Crop:
    return Crop(size, size, pct, mode)


@pytest.mark.parametrize("mode", ["squash", "center", "border"])
@pytest.mark.parametrize("pct", [1.0, 0.875])
@pytest.mark.parametrize("size", [(300, 200), (120, 260), (90, 90)])
def test_a_spot_lies_where_the_model_saw_it(mode: str, pct: float, size: tuple[int, int]) -> None:
    """A white disc in a black picture, seen through timm's own transform, comes back to where it was."""
    width, height = size
    x, y = 0.42 * width, 0.6 * height
    rows, columns = np.mgrid[:height, :width]
    picture = np.where(np.hypot(columns - x, rows - y) < 0.1 * min(size), 255, 0).astype(np.uint8)
    transform = create_transform((3, 64, 64), crop_pct=pct, crop_mode=mode, mean=(0, 0, 0), std=(1, 1, 1))
    view = transform(Image.fromarray(picture).convert("RGB"))[0].numpy()
    # What a last feature map of eight by eight cells would hold of it.
    heatmap = view.reshape(8, 8, 8, 8).mean((1, 3))
    crop = _crop(mode, pct)
    spread = lay_over(heatmap / heatmap.max(), size, crop)
    weight = np.nan_to_num(spread) ** 2
    # By the picture's sides; a cell is an eighth of the view.
    left, top, right, bottom = crop.view(*size)
    for axis, (expected, cell) in enumerate([(x / width, (right - left) / 8), (y / height, (bottom - top) / 8)]):
        along = weight.sum(axis)
        found = (along * (np.arange(len(along)) + 0.5) / len(along)).sum() / along.sum()
        assert found == pytest.approx(expected, abs=0.25 * cell)


def test_what_was_cut_off_is_unknown() -> None:
    spread = lay_over(np.ones((7, 7), np.float32), (200, 100), _crop("center"))
    assert spread.shape == (48, 96)
    assert np.isnan(spread[:, :24]).all()
    assert np.isnan(spread[:, -24:]).all()
    assert spread[:, 24:72] == pytest.approx(1)


@pytest.mark.parametrize("mode", ["squash", "border"])
def test_nothing_is_cut_off_where_the_whole_picture_was_seen(mode: str) -> None:
    spread = lay_over(np.ones((7, 7), np.float32), (100, 200), _crop(mode))
    assert spread.shape == (96, 48)
    assert spread == pytest.approx(1)


def test_a_map_stays_within_its_bounds_and_a_map_of_one_cell_is_flat() -> None:
    noise = np.random.default_rng(8).random((4, 4), np.float32)
    spread = lay_over(noise, (50, 70), _crop("squash"))
    assert spread.min() >= 0
    assert spread.max() <= 1
    assert lay_over(np.array([[0.5]], np.float32), (50, 70), _crop("squash")) == pytest.approx(0.5)


def test_colours_are_those_of_inferno_and_brighter_is_more() -> None:
    inferno = colormaps["inferno"](np.linspace(0.2, 1, len(_COLOURS)))[:, :3] * 255
    assert np.abs(inferno - _COLOURS).max() < 1
    ramp = np.linspace(0, 1, 96, dtype=np.float32)[None].repeat(4, 0)
    with Image.open(io.BytesIO(colour(ramp))) as image:
        rgba = np.asarray(image.convert("RGBA")).astype(float)[0]
    lightness = rgba[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1).all()
    assert (np.diff(rgba[:, 3]) >= 0).all()


def test_the_unseen_has_a_grey_that_the_scale_has_not() -> None:
    png = colour(np.array([[0, 1, math.nan]], np.float32))
    assert len(png) < 3000
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGBA"))[0]
    assert len(set(pixels[2][:3].tolist())) == 1
    assert len(set(pixels[0][:3].tolist())) > 1


def test_a_crop_is_read_from_the_config_with_timms_defaults() -> None:
    told = {"input_size": [3, 96, 128], "crop_pct": 0.9, "crop_mode": "border"}
    assert read_crop({"pretrained_cfg": told}) == Crop(96, 128, 0.9, "border")
    assert read_crop({"pretrained_cfg": {"input_size": [3, 96, 96]}}) == Crop(96, 96, 0.875, "center")
