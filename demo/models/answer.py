"""What a model says of a picture."""

from dataclasses import dataclass

import numpy as np


class NoNumbersError(ArithmeticError):
    """The model answered with something that is no probability."""


@dataclass(frozen=True)
class Answer:
    """What a model says of a picture.

    Attributes:
        probs: Of every class, calibrated, float32 of shape (classes,).
        features: Of the penultimate layer, float32 of shape (features,); None without a model.onnx and reference.
        heatmap: Where the likeliest class was seen, 0 to 1, float32 of the last feature map's shape (height, width).
            It lies over what the model sees, the picture squashed or cropped; None without a model.onnx, or where the
            architecture has no such map.

    Raises:
        NoNumbersError: The model's weights give no probabilities.
    """

    probs: np.ndarray
    features: np.ndarray | None = None
    heatmap: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Refuses what is no probability."""
        # Written so that NaN fails, too.
        if not ((self.probs >= 0) & (self.probs <= 1)).all():
            raise NoNumbersError("the model gave no numbers for this picture")
