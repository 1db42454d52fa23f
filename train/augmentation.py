"""Training pictures: first shrunk, always in the same way, then changed at random by one torchvision pipeline.

A picture keeps its aspect until it is cropped, and nothing of it is enlarged that was there in more detail. What is
random follows from a seed per picture, epoch and view, so a run is the same to the bit whatever the number of worker
processes, and wherever it is resumed.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from train.recipe import Recipe

# torchvision's RandomResizedCrop keeps the width over the height of its crops within these bounds.
_RATIO = (3 / 4, 4 / 3)
_CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))

Transform = Callable[[Image.Image], torch.Tensor]


class Shrink:
    """Shrinks a picture to the fewest pixels that `train_transform` needs; never enlarges it.

    Attributes:
        side: The shorter side of the result, in pixels; with the crop mode "squash" each side, with "border" the
            longer one, unless `min_scale` crops at random.
    """

    def __init__(self, recipe: Recipe, data_config: dict[str, Any]) -> None:
        """Takes the size of the pictures from the recipe, the interpolation from timm's `data_config`."""
        self.crop_mode = recipe.crop_mode if recipe.min_scale == 1 else "center"
        self.side = _canvas(recipe, max(recipe.image_size, *recipe.image_sizes, 0))
        if recipe.min_scale < 1:
            # The smallest crop of the most extreme shape has `image_size` pixels along its shorter side, too.
            self.side = math.ceil(self.side * math.sqrt(_RATIO[1] / recipe.min_scale))
        self.interpolation = v2.InterpolationMode(data_config["interpolation"])

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Returns an RGB picture as uint8 of shape (height, width, 3)."""
        width, height = image.size
        shorter, longer = sorted(image.size)
        # Rounded as timm's evaluation transform rounds, so that the results are the same to the bit.
        if self.crop_mode == "squash":
            size = [min(height, self.side), min(width, self.side)]
        elif self.crop_mode == "border":
            size = [round(edge * min(1.0, self.side / longer)) or 1 for edge in (height, width)]
        elif shorter > self.side:
            size = [int(self.side * edge / shorter) for edge in (height, width)]
        else:
            size = [height, width]
        return torch.from_numpy(np.array(v2.functional.resize(image, size, self.interpolation)))


def train_transform(recipe: Recipe, data_config: dict[str, Any], side: int) -> v2.Compose:
    """Returns what changes a training picture at random; torch's generator decides. Never upside down.

    Without turns, zooms, tilts, light and random crops, it gives the square that is seen in evaluation, mirrored or
    not; only where a square is cut from a longer picture, it is cut at a random place.

    Args:
        recipe: How far a picture may be changed.
        data_config: `interpolation` and `mean`, the colour beyond a picture's edge, as timm has them.
        side: Of the squares to make, in pixels.

    Returns:
        Shrunk RGB picture, uint8 of shape (3, height, width) -> uint8 of shape (3, side, side). Quickest where the
        colours of a pixel lie side by side in memory.
    """
    interpolation = v2.InterpolationMode(data_config["interpolation"])
    fill = tuple(round(255 * level) for level in data_config["mean"])
    canvas = _canvas(recipe, side)
    crop: list[Any]
    if recipe.min_scale < 1:
        crop = [v2.RandomResizedCrop(canvas, (recipe.min_scale, 1.0), _RATIO, interpolation)]
    elif recipe.crop_mode == "squash":
        crop = [v2.Resize([canvas, canvas], interpolation)]
    elif recipe.crop_mode == "border":
        crop = [v2.Lambda(partial(_fit_into_square, side=canvas, interpolation=interpolation, fill=fill))]
    else:
        crop = [v2.Resize(canvas, interpolation)]
    darkest = 1 - recipe.max_lighting
    return v2.Compose([
        *crop,
        v2.RandomHorizontalFlip(),
        RandomView(recipe, side, fill),
        v2.RandomApply([v2.ColorJitter(brightness=(darkest, 2 - darkest))], recipe.p_lighting),
        v2.RandomApply([v2.ColorJitter(contrast=(darkest, 1 / darkest))], recipe.p_lighting),
        # Zhong et al. 2017, "Random Erasing Data Augmentation".
        v2.RandomErasing(recipe.random_erasing, value=fill),
    ])  # fmt: skip


def apply_seeded(transform: v2.Compose, pixels: torch.Tensor, seed: int) -> torch.Tensor:
    """Applies a random transform that depends on `seed` alone, and leaves torch's generator as it was.

    Args:
        transform: From `train_transform`.
        pixels: A shrunk RGB picture, uint8 of shape (height, width, 3).
        seed: Of all that is random about the result.

    Returns:
        uint8 of shape (side, side, 3).
    """
    with torch.random.fork_rng(devices=[]):
        # Not `torch.manual_seed`: without a GPU it notes every call, with where it was made, for when one should come.
        torch.default_generator.manual_seed(seed)
        return transform(pixels.permute(2, 0, 1)).permute(1, 2, 0)


def _fit_into_square(
    pixels: torch.Tensor, side: int, interpolation: v2.InterpolationMode, fill: tuple[int, ...]
) -> torch.Tensor:
    """Does to a tensor what timm's crop mode "border" does to an image."""
    size = [round(edge * side / max(pixels.shape[1:])) or 1 for edge in pixels.shape[1:]]
    down, across = (side - edge for edge in size)
    padding = [across // 2, down // 2, across - across // 2, down - down // 2]
    return v2.functional.pad(v2.functional.resize(pixels, size, interpolation), padding, list(fill))


def _canvas(recipe: Recipe, side: int) -> int:
    """Returns the side of the square that `RandomView` looks at: large enough to zoom in without enlarging."""
    return math.ceil(side * recipe.max_zoom) if recipe.p_affine else side


class RandomView(v2.Transform):
    """Sees a square of a picture's shorter side, at a random place, tilted, zoomed and turned, in one resampling.

    As fastai's `get_transforms` does: the tilt is its symmetric warp, in which opposite edges grow or shrink about
    their middles. What lies beyond the square is the picture, and beyond that, one colour.
    """

    def __init__(self, recipe: Recipe, side: int, fill: tuple[int, ...]) -> None:
        """Takes the bounds from the recipe, the side of the result in pixels, and the colour beyond the picture."""
        super().__init__()
        self.max_rotate, self.max_zoom, self.max_warp = recipe.max_rotate, recipe.max_zoom, recipe.max_warp
        self.p_affine, self.side, self.fill = recipe.p_affine, side, fill

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Samples the square, and which of its points become the corners of the result."""
        height, width = v2.functional.get_size(flat_inputs[0])
        edge = min(width, height)
        left, top = (int(torch.randint(length - edge + 1, ())) for length in (width, height))
        return {"box": (left, top, left + edge, top + edge), "corners": self.sample_corners()}

    def sample_corners(self) -> list[tuple[float, float]]:
        """Samples the points of a square that become its corners, from -1 to 1 along each axis, clockwise."""
        corners = list(_CORNERS)
        if torch.rand(()) < self.p_affine:
            top, right, bottom, left = _uniform(4, -self.max_warp, self.max_warp)
            x_growth, y_growth = (top, top, bottom, bottom), (left, right, right, left)
            corners = [
                (x * (1 + grow_x), y * (1 + grow_y))
                for (x, y), grow_x, grow_y in zip(corners, x_growth, y_growth, strict=True)
            ]
        if torch.rand(()) < self.p_affine:
            scale = 1 / _uniform(1, 1.0, self.max_zoom)[0]
            shift_x, shift_y = _uniform(2, scale - 1, 1 - scale)
            corners = [(x * scale + shift_x, y * scale + shift_y) for x, y in corners]
        if torch.rand(()) < self.p_affine:
            angle = math.radians(_uniform(1, -self.max_rotate, self.max_rotate)[0])
            cosine, sine = math.cos(angle), math.sin(angle)
            corners = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in corners]
        return corners

    def transform(self, inpt: torch.Tensor, params: dict[str, Any]) -> torch.Tensor:
        """Returns the view, a square of `side` pixels."""
        left, top, right, bottom = params["box"]
        if params["corners"] == list(_CORNERS):
            return v2.functional.resize(inpt[:, top:bottom, left:right], [self.side, self.side])
        half = (right - left) / 2
        points = [(left + half * (1 + x), top + half * (1 + y)) for x, y in params["corners"]]
        coefficients = _homography([(self.side * (1 + x) / 2, self.side * (1 + y) / 2) for x, y in _CORNERS], points)
        # Pillow's takes a fraction of the time that torchvision's does on the CPU.
        image = Image.fromarray(inpt.permute(1, 2, 0).contiguous().numpy())
        view = image.transform(
            (self.side, self.side), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR,
            fillcolor=self.fill,
        )  # fmt: skip
        return torch.from_numpy(np.array(view)).permute(2, 0, 1)


def _uniform(count: int, low: float, high: float) -> list[float]:
    return torch.empty(count, dtype=torch.float64).uniform_(low, high).tolist()


def _homography(points: list[tuple[float, float]], images: list[tuple[float, float]]) -> list[float]:
    """Returns the eight coefficients of the homography that takes four points to four others, as Pillow has them."""
    rows: list[list[float]] = []
    for (x, y), (to_x, to_y) in zip(points, images, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -to_x * x, -to_x * y], [0, 0, 0, x, y, 1, -to_y * x, -to_y * y]]
    return np.linalg.solve(np.array(rows), np.array(images).flatten()).tolist()
