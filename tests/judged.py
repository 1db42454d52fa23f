"""A judged model's files as `train evaluate` leaves them, made of any predictions, for the tests of the report."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from model_folder.reference_features import Nearest, unit_length
from model_folder.reference_pictures import ReferencePicture
from train.data import load_images
from train.intervals import wilson_interval
from train.metrics import compute_metrics
from train.predictions import Predictions, write_predictions
from train.report.report import write_report

TEMPERATURE = 1.6


def some_predictions(label_names: list[str], labels: list[int], sha256: list[str], seed: int = 8) -> Predictions:
    """Answers of a model that is right three times of four, and often too sure."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.2, (len(labels), len(label_names))).astype(np.float32)
    logits[np.arange(len(labels)), labels] += rng.choice([3.5, 0.0], len(labels), p=[0.8, 0.2])
    return Predictions(sha256, np.array(labels), logits, label_names)


def write_judged(folder: Path, split: str, predictions: Predictions, drawings: bool = False) -> dict[str, Any]:
    """Writes predictions.parquet and metrics.json; returns a config.json that goes with them."""
    folder.mkdir(parents=True, exist_ok=True)
    judged = dataclasses.replace(predictions, splits=[split] * len(predictions.labels))
    write_predictions(folder / "predictions.parquet", judged)
    before = Predictions([], predictions.labels, predictions.logits * TEMPERATURE, predictions.label_names)
    (folder / "metrics.json").write_text(
        json.dumps(
            {
                split: {
                    **_metrics(predictions),
                    "calibrated_from": {
                        "temperature": TEMPERATURE,
                        **{key: _metrics(before)[key] for key in ("nll", "brier", "ece", "reliability")},
                    },
                    "reject": _reject(predictions, 0.5),
                    "tta": False,
                    "dataset": "Drawn dances" if drawings else "Dances",
                    "dataset_id": None,
                    "fingerprint": "0123456789abcdef",
                    "date": "2026-11-24",
                }
            }
        ),
        encoding="utf-8",
    )
    chosen = {"value": 0.5, "target_accuracy": 0.9, "split": "validation", "coverage": 0.7, "accuracy": 0.91}
    return {
        "architecture": "test_resnet",
        "label_names": predictions.label_names,
        "training_data": {"name": "Drawn dances" if drawings else "Dances", "drawings": drawings},
        "calibration": {"temperature": TEMPERATURE, "split": "validation", "pictures": 46},
        "reject_threshold": {"score": "max_probability", **chosen},
    }


def _metrics(predictions: Predictions) -> dict[str, Any]:
    truth, probs, names = predictions.labels, predictions.probs, predictions.label_names
    metrics = compute_metrics(predictions)
    bins = _reliability(predictions)
    matrix = np.array(metrics["confusion_matrix"])
    for number, row in enumerate(metrics["per_class"].values()):
        total = row["pictures"]
        row["recall_interval"] = wilson_interval(int(matrix[number, number]), total) if total else (0.0, 1.0)
    wrong = sorted(((n, t, p) for (t, p), n in np.ndenumerate(matrix) if n and t != p), reverse=True)
    return {
        **metrics,
        "macro_f1_interval": [max(0.0, metrics["macro_f1"] - 0.08), min(1.0, metrics["macro_f1"] + 0.07)],
        "brier": float(((probs - np.eye(len(names))[truth]) ** 2).sum(1).mean()),
        "ece": sum(row["pictures"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / len(truth),
        "reliability": bins,
        "risk_coverage": _risk_coverage(predictions),
        "most_confused": [
            {"true": names[t], "predicted": names[p], "pictures": int(n), "share": float(n / matrix[t].sum())}
            for n, t, p in wrong[:5]
        ],
    }


def _reliability(predictions: Predictions) -> list[dict[str, Any]]:
    sure, right = predictions.probs.max(1), predictions.probs.argmax(1) == predictions.labels
    place = np.clip(np.ceil(10 * sure) - 1, 0, 9)
    return [
        {
            "low": number / 10,
            "high": (number + 1) / 10,
            "pictures": int((place == number).sum()),
            "confidence": float(sure[place == number].mean()),
            "accuracy": float(right[place == number].mean()),
        }
        for number in np.unique(place)
    ]


def _risk_coverage(predictions: Predictions) -> list[dict[str, Any]]:
    thresholds = np.unique(np.quantile(predictions.probs.max(1), np.linspace(0, 1, 30)))
    points = [_reject(predictions, float(threshold)) for threshold in thresholds]
    return [
        {**{key: row[key] for key in ("threshold", "coverage", "accuracy")}, "pictures": row["answered"]}
        for row in points
    ]


def _reject(predictions: Predictions, threshold: float) -> dict[str, Any]:
    answered = predictions.probs.max(1) >= threshold
    right = int((predictions.probs.argmax(1) == predictions.labels)[answered].sum())
    count = int(answered.sum())
    return {
        "score": "max_probability",
        "threshold": threshold,
        "coverage": count / len(answered),
        "answered": count,
        "accuracy": right / count,
        "accuracy_interval": wilson_interval(right, count),
    }


def some_rows(dataset_folder: Path) -> tuple[datasets.Dataset, list[str]]:
    """The drawings of a dataset's train split, and the names of their classes: more than its test split has."""
    images = load_images(str(dataset_folder))
    return images.splits["train"], images.label_names


def write_page(folder: Path, rows: datasets.Dataset, label_names: list[str], model: Any, **config: Any) -> Path:
    """Writes the report of made-up answers to these rows, near to each other, and returns the page."""
    predictions = some_predictions(label_names, rows["label"], rows["sha256"])
    near = (np.arange(len(rows))[:, None] + np.arange(1, 6)) % len(rows)
    distances = np.linspace(0.1, 0.3, 5, dtype=np.float32)[None].repeat(len(rows), 0)
    predictions = dataclasses.replace(predictions, nearest=Nearest(distances, near))
    learned = [
        ReferencePicture(label_names[label], sha256, "", "", "", None)
        for label, sha256 in zip(rows["label"], rows["sha256"], strict=True)
    ]
    judged = write_judged(folder, "test", predictions, drawings=True)
    # By class, and a little apart: alike as a model would have it.
    features = np.eye(len(label_names) + 1)[rows["label"]] + np.random.default_rng(8).normal(0, 0.05, (len(rows), 1))
    return write_report(folder, rows, "test", model, {**judged, **config}, learned, rows, unit_length(features))
