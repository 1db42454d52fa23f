from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from timm.data import create_transform

from train.export.onnx_graph import NoGraphError, raw_pixels_graph

SIDE = 64
STD = (0.229, 0.224, 0.225)
# Height, width: a line, smaller than what the network sees, halves in every rounding.
SIZES = [(16, 500), (500, 16), (30, 20), (63, 65), (64, 64), (101, 64), (127, 301), (251, 100), (33, 77), (600, 401)]


def _data_config(**changes: Any) -> dict[str, Any]:
    mean = (0.485, 0.456, 0.406)
    config = {"input_size": (3, SIDE, SIDE), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "squash"}
    return {**config, "mean": mean, "std": STD, **changes}


def _differences(data_config: dict[str, Any], sizes: list[tuple[int, int]]) -> np.ndarray:
    """Compares with timm's transform, in levels of 255."""
    session = onnxruntime.InferenceSession(raw_pixels_graph(data_config).SerializeToString())
    transform = create_transform(**data_config, is_training=False)
    random, found = np.random.default_rng(8), []
    for size in sizes:
        image = random.integers(0, 256, (*size, 3), np.uint8)
        ours, timms = session.run(None, {"image": image})[0][0], transform(Image.fromarray(image)).numpy()
        assert ours.shape == timms.shape == (3, SIDE, SIDE)
        found.append(np.abs(ours - timms) * 255 * np.array(STD)[:, None, None])
    return np.stack(found)


@pytest.mark.parametrize("crop_pct", [1.0, 0.95, 0.875])
@pytest.mark.parametrize("crop_mode", ["squash", "center", "border"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_it_prepares_noise_of_any_size_as_timm_does(interpolation: str, crop_mode: str, crop_pct: float) -> None:
    config = _data_config(interpolation=interpolation, crop_mode=crop_mode, crop_pct=crop_pct)
    levels = _differences(config, SIZES)
    most, often = {"bicubic": (1.02, 0.002), "bilinear": (2.02, 0.04)}[interpolation]
    assert levels.max() < most
    assert (levels > 0.01).mean() < often


@pytest.mark.parametrize("crop_mode", ["squash", "center"])
def test_a_line_of_a_single_pixel(crop_mode: str) -> None:
    assert _differences(_data_config(crop_mode=crop_mode), [(1, 1000), (1000, 1)]).max() < 1.02


def test_where_timm_leaves_no_pixel_one_is_left() -> None:
    config = _data_config(crop_mode="border")
    with pytest.raises(ValueError, match="must be > 0"):
        create_transform(**config, is_training=False)(Image.new("RGB", (1000, 1)))
    session = onnxruntime.InferenceSession(raw_pixels_graph(config).SerializeToString())
    pixels = session.run(None, {"image": np.full((1, 1000, 3), 255, np.uint8)})[0]
    # White in a line, the mean colour around it.
    np.testing.assert_allclose(pixels[0, 0, [0, 31, 63], 32], [0, 2.25, 0], atol=0.01)


def test_an_interpolation_that_onnx_lacks_is_named() -> None:
    with pytest.raises(NoGraphError, match="no lanczos interpolation, only bicubic and bilinear"):
        raw_pixels_graph(_data_config(interpolation="lanczos"))
