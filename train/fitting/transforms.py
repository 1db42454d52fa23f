"""A picture becomes a tensor: once for judging, many ways for training."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from timm.data import create_transform
from timm.data.transforms import CenterCropOrPad, ResizeKeepRatio
from torchvision.transforms import v2

Transform = Callable[[Image.Image], torch.Tensor]
_CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))


@dataclass(frozen=True)
class Augmentation:
    """How far a training picture may be changed; the defaults are those of fastai v1's `get_transforms`.

    Attributes:
        min_scale: Smallest share of the area that a random crop keeps, above 0 to 1; at 1 a picture becomes a
            square as in judging, but for a centre crop, which is cut at random.
        max_rotate: Largest turn to either side, in degrees.
        max_zoom: Largest zoom, towards a random point; 1 or more.
        max_warp: Largest tilt of the camera: how far an edge grows or shrinks, 0 to 1.
        p_affine: Probability of each of turn, zoom and tilt.
        max_lighting: Largest change of brightness and of contrast, 0 to 1.
        p_lighting: Probability of each of the two.
        random_erasing: Probability that a random rectangle is blotted out (Zhong 2017).
    """

    min_scale: float = 1.0
    max_rotate: float = 10.0
    max_zoom: float = 1.1
    max_warp: float = 0.2
    p_affine: float = 0.75
    max_lighting: float = 0.2
    p_lighting: float = 0.75
    random_erasing: float = 0.0


def eval_transform(data_config: dict[str, Any]) -> Transform:
    """Returns timm's evaluation transform: what every loader of the model folder applies, too.

    Args:
        data_config: `input_size`, `interpolation`, `crop_pct`, `crop_mode`, `mean`, `std`, as timm has them.

    Returns:
        RGB picture -> float32 of shape `input_size`, normalised.
    """
    return create_transform(**data_config, is_training=False)


def train_transform(data_config: dict[str, Any], augmentation: Augmentation) -> Transform:
    """Returns crops, mirror images, turns, zooms, tilts and changes of light. Never upside down.

    Args:
        data_config: As for `eval_transform`.
        augmentation: How far each goes.
    """
    light, share = augmentation.max_lighting, 1 - augmentation.max_lighting
    return v2.Compose(
        [
            *_to_square(data_config, augmentation.min_scale),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            RandomWarp(augmentation, _grey(data_config)),
            v2.RandomApply([v2.ColorJitter(brightness=light)], augmentation.p_lighting),
            v2.RandomApply([v2.ColorJitter(contrast=(share, 1 / share))], augmentation.p_lighting),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(data_config["mean"], data_config["std"]),
            v2.RandomErasing(augmentation.random_erasing),
        ]
    )


def _grey(data_config: dict[str, Any]) -> list[int]:
    return [round(255 * value) for value in data_config["mean"]]


def _to_square(data_config: dict[str, Any], min_scale: float) -> list[Any]:
    size = list(data_config["input_size"][1:])
    how = v2.InterpolationMode(data_config["interpolation"])
    if min_scale < 1:
        return [v2.RandomResizedCrop(size, (min_scale, 1.0), (3 / 4, 4 / 3), how, antialias=True)]
    if data_config["crop_mode"] == "squash":
        return [v2.Resize(size, how, antialias=True)]
    if data_config["crop_mode"] == "border":
        return [
            ResizeKeepRatio(size, longest=1.0, interpolation=data_config["interpolation"]),
            CenterCropOrPad(size, fill=tuple(_grey(data_config))),
        ]
    return [v2.Resize(size[0], how, antialias=True), v2.RandomCrop(size)]


class RandomWarp(torch.nn.Module):
    """Turns, zooms and tilts a picture, in one resampling: every step of its own would blur it anew.

    Each of the three comes with probability `p_affine`. What lies beyond the picture is filled with grey.
    """

    def __init__(self, augmentation: Augmentation, fill: list[int]) -> None:
        """Takes the bounds from `augmentation`; `fill` is RGB, 0 to 255."""
        super().__init__()
        self.augmentation, self.fill = augmentation, fill

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns the picture, uint8 of shape (3, height, width), seen from elsewhere."""
        source = self.draw_corners()
        if source == list(_CORNERS):
            return image
        height, width = image.shape[-2:]
        start, end = (
            [[(x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)] for x, y in corners]
            for corners in (source, _CORNERS)
        )
        return v2.functional.perspective(image, start, end, v2.InterpolationMode.BILINEAR, fill=self.fill)

    def draw_corners(self) -> list[tuple[float, float]]:
        """Draws which points of the picture become its corners, from -1 to 1 along each axis, clockwise."""
        bounds, corners = self.augmentation, list(_CORNERS)
        if self._chance():
            # Opposite edges grow or shrink about their middles, as fastai's symmetric warp does.
            top, right, bottom, left = (_uniform(-bounds.max_warp, bounds.max_warp) for _ in range(4))
            along_x, along_y = (top, top, bottom, bottom), (left, right, right, left)
            corners = [
                (x * (1 + more_x), y * (1 + more_y))
                for (x, y), more_x, more_y in zip(corners, along_x, along_y, strict=True)
            ]
        if self._chance():
            shrink = 1 / _uniform(1.0, bounds.max_zoom)
            to_x, to_y = (_uniform(shrink - 1, 1 - shrink) for _ in range(2))
            corners = [(x * shrink + to_x, y * shrink + to_y) for x, y in corners]
        if self._chance():
            angle = math.radians(_uniform(-bounds.max_rotate, bounds.max_rotate))
            cosine, sine = math.cos(angle), math.sin(angle)
            corners = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in corners]
        return corners

    def _chance(self) -> bool:
        return _uniform(0.0, 1.0) < self.augmentation.p_affine


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * torch.rand(()).item()
