"""Wrong answers and right ones, explained: pictures with what speaks for a class laid over them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import nn

from figures import mpl
from train.loaders import eval_transform
from train.predictions import Predictions
from train.report.pictures import Pair, Pictures

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


_SIDE = 320


@dataclass(frozen=True)
class Heat:
    """What speaks for a class in a picture.

    Attributes:
        number: The class.
        prob: Its probability, 0 to 1.
        picture: The picture with the map over it.
    """

    number: int
    prob: float
    picture: Image.Image


@dataclass(frozen=True)
class Explained:
    """An answer.

    Attributes:
        index: The row of the split.
        label: The true class.
        picture: What the model was shown.
        heats: For the answer, and, where that is wrong, for the true class.
    """

    index: int
    label: int
    picture: Image.Image
    heats: list[Heat]


@dataclass(frozen=True)
class ExplainedPair:
    """A `Pair`, explained."""

    wrong: Explained | None
    right: Explained | None


def explain(model: Any, pictures: Pictures, predictions: Predictions, pairs: list[Pair]) -> list[ExplainedPair]:
    """Looks into answers with Grad-CAM.

    Args:
        model: The timm model that gave them, in evaluation mode.
        pictures: Of the split.
        predictions: Of the split.
        pairs: What to look into.

    Raises:
        NoMapError: The model's architecture allows none.
    """
    all_probs, data_config = predictions.probs, timm.data.resolve_model_data_config(model)

    def explained(index: int | None) -> Explained | None:
        if index is None:
            return None
        probs, label = all_probs[index], int(predictions.labels[index])
        numbers = list(dict.fromkeys([int(probs.argmax()), label]))
        original = pictures.open(index)
        pixel_values = eval_transform(data_config)(original)
        maps = grad_cam(model, pixel_values.expand(len(numbers), -1, -1, -1), torch.tensor(numbers))
        seen = _seen(original, pixel_values, data_config)
        heats = [Heat(n, float(probs[n]), overlay(seen, heat)) for n, heat in zip(numbers, maps, strict=True)]
        return Explained(index, label, seen, heats)

    return [ExplainedPair(explained(pair.wrong), explained(pair.right)) for pair in pairs]


def _seen(original: Image.Image, pixel_values: torch.Tensor, data_config: dict[str, Any]) -> Image.Image:
    """Returns what the model was shown, as a picture of reasonable size."""
    if data_config["crop_mode"] == "squash":
        # All of it, in another shape: people rather look at the right one.
        seen = original
    else:
        mean, std = (torch.tensor(data_config[key]).view(3, 1, 1) for key in ("mean", "std"))
        numbers = (pixel_values * std + mean).clamp(0, 1).mul(255).byte().permute(1, 2, 0).numpy()
        seen = Image.fromarray(numbers)
    scale = _SIDE / max(seen.size)
    return seen.resize(
        (max(1, round(seen.width * scale)), max(1, round(seen.height * scale))), Image.Resampling.LANCZOS
    )
