"""Numbers that say how good a model is, each with the number of pictures it rests on."""

from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_recall_fscore_support

from train.judging.predict import Predictions


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share by Wilson's score method (Wilson 1927), 0 to 1."""
    interval = binomtest(right, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def compute_metrics(predictions: Predictions) -> dict[str, Any]:
    """Computes what goes into metrics.json for one split.

    Returns:
        pictures, accuracy (0 to 1) with its 95 % `accuracy_interval`, macro_f1 (0 to 1), nll (nats),
        `per_class` (pictures, precision, recall, f1 by label name) and `confusion_matrix` (rows true, columns
        predicted, in the order of `label_names`). A class that is never predicted has precision 0.
    """
    truth, answer = predictions.labels, predictions.probs.argmax(1)
    numbers = list(range(len(predictions.label_names)))
    right = int((truth == answer).sum())
    precision, recall, f1, support = precision_recall_fscore_support(truth, answer, labels=numbers, zero_division=0)
    # Classes without a picture in this split can't be judged and don't count into the mean.
    present = np.unique(truth)
    return {
        "pictures": len(truth),
        "accuracy": right / len(truth),
        "accuracy_interval": wilson_interval(right, len(truth)),
        "macro_f1": float(f1_score(truth, answer, labels=present, average="macro", zero_division=0)),
        "nll": float(log_loss(truth, predictions.probs, labels=numbers)),
        "per_class": {
            name: {
                "pictures": int(support[number]),
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
            }
            for number, name in enumerate(predictions.label_names)
        },
        "confusion_matrix": confusion_matrix(truth, answer, labels=numbers).tolist(),
    }
