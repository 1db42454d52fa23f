"""Grad-CAM: which parts of a picture speak for an answer (Selvaraju et al. 2017), computed by captum."""

import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from figures import mpl

_COLORS = mpl.colormaps["inferno"]


class NoMapError(ValueError):
    """An architecture whose last layer gives no map of the picture."""


def grad_cam(model: Any, pixel_values: torch.Tensor, classes: torch.Tensor) -> np.ndarray:
    """Computes where, in each picture, the model sees what speaks for a class.

    Args:
        model: A timm model in evaluation mode: convolutional, or a transformer whose tokens are places.
        pixel_values: Prepared pictures, float32 of shape (pictures, 3, height, width).
        classes: The class to explain in each, int64 of shape (pictures,).

    Returns:
        Float32 of shape (pictures, height, width), each from 0 to 1 where most speaks for the class; all 0 where
        nothing does.

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
        # Only the class token leaves the last block; what the places say enters it here.
        layer = layer.norm1
    reduction = last["reduction"]
    spot = _MapSpot(last["num_chs"], math.ceil(height / reduction), math.ceil(width / reduction))
    hook = layer.register_forward_hook(lambda module, inputs, output: spot(output))
    try:
        maps = LayerGradCam(model, spot.map).attribute(
            pixel_values.to(next(model.parameters()).device),
            target=classes.to(next(model.parameters()).device),
            relu_attributions=True,
        )
    finally:
        hook.remove()
    maps = LayerAttribution.interpolate(maps.detach().float(), (height, width), "bicubic")[:, 0].clamp(min=0)
    highest = maps.amax((1, 2), keepdim=True)
    return (maps / highest.where(highest > 0, 1)).cpu().numpy()


class _MapSpot(nn.Module):
    """Shows captum a layer's output as a map with channels first, and passes it on as it was."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.channels, self.height, self.width = channels, height, width
        self.map = nn.Identity()

    def forward(self, output: Any) -> torch.Tensor:
        places = self.height * self.width
        if not isinstance(output, torch.Tensor):
            raise NoMapError(f"the last layer gives {type(output).__name__}, no map of the picture")
        if output.ndim == 4 and output.shape[1] == self.channels:
            # What comes next may work in place.
            return self.map(output).clone()
        if output.ndim == 4 and output.shape[3] == self.channels:
            return self.map(output.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        if output.ndim == 3 and output.shape[2] == self.channels and output.shape[1] >= places:
            # Class and register tokens come first.
            extra, tokens = output.split([output.shape[1] - places, places], 1)
            seen = self.map(tokens.transpose(1, 2).unflatten(2, (self.height, self.width)))
            return torch.cat([extra, seen.flatten(2).transpose(1, 2)], 1)
        raise NoMapError(f"the last layer gives {tuple(output.shape)}, no map of {self.height} x {self.width} places")


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
