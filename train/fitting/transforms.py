"""How a picture is prepared for judging."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from timm.data import create_transform

Transform = Callable[[Image.Image], torch.Tensor]


def eval_transform(data_config: dict[str, Any]) -> Transform:
    """Returns timm's evaluation transform: what every loader of the model folder applies, too.

    Args:
        data_config: `input_size`, `interpolation`, `crop_pct`, `crop_mode`, `mean`, `std`, as timm has them.

    Returns:
        RGB picture -> float32 of shape `input_size`, normalised.
    """
    return create_transform(**data_config, is_training=False)
