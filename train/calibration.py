"""A trained model learns how sure to be, and when to say nothing: from the validation split."""

import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss
from torch import nn

from files.errors import UserError
from model_folder.reference_features import KEY
from train.abstention import choose_threshold
from train.data import LabelledImages
from train.export.reference import Reference
from train.model import final_linears
from train.ood import choose_unlike
from train.predict import predict_alone
from train.predictions import check_numbers

BINS = 10
LOWEST, HIGHEST = 0.25, 8.0


class CalibrationError(UserError):
    """A config.json whose calibration makes no sense."""


@dataclass(frozen=True)
class Calibration:
    """A temperature and what it does to the pictures that it was fitted on.

    Attributes:
        temperature: Divides the logits; above 1 where the model was too sure of itself.
        pictures: How many it was fitted on.
        bound: "lowest" or "highest" where it lies at a bound, which says that these pictures can't tell.
        nll_before: Mean negative log-likelihood at temperature 1, in nats; `nll_after` at `temperature`.
        nll_after: See there.
        ece_before: Expected calibration error at temperature 1, 0 to 1; `ece_after` at `temperature`.
        ece_after: See there.
    """

    temperature: float
    pictures: int
    bound: str | None
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Finds the temperature with the least negative log-likelihood (Guo et al. 2017).

    It stays between 0.25 and 8, and at 1 or above where every answer is right: pictures without a mistake would
    always ask for probabilities nearer to 1, and know nothing of the mistakes to come.

    Args:
        logits: Of shape (pictures, classes).
        labels: True classes, of shape (pictures,).
    """
    values = logits.astype(np.float64)
    lowest = 1.0 if (values.argmax(1) == labels).all() else LOWEST
    found = minimize_scalar(
        lambda log: nll(values / np.exp(log), labels),
        bounds=(np.log(lowest), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    # The search comes near to a bound without reaching it; where nothing changes, nothing is changed.
    near = min((lowest, 1.0, HIGHEST), key=lambda at: abs(np.log(at) - found.x))
    better = nll(values / near, labels) <= found.fun
    temperature = near if better else float(np.exp(found.x))
    after = values / temperature
    return Calibration(
        temperature,
        len(labels),
        "lowest" if temperature == lowest else "highest" if temperature == HIGHEST else None,
        nll(values, labels),
        nll(after, labels),
        expected_error(reliability(softmax(values, axis=1), labels)),
        expected_error(reliability(softmax(after, axis=1), labels)),
    )


def stated_temperature(config: dict[str, Any]) -> float | None:
    """Returns what a model's logits were divided by, from its config.json, or None where it says nothing.

    Raises:
        CalibrationError: It says something that is no temperature.
    """
    calibration = config.get("calibration")
    if calibration is None:
        return None
    temperature = calibration.get("temperature") if isinstance(calibration, dict) else calibration
    if not isinstance(temperature, int | float) or not 0 < temperature < np.inf:
        raise CalibrationError(f"config.json says calibration: {str(calibration)[:80]}: a temperature is above 0")
    return temperature


@torch.no_grad()
def fold_temperature(model: Any, temperature: float) -> None:
    """Divides a timm model's logits by a temperature, for good: through its classifier's weights and biases.

    So every library that loads the weights gets calibrated probabilities.
    """
    for linear in final_linears(model):
        for parameter in linear.parameters():
            parameter.div_(temperature)


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean negative log-likelihood of the true classes, in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def brier(probs: np.ndarray, labels: np.ndarray) -> float:
    """Returns the Brier score over all classes, 0 (sure and right) to 2 (sure and wrong)."""
    return float(brier_score_loss(labels, probs, labels=list(range(probs.shape[1])), scale_by_half=False))


def reliability(probs: np.ndarray, labels: np.ndarray, former: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Compares what a model promises with what it keeps, in ten equally wide bins of its highest probability.

    Args:
        probs: Of shape (pictures, classes).
        labels: True classes, of shape (pictures,).
        former: Probabilities that say who shares a bin, instead of `probs`, to compare with another model: of few
            pictures, one that crosses an edge makes more of a difference than the models do.

    Returns:
        Bins with a picture in them: `low` (excluded, but for 0) and `high`, `pictures`, mean `confidence` and
        `accuracy`, all 0 to 1 but the count.
    """
    confidence, right = probs.max(1), probs.argmax(1) == labels
    edges = np.linspace(0, 1, BINS + 1)
    placed = confidence if former is None else former.max(1)
    place = np.clip(np.digitize(placed, edges, right=True) - 1, 0, BINS - 1)
    return [
        {
            "low": float(edges[number]),
            "high": float(edges[number + 1]),
            "pictures": int((place == number).sum()),
            "confidence": float(confidence[place == number].mean()),
            "accuracy": float(right[place == number].mean()),
        }
        for number in np.unique(place)
    ]


def expected_error(bins: list[dict[str, Any]]) -> float:
    """Returns the expected calibration error: the mean distance of confidence and accuracy, by pictures, 0 to 1."""
    pictures = sum(row["pictures"] for row in bins)
    return sum(row["pictures"] * abs(row["confidence"] - row["accuracy"]) for row in bins) / pictures


logger = logging.getLogger(__name__)

_SPLIT = "validation"


def calibrate(
    model: nn.Module,
    data_config: dict[str, Any],
    images: LabelledImages,
    target_accuracy: float,
    reference: Reference | None = None,
) -> dict[str, Any]:
    """Divides the model's logits by the temperature that fits the validation split, and chooses when it abstains.

    Returns:
        `calibration`, `reject_threshold` and, with a reference, `unlike` for config.json, with what each rests on.

    Raises:
        PredictionsError: The model gives no numbers.
    """
    known = reference.as_others_read_it() if reference else None
    rows = images.split(_SPLIT)
    predictions = predict_alone(model, data_config, rows, images.label_names, "Calibrating", reference=known)
    # safetensors takes tensors in their usual layout only.
    model.to(memory_format=torch.contiguous_format)
    check_numbers(predictions, f"{images.name}, {_SPLIT}")
    calibration = fit_temperature(predictions.logits, predictions.labels)
    if calibration.bound:
        logger.warning(
            "the temperature lies at its %s bound, %.2f: these %d validation pictures can't tell how sure to be",
            calibration.bound,
            calibration.temperature,
            calibration.pictures,
        )
    fold_temperature(model, calibration.temperature)
    threshold = choose_threshold(predictions.logits / calibration.temperature, predictions.labels, target_accuracy)
    return {
        "calibration": {**asdict(calibration), "split": _SPLIT},
        "reject_threshold": threshold.as_config(_SPLIT),
        **({KEY: choose_unlike(known, predictions.nearest, _SPLIT)} if known and predictions.nearest else {}),
    }
