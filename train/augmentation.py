"""Training pictures are changed in batches, on the device that trains: one resampling for all moves, then the light.

A picture comes as a square of uint8, the whole of it, with what its crop mode needs to know of its shape. What is to
happen to it is drawn beforehand, from a seed of its own, as a row of numbers; so a run is the same to the bit whoever
does the work, in batches of whatever size.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import v2

_CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
_ASPECTS = (3 / 4, 4 / 3)
# Matrix of the view; brightness and contrast; the blotted rectangle's left, top, right and bottom.
_PARTS = (9, 2, 4)


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

    def draw(self, crop_mode: str, aspect: float, seed: int) -> torch.Tensor:
        """Draws what happens to a picture. Never upside down.

        Args:
            crop_mode: "center", "squash" or "border".
            aspect: The picture's width over its height.
            seed: All that is random follows from it.

        Returns:
            A row for `Augmenter`, float32 of shape (15,).
        """
        chance = random.Random(seed)
        view = self._crop(chance, crop_mode, aspect) @ _mirror(chance) @ _onto(self.draw_corners(chance))
        light, share = self.max_lighting, 1 - self.max_lighting
        brightness = chance.uniform(share, 1 + light) if chance.random() < self.p_lighting else 1.0
        contrast = chance.uniform(share, 1 / share) if chance.random() < self.p_lighting else 1.0
        blotted = _rectangle(chance) if chance.random() < self.random_erasing else (0.0, 0.0, 0.0, 0.0)
        return torch.tensor([*view.flatten(), brightness, contrast, *blotted], dtype=torch.float32)

    def draw_corners(self, chance: random.Random) -> list[tuple[float, float]]:
        """Draws which points of a square become its corners, from -1 to 1 along each axis, clockwise."""
        corners = list(_CORNERS)
        if chance.random() < self.p_affine:
            # Opposite edges grow or shrink about their middles, as fastai's symmetric warp does.
            top, right, bottom, left = (chance.uniform(-self.max_warp, self.max_warp) for _ in range(4))
            along_x, along_y = (top, top, bottom, bottom), (left, right, right, left)
            corners = [
                (x * (1 + more_x), y * (1 + more_y))
                for (x, y), more_x, more_y in zip(corners, along_x, along_y, strict=True)
            ]
        if chance.random() < self.p_affine:
            shrink = 1 / chance.uniform(1.0, self.max_zoom)
            to_x, to_y = (chance.uniform(shrink - 1, 1 - shrink) for _ in range(2))
            corners = [(x * shrink + to_x, y * shrink + to_y) for x, y in corners]
        if chance.random() < self.p_affine:
            angle = math.radians(chance.uniform(-self.max_rotate, self.max_rotate))
            cosine, sine = math.cos(angle), math.sin(angle)
            corners = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in corners]
        return corners

    def _crop(self, chance: random.Random, crop_mode: str, aspect: float) -> np.ndarray:
        """Returns which part of the picture is seen, as a matrix of shape (3, 3)."""
        if self.min_scale < 1:
            # As torchvision's RandomResizedCrop does: ten tries, then as much as can be seen of it.
            for _ in range(10):
                scale = chance.uniform(self.min_scale, 1.0)
                ratio = math.exp(chance.uniform(*map(math.log, _ASPECTS)))
                width, height = math.sqrt(scale * ratio / aspect), math.sqrt(scale * aspect / ratio)
                if width <= 1 and height <= 1:
                    return _window(chance, width, height)
            ratio = min(max(aspect, _ASPECTS[0]), _ASPECTS[1])
            return _window(chance, min(1.0, ratio / aspect), min(1.0, aspect / ratio))
        if crop_mode == "center":
            return _window(chance, min(1.0, 1 / aspect), min(1.0, aspect))
        if crop_mode == "border":
            return np.diag([max(1.0, 1 / aspect), max(1.0, aspect), 1.0])
        return np.eye(3)


def _window(chance: random.Random, width: float, height: float) -> np.ndarray:
    """Returns the matrix of a part of the picture, at a random place; sizes are shares of the picture's."""
    x, y = chance.uniform(width - 1, 1 - width), chance.uniform(height - 1, 1 - height)
    return np.array([[width, 0, x], [0, height, y], [0, 0, 1]])


def _mirror(chance: random.Random) -> np.ndarray:
    return np.diag([-1.0 if chance.random() < 0.5 else 1.0, 1.0, 1.0])


def _onto(corners: list[tuple[float, float]]) -> np.ndarray:
    """Returns the homography, of shape (3, 3), that takes the square's corners to these points."""
    rows, right = [], []
    for (x, y), (to_x, to_y) in zip(_CORNERS, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -to_x * x, -to_x * y], [0, 0, 0, x, y, 1, -to_y * x, -to_y * y]]
        right += [to_x, to_y]
    return np.append(np.linalg.solve(np.array(rows), np.array(right)), 1.0).reshape(3, 3)


def _rectangle(chance: random.Random) -> tuple[float, float, float, float]:
    """Draws 2 to 33 % of a square, 0 to 1 along each axis: left, top, right, bottom; torchvision's bounds."""
    area, ratio = chance.uniform(0.02, 0.33), math.exp(chance.uniform(math.log(0.3), math.log(3.3)))
    width, height = min(1.0, math.sqrt(area * ratio)), min(1.0, math.sqrt(area / ratio))
    left, top = chance.uniform(0, 1 - width), chance.uniform(0, 1 - height)
    return left, top, left + width, top + height


def square_transform(data_config: dict[str, Any], side: int) -> Callable[[Image.Image], torch.Tensor]:
    """Returns what makes the whole of an RGB picture a square: uint8 of shape (3, side, side).

    Args:
        data_config: Its `interpolation` is used.
        side: In pixels.
    """
    how = v2.InterpolationMode(data_config["interpolation"])
    return v2.Compose([v2.Resize([side, side], how, antialias=True), v2.PILToTensor()])


def square_side(side: int, min_scale: float) -> int:
    """Returns the side of the squares from which training pictures of `side` pixels are made.

    The smallest crops are enlarged as much as whole pictures are shrunk, which resampling does without smoothing.
    """
    return math.ceil(side * min_scale**-0.25)


class Augmenter:
    """Makes what a model trains on out of squares and what was drawn for them.

    Attributes:
        side: Of the pictures it makes, in pixels; may be changed between batches.
    """

    def __init__(self, data_config: dict[str, Any]) -> None:
        """Takes `input_size`, `mean` and `std`."""
        self.side: int = data_config["input_size"][1]
        self.mean, self.std = list(data_config["mean"]), list(data_config["std"])

    def __call__(self, squares: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        """Changes a batch of pictures.

        Args:
            squares: uint8 of shape (batch, 3, any side, the same).
            changes: Float32 of shape (batch, 15), from `Augmentation.draw`, on the same device.

        Returns:
            Float32 of shape (batch, 3, side, side), normalised. What lies beyond a picture has the mean colour.
        """
        matrices, light, blotted = changes.split(_PARTS, 1)
        fill = torch.tensor(self.mean, device=squares.device)[:, None, None]
        images = squares.float().div_(255).sub_(fill)
        grid = _grid(matrices.view(-1, 3, 3), self.side)
        images = F.grid_sample(images, grid, "bilinear", "zeros", align_corners=False).add_(fill)
        brightness, contrast = light[:, :, None, None, None].unbind(1)
        images.mul_(brightness).clamp_(0, 1)
        grey = v2.functional.rgb_to_grayscale(images).mean((1, 2, 3), keepdim=True)
        images.sub_(grey).mul_(contrast).add_(grey).clamp_(0, 1)
        return v2.functional.normalize(images, self.mean, self.std, inplace=True).masked_fill_(
            _inside(blotted, self.side), 0.0
        )


def _middles(side: int, device: torch.device) -> torch.Tensor:
    """Returns where the middles of pixels lie, from -1 to 1."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1


def _grid(matrices: torch.Tensor, side: int) -> torch.Tensor:
    """Returns where each pixel looks, float32 of shape (batch, side, side, 2), for homographies (batch, 3, 3)."""
    middles = _middles(side, matrices.device)
    x, y = middles[None, :], middles[:, None]
    of_x, of_y, of_one = matrices[:, :, :, None, None].unbind(2)
    to = of_x * x + (of_y * y + of_one)
    return (to[:, :2] / to[:, 2:]).permute(0, 2, 3, 1)


def _inside(rectangles: torch.Tensor, side: int) -> torch.Tensor:
    """Returns a mask, (batch, 1, side, side), of rectangles, (batch, 4), given from 0 to 1."""
    at = (_middles(side, rectangles.device) + 1) / 2
    left, top, right, bottom = rectangles[:, :, None].unbind(1)
    columns, rows = (at >= left) & (at < right), (at >= top) & (at < bottom)
    return (columns[:, None, :] & rows[:, :, None])[:, None]
