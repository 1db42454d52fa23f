"""A trained model learns how sure to be, and when to say nothing: from the validation split."""

import logging
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from model_folder.reference_features import KEY
from train.fitting.data import LabelledImages
from train.judging.calibration import fit_temperature, fold_temperature
from train.judging.distance import choose_unlike
from train.judging.predict import predict_alone
from train.judging.predictions import check_numbers
from train.judging.rejection import choose_threshold
from train.publishing.reference import Reference

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
