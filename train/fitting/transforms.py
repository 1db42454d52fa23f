"""A picture becomes a tensor: once for judging, many ways for training."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from timm.data import create_transform
from torchvision.transforms import v2

Transform = Callable[[Image.Image], torch.Tensor]


def eval_transform(data_config: dict[str, Any]) -> Transform:
    """Returns timm's evaluation transform: what every loader of the model folder applies, too.

    Args:
        data_config: `input_size`, `interpolation`, `crop_pct`, `crop_mode`, `mean`, `std`, as timm has them.

    Returns:
        RGB picture -> float32 of shape `input_size`, normalised.
    """
    return create_transform(**data_config, is_training=False)


def train_transform(data_config: dict[str, Any], min_scale: float) -> Transform:
    """Returns random crops, mirror images, small turns and changes of light. Never upside down.

    Args:
        data_config: As for `eval_transform`; size, mean and std are used.
        min_scale: Smallest share of the area that a crop keeps, above 0 to 1.
    """
    size = data_config["input_size"][1:]
    grey = [round(255 * value) for value in data_config["mean"]]
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(min_scale, 1.0), ratio=(3 / 4, 4 / 3), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.RandomApply([v2.RandomRotation(10, v2.InterpolationMode.BILINEAR, fill=grey)], p=0.75),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.2, hue=0.02),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(data_config["mean"], data_config["std"]),
        ]
    )
