"""Pictures on their way into a model: bytes from the loader's processes, numbers only where the model is.

A byte per colour instead of a float is a quarter to send between processes and to a GPU, and what is left to do, a
whole batch at a time, takes next to nothing. Colours come innermost, as decoders have them: no copy makes them so.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from timm.data import create_transform
from torch import nn


def pixel_transform(data_config: dict[str, Any]) -> Callable[[Image.Image], torch.Tensor]:
    """Returns what `eval_transform` does to a picture before it makes floats of it and normalises them.

    Args:
        data_config: As for `eval_transform`.

    Returns:
        RGB picture -> uint8 of shape (height, width, 3).
    """
    # timm's own loader leaves normalising to the batch, too.
    to_square = create_transform(**data_config, is_training=False, use_prefetcher=True)

    def transform(image: Image.Image) -> torch.Tensor:
        return to_square(image).permute(1, 2, 0)

    return transform


class FromPixels(nn.Module):
    """A model that takes pixels, and does with them, to the bit, what `eval_transform` does at its end."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: nn.Module, data_config: dict[str, Any]) -> None:
        """Wraps a model, whose weights are put into the layout of what comes: colours innermost.

        Args:
            model: Takes float32 of shape (batch, 3, height, width).
            data_config: `mean` and `std` are those of pixels from 0 to 1.
        """
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(data_config[name]).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns the model's answer to uint8 pixels of shape (batch, height, width, 3)."""
        images = pixels.permute(0, 3, 1, 2).float()
        return self.model(images.div_(255).sub_(self.mean).div_(self.std))


class WithFeatures(nn.Module):
    """A model that gives its logits and, behind them, what its classifier sees of a picture."""

    def __init__(self, model: Any) -> None:
        """Wraps a timm model for which `gives_features` holds."""
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns logits and features, of shape (batch, classes + features)."""
        maps = self.model.forward_features(images)
        return torch.cat([self.model.forward_head(maps), self.model.forward_head(maps, pre_logits=True)], 1)


@torch.inference_mode()
def gives_features(model: Any, input_size: Sequence[int]) -> bool:
    """Tells whether a timm model's answer is what its head makes of one vector of features, by trying on noise.

    Args:
        model: In evaluation mode.
        input_size: Channels, height and width of a picture.
    """
    noise = torch.rand(1, *input_size, generator=torch.Generator().manual_seed(0))
    noise = noise.to(next(model.parameters()).device)
    try:
        both, logits = WithFeatures(model)(noise), model(noise)
    # Whatever a module says of an input that is not made for it.
    except (RuntimeError, IndexError, TypeError, AttributeError, NotImplementedError):
        return False
    width, weight = logits.shape[1], getattr(model.get_classifier(), "weight", None)
    return (
        both.ndim == 2
        and weight is not None
        and weight.shape[:2] == (width, both.shape[1] - width)
        and torch.allclose(both[:, :width], logits, 1e-3, 1e-4)
    )


class WithMirrorImage(nn.Module):
    """A model that looks at a picture and at its mirror image."""

    def __init__(self, model: nn.Module, num_classes: int) -> None:
        """Wraps a model that gives logits of shape (batch, classes), and maybe features behind them."""
        super().__init__()
        self.model, self.num_classes = model, num_classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns logits of shape (batch, classes): their softmax is the mean of both views' probabilities.

        The logarithm of the sum of their exponentials, which softmax does not see, is the mean of both, too. Features
        behind them are those of the picture itself.
        """
        both = torch.stack([self.model(view).float() for view in (images, images.flip(-1))])
        logits, features = both[..., : self.num_classes], both[0, :, self.num_classes :]
        mean = logits.log_softmax(-1).logsumexp(0) - math.log(2)
        return torch.cat([mean + logits.logsumexp(-1, keepdim=True).mean(0), features], 1)
