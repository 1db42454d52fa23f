import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from train.loaders import FromPixels, eval_transform, pixel_transform


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(90, 61), (40, 64), (224, 300)])
def test_the_model_sees_the_same_bits_as_with_the_plain_transform(crop_mode: str, size: tuple[int, int]) -> None:
    data_config = {
        "input_size": (3, 64, 64),
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "crop_mode": crop_mode,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    }
    noise = np.random.default_rng(0).integers(0, 256, (2, size[1], size[0], 3), np.uint8)
    pictures = [Image.fromarray(values) for values in noise]
    pixels = torch.stack([pixel_transform(data_config)(picture) for picture in pictures])
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (2, 64, 64, 3))
    seen = FromPixels(nn.Identity(), data_config)(pixels)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    expected = torch.stack([eval_transform(data_config)(picture) for picture in pictures])
    assert torch.equal(seen, expected)
