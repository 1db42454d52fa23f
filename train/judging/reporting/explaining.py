"""Wrong answers and right ones, explained: pictures with what speaks for a class laid over them."""

from dataclasses import dataclass
from typing import Any

import timm
import torch
from PIL import Image

from train.fitting.transforms import eval_transform
from train.judging.predict import Predictions
from train.judging.reporting.gradcam import grad_cam, overlay
from train.judging.reporting.pictures import Pair, Pictures

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
