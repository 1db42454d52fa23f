"""Grad-CAM (Selvaraju et al. 2017): where in a picture a model sees what speaks for a class."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from torch import nn

from figures import mpl
from train.loaders import eval_transform

_COLORS = mpl.colormaps["inferno"]
_SIDE = 320


class NoMapError(ValueError):
    """The last layer of an architecture gives no map of the picture."""


def grad_cam(model: Any, pixel_values: torch.Tensor, classes: torch.Tensor) -> np.ndarray:
    """Computes where a model sees, in each picture, what speaks for a class.

    Args:
        model: A timm model in evaluation mode: convolutional, or a transformer whose tokens lie on a grid.
        pixel_values: Prepared pictures, float32 of shape (pictures, 3, height, width).
        classes: The class to explain in each, int64 of shape (pictures,).

    Returns:
        Float32 of shape (pictures, height, width), 1 where most speaks for the class; all 0 where nothing does.

    Raises:
        NoMapError: The last layer's output is no map.
    """
    # Not before matplotlib, which it imports as well and which asks for more care (see `figures`).
    from captum.attr import LayerAttribution, LayerGradCam

    height, width = pixel_values.shape[2:]
    # Named by timm for every architecture.
    last = model.feature_info[-1]
    layer = model.get_submodule(last["module"])
    if getattr(model, "global_pool", None) == "token" and hasattr(layer, "norm1"):
        # Only the class token leaves the last block; what the other tokens hold enters it here.
        layer = layer.norm1
    reduction = last["reduction"]
    probe = _MapProbe(last["num_chs"], math.ceil(height / reduction), math.ceil(width / reduction))
    hook = layer.register_forward_hook(lambda module, inputs, output: probe(output))
    try:
        maps = LayerGradCam(model, probe.map).attribute(
            pixel_values.to(next(model.parameters()).device),
            target=classes.to(next(model.parameters()).device),
            relu_attributions=True,
        )
    finally:
        hook.remove()
    maps = LayerAttribution.interpolate(maps.detach().float(), (height, width), "bicubic")[:, 0].clamp(min=0)
    highest = maps.amax((1, 2), keepdim=True)
    return (maps / highest.where(highest > 0, 1)).cpu().numpy()


class _MapProbe(nn.Module):
    """Hands a layer's output to captum as a map with channels first, and returns it in its own layout."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.channels, self.height, self.width = channels, height, width
        self.map = nn.Identity()

    def forward(self, output: Any) -> torch.Tensor:
        cells = self.height * self.width
        if not isinstance(output, torch.Tensor):
            raise NoMapError(f"the last layer gives {type(output).__name__}, no map of the picture")
        if output.ndim == 4 and output.shape[1] == self.channels:
            # What comes next may work in place.
            return self.map(output).clone()
        if output.ndim == 4 and output.shape[3] == self.channels:
            return self.map(output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        if output.ndim == 3 and output.shape[2] == self.channels and output.shape[1] >= cells:
            # Class and register tokens come first.
            extra, tokens = output.split([output.shape[1] - cells, cells], 1)
            mapped = self.map(tokens.transpose(1, 2).unflatten(2, (self.height, self.width)))
            return torch.cat([extra, mapped.flatten(2).transpose(1, 2)], 1)
        raise NoMapError(f"the last layer gives {tuple(output.shape)}, no map of {self.height} x {self.width} cells")


def overlay(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """Lays a map over a picture, which loses its colours where the map is cold.

    Args:
        picture: RGB.
        heat: 0 to 1, of any shape (height, width); it is stretched over the whole picture.
    """
    stretched = Image.fromarray((heat * 255).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    share = np.asarray(stretched, np.float32)[..., None] / 255
    grey = np.asarray(picture.convert("L"), np.float32)[..., None] * 0.8
    hot = _COLORS(0.2 + 0.64 * share[..., 0])[..., :3].astype(np.float32) * 255
    strength = 0.75 * share**1.25
    mixed = grey * (1 - strength) + hot * strength
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


@dataclass(frozen=True)
class ClassMap:
    """What speaks for a class in a picture.

    Attributes:
        label: The class.
        prob: Its probability, 0 to 1.
        image: The picture with the map over it.
    """

    label: int
    prob: float
    image: Image.Image


@dataclass(frozen=True)
class Explanation:
    """An answer, explained.

    Attributes:
        label: The true class.
        image: What the model sees of the picture.
        maps: For the answer, and, where that is wrong, for the true class.
    """

    label: int
    image: Image.Image
    maps: list[ClassMap]

    @property
    def is_right(self) -> bool:
        """Whether the answer is the true class."""
        return self.maps[0].label == self.label


def explain(model: Any, picture: Image.Image, label: int, probs: np.ndarray) -> Explanation:
    """Explains an answer with Grad-CAM.

    Args:
        model: The timm model that gave it, in evaluation mode.
        picture: Upright RGB, of any size.
        label: The true class.
        probs: The answer, of shape (classes,).

    Raises:
        NoMapError: The model's architecture allows none.
    """
    data_config = timm.data.resolve_model_data_config(model)
    labels = list(dict.fromkeys([int(probs.argmax()), label]))
    pixel_values = eval_transform(data_config)(picture)
    maps = grad_cam(model, pixel_values.expand(len(labels), -1, -1, -1), torch.tensor(labels))
    if data_config["crop_mode"] == "squash":
        # All of it, in another shape: the right one is easier to read.
        view = picture
    else:
        mean, std = (torch.tensor(data_config[key]).view(3, 1, 1) for key in ("mean", "std"))
        pixels = (pixel_values * std + mean).clamp(0, 1).mul(255).byte().permute(1, 2, 0).numpy()
        view = Image.fromarray(pixels)
    view = ImageOps.contain(view, (_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return Explanation(
        label, view, [ClassMap(n, float(probs[n]), overlay(view, heat)) for n, heat in zip(labels, maps, strict=True)]
    )
