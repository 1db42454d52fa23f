"""Calibration on the validation split: how far probabilities can be believed, and when the model abstains.

One number, the temperature, divides the logits (Guo et al. 2017, "On Calibration of Modern Neural Networks"). It goes
into the classifier's weights, so that every library that loads them gives calibrated probabilities.
"""

import logging
from collections.abc import Sequence
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
from train.data import LabelledImages, groups_of
from train.export.reference import Reference
from train.intervals import group_numbers, share_interval
from train.model import final_linears
from train.ood import choose_ood
from train.predict import predict_alone
from train.prediction_set import KEY as PREDICTION_SET
from train.prediction_set import choose_cut
from train.predictions import check_numbers

BINS = 10
LOWEST, HIGHEST = 0.25, 8.0
_SPLIT = "validation"

logger = logging.getLogger(__name__)


class CalibrationError(UserError):
    """A config.json whose calibration makes no sense."""


@dataclass(frozen=True)
class Calibration:
    """A temperature and what it does to the pictures that it was fitted on.

    Attributes:
        temperature: Divides the logits; above 1 where the model was too sure of itself.
        pictures: How many it was fitted on.
        bound: "lowest" or "highest" where it lies at a bound: these pictures can't calibrate the model.
        nll_before: Mean negative log-likelihood at temperature 1, in nats.
        nll_after: The same at `temperature`.
        ece_before: Expected calibration error at temperature 1, 0 to 1.
        ece_after: The same at `temperature`.
    """

    temperature: float
    pictures: int
    bound: str | None
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def calibrate(
    model: nn.Module,
    data_config: dict[str, Any],
    images: LabelledImages,
    target_accuracy: float,
    reference: Reference | None = None,
) -> dict[str, Any]:
    """Divides the model's logits by the temperature that fits the validation split, and chooses when it abstains.

    Args:
        model: A timm model; its classifier is changed.
        data_config: How pictures are prepared for it.
        images: Their validation split calibrates.
        target_accuracy: Which share of the answers should be right where the model does not abstain, 0 to 1.
        reference: What training pictures look like to the model, where that is known.

    Returns:
        `calibration`, `reject_threshold`, `prediction_set` and, with a reference, `ood` for config.json, with what
        each rests on.

    Raises:
        PredictionsError: The model gives no numbers.
    """
    features = reference.as_others_read_it() if reference else None
    rows = images.split(_SPLIT)
    predictions = predict_alone(model, data_config, rows, images.label_names, "Calibrating", reference=features)
    # safetensors takes tensors in their usual layout only.
    model.to(memory_format=torch.contiguous_format)
    check_numbers(predictions, f"{images.name}, {_SPLIT}")
    labels, groups, nearest = predictions.labels, groups_of(rows), predictions.nearest
    calibration = fit_temperature(predictions.logits, labels)
    if calibration.bound:
        logger.warning(
            "not calibrated: the temperature lies at its %s bound, %.2f, for the %d validation pictures have too few "
            "mistakes, or too many",
            calibration.bound,
            calibration.temperature,
            calibration.pictures,
        )
    fold_temperature(model, calibration.temperature)
    logits = predictions.logits / calibration.temperature
    return {
        "calibration": {**asdict(calibration), "split": _SPLIT},
        "reject_threshold": choose_threshold(logits, labels, groups, target_accuracy, _SPLIT),
        PREDICTION_SET: choose_cut(logits, labels, groups, _SPLIT),
        **({KEY: choose_ood(features, nearest, groups, _SPLIT)} if features and nearest else {}),
    }


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Finds the temperature with the least negative log-likelihood.

    It stays between 0.25 and 8, and at 1 or above where every answer is right: pictures without a mistake would
    always ask for probabilities nearer to 1, and know nothing of the mistakes to come.

    Args:
        logits: Of shape (pictures, classes).
        labels: True classes, of shape (pictures,).
    """
    values = logits.astype(np.float64)
    lowest = 1.0 if (values.argmax(1) == labels).all() else LOWEST
    fitted = minimize_scalar(
        lambda log: nll(values / np.exp(log), labels),
        bounds=(np.log(lowest), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    # The search comes near to a bound without reaching it; where nothing changes, nothing is changed.
    near = min((lowest, 1.0, HIGHEST), key=lambda bound: abs(np.log(bound) - fitted.x))
    temperature = near if nll(values / near, labels) <= fitted.fun else float(np.exp(fitted.x))
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


@torch.no_grad()
def fold_temperature(model: Any, temperature: float) -> None:
    """Divides a timm model's logits by a temperature, for good: the weights and biases of its last linear layers."""
    for linear in final_linears(model):
        for parameter in linear.parameters():
            parameter.div_(temperature)


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


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean negative log-likelihood of the true classes, in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def brier(probs: np.ndarray, labels: np.ndarray) -> float:
    """Returns the Brier score over all classes, 0 (sure and right) to 2 (sure and wrong)."""
    return float(brier_score_loss(labels, probs, labels=list(range(probs.shape[1])), scale_by_half=False))


def reliability(
    probs: np.ndarray, labels: np.ndarray, groups: Sequence[object] | np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Compares how sure a model is with how often it is right, in ten equally wide bins of its highest probability.

    Args:
        probs: Of shape (pictures, classes).
        labels: True classes, of shape (pictures,).
        groups: The group of near-duplicates of every picture; None where every picture is its own.

    Returns:
        Bins with a picture in them: `low` (excluded, but for 0) and `high`, `pictures`, mean `confidence`, `accuracy`
        and its 95 % `accuracy_interval`, all 0 to 1 but the count.
    """
    confidence, right, group_of = probs.max(1), probs.argmax(1) == labels, group_numbers(groups, len(labels))
    edges = np.linspace(0, 1, BINS + 1)
    bin_of = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, BINS - 1)
    return [
        {
            "low": float(edges[number]),
            "high": float(edges[number + 1]),
            "pictures": int((bin_of == number).sum()),
            "confidence": float(confidence[bin_of == number].mean()),
            "accuracy": float(right[bin_of == number].mean()),
            "accuracy_interval": share_interval(right[bin_of == number], group_of[bin_of == number]),
        }
        for number in np.unique(bin_of)
    ]


def expected_error(bins: list[dict[str, Any]]) -> float:
    """Returns the expected calibration error: the mean distance of confidence and accuracy, by pictures, 0 to 1."""
    pictures = sum(row["pictures"] for row in bins)
    return sum(row["pictures"] * abs(row["confidence"] - row["accuracy"]) for row in bins) / pictures
