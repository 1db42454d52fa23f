"""A model whose backbone is frozen, in two halves: pictures to features, features to logits."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from files.errors import UserError, first_line


class FrozenError(UserError):
    """An architecture whose classifier can't learn alone."""


class Classifier(nn.Module):
    """The half that learns: dropout and a model's classifier, whose weights it shares."""

    scale: torch.Tensor | None

    def __init__(self, model: Any, drop_rate: float, scale: torch.Tensor | None = None) -> None:
        """Takes what learns.

        Args:
            model: A timm model.
            drop_rate: 0 to 1.
            scale: What features are divided by, (features,); the weights are those for features so divided, see
                `rescale`. None: by nothing.
        """
        super().__init__()
        self.classifier, self.drop_rate = model.get_classifier(), drop_rate
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Turns features, (batch, features), into logits, (batch, classes), in full precision.

        It costs nothing, and bf16 keeps a penalised loss from coming to its minimum.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            if self.scale is not None:
                features = features / self.scale
            features = F.dropout(features, self.drop_rate, self.training)
            if isinstance(self.classifier, nn.Conv2d):
                # A fully convolutional network's classifier is a convolution over one pixel.
                features = features[:, :, None, None]
            return self.classifier(features).flatten(1)

    def get_classifier(self) -> nn.Module:
        """Returns what learns, as timm's models do."""
        return self


class FrozenBackbone(nn.Module):
    """A model whose classifier alone learns: no graph, no activations kept and no BatchNorm moved in the rest.

    Attributes:
        num_features: How many numbers the classifier sees of a picture.
    """

    def __init__(self, model: Any, drop_rate: float, input_size: tuple[int, int, int]) -> None:
        """Splits a timm model, and tries on two pictures of noise whether the halves do what the whole does.

        Args:
            model: Shares its weights with this module.
            drop_rate: Dropout before the classifier, 0 to 1.
            input_size: Channels, height and width of a picture.

        Raises:
            FrozenError: They do not.
        """
        super().__init__()
        self.model = model
        name = model.pretrained_cfg["architecture"]
        if not isinstance(model.get_classifier(), nn.Module):
            raise FrozenError(f"{name} has several classifiers, which can't learn alone: set freeze_epochs=0")
        self.classifier = Classifier(model, drop_rate)
        self.eval()
        noise = torch.rand(2, *input_size, generator=torch.Generator().manual_seed(0))
        noise = noise.to(next(model.parameters()).device)
        with torch.inference_mode():
            try:
                features = self.features(noise)
                halves, whole = self.classifier(features), model(noise)
                if halves.shape != whole.shape or not torch.allclose(halves, whole, rtol=1e-3, atol=1e-3):
                    raise FrozenError(_refusal(name, "it is more than one layer on the features"))
            # Whatever a module says of an input that is not made for it.
            except (RuntimeError, IndexError, NotImplementedError) as error:
                raise FrozenError(_refusal(name, first_line(error))) from None
        self.num_features = features.shape[1]

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Turns images, (batch, 3, height, width), into what the classifier sees of them, (batch, num_features)."""
        with torch.no_grad():
            return self.model.forward_head(self.model.forward_features(images), pre_logits=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Turns images, (batch, 3, height, width), into logits, (batch, classes)."""
        return self.classifier(self.features(images))

    def train(self, mode: bool = True) -> "FrozenBackbone":
        """Sets the mode of the classifier; BatchNorm and dropout of the backbone stay in evaluation mode."""
        super().train(False)
        self.classifier.train(mode)
        return self

    def get_classifier(self) -> nn.Module:
        """Returns what learns, as timm's models do."""
        return self.classifier


def rescale(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Returns a classifier's weight for features that are divided by `scale`; by `1 / scale`, the way back.

    Args:
        weight: Of shape (classes, features) or (classes, features, 1, 1).
        scale: Powers of two, of shape (features,): so nothing is rounded, whatever way and how often.
    """
    return weight * scale.to(weight).view(1, -1, *[1] * (weight.ndim - 2))


def _refusal(architecture: str, reason: str) -> str:
    return f"the classifier of {architecture} can't learn alone ({reason}): set freeze_epochs=0"
