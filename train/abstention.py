"""When a model should rather say that it does not know: scores of how sure it is, and a threshold on one of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from files.errors import UserError
from train.intervals import wilson_interval

_POINTS = 100
# Both are higher where a model is surer. Energy: Liu et al. 2020, with its sign turned.
SCORES = {
    "max_probability": lambda logits: softmax(logits.astype(np.float64), axis=1).max(1),
    "energy": lambda logits: logsumexp(logits.astype(np.float64), axis=1),
}
# The threshold is about right and wrong answers, which the highest probability tells apart better on each of five
# trained models (AUROC 0.63 to 0.92 on 40 to 72 test pictures; energy: 0.43 to 0.81). Nor does energy find pictures of
# something else better there (120 photographs: 0.39 to 0.54 against 0.44 to 0.66), only under a strongly regularised
# linear classifier on frozen ImageNet features (0.95 against 0.87, fifteen folds).
SCORE = "max_probability"


class ThresholdError(UserError):
    """A config.json whose threshold makes no sense."""


@dataclass(frozen=True)
class Threshold:
    """Below which score a model should not answer, and what this rests on.

    Attributes:
        score: "max_probability" or "energy" (the logarithm of the sum of the logits' exponentials).
        value: Pictures that score less are not answered; None when no threshold reaches the target.
        target_accuracy: What the answers were to reach, 0 to 1.
        pictures: How many it was chosen on; `answered` of these score at least `value`, `right` of them rightly.
        answered: See there; 0 without a threshold, as are the following.
        right: See there.
    """

    score: str
    value: float | None
    target_accuracy: float
    pictures: int
    answered: int
    right: int

    def as_config(self, split: str) -> dict[str, Any]:
        """Returns what config.json says; coverage and accuracy are those of `split`, 0 to 1."""
        return {
            "score": self.score,
            "value": self.value,
            "target_accuracy": self.target_accuracy,
            "split": split,
            "pictures": self.pictures,
            "answered": self.answered,
            "coverage": self.answered / self.pictures,
            "accuracy": self.right / self.answered if self.answered else None,
        }


def choose_threshold(logits: np.ndarray, labels: np.ndarray, target_accuracy: float, score: str = SCORE) -> Threshold:
    """Chooses the lowest threshold above which answers are right often enough.

    "Often enough" is not what these pictures happen to give but what the next answer can be expected to, by
    Laplace's rule of succession, (right + 1) / (answered + 2): three right answers of three promise 80 %, and 95 %
    take eighteen of eighteen. So a few pictures give no threshold rather than a lucky one.

    Args:
        logits: Of shape (pictures, classes), as the published model gives them.
        labels: True classes, of shape (pictures,).
        target_accuracy: 0 to 1, both excluded.
        score: A key of `SCORES`.
    """
    values = SCORES[score](logits)
    order = np.argsort(-values, kind="stable")
    values, right = values[order], np.cumsum(logits.argmax(1)[order] == labels[order])
    answered = np.arange(1, len(values) + 1)
    # Pictures with one and the same score are answered together, or not at all.
    possible = np.append(values[1:] < values[:-1], True)
    enough = np.flatnonzero(possible & ((right + 1) / (answered + 2) >= target_accuracy))
    if not len(enough):
        return Threshold(score, None, target_accuracy, len(values), 0, 0)
    last = enough[-1]
    # Midway to the next one: another library's last digit must not turn an answer away.
    value = values[last] if last + 1 == len(values) else (values[last] + values[last + 1]) / 2
    return Threshold(score, float(value), target_accuracy, len(values), int(answered[last]), int(right[last]))


def risk_coverage(logits: np.ndarray, labels: np.ndarray, score: str) -> list[dict[str, Any]]:
    """Returns how accuracy rises as fewer pictures are answered (El-Yaniv and Wiener 2010), at most 100 points.

    Returns:
        `threshold`, `coverage` and `accuracy` (0 to 1) and `pictures`, from the surest answers to all of them.
    """
    values = SCORES[score](logits)
    order = np.argsort(-values, kind="stable")
    values, right = values[order], np.cumsum(logits.argmax(1)[order] == labels[order])
    possible = np.flatnonzero(np.append(values[1:] < values[:-1], True))
    chosen = possible[np.unique(np.linspace(0, len(possible) - 1, _POINTS).astype(int))]
    return [
        {
            "threshold": float(values[last]),
            "coverage": (int(last) + 1) / len(values),
            "accuracy": float(right[last] / (last + 1)),
            "pictures": int(last) + 1,
        }
        for last in chosen
    ]


def stated_threshold(config: dict[str, Any]) -> dict[str, Any] | None:
    """Returns `reject_threshold` of a model's config.json, or None where it says nothing.

    Raises:
        ThresholdError: It says something that is no threshold.
    """
    stated = config.get("reject_threshold")
    if stated is None:
        return None
    value = stated.get("value", "") if isinstance(stated, dict) else ""
    if not (value is None or isinstance(value, int | float)) or stated.get("score") not in SCORES:
        raise ThresholdError(
            f"config.json has reject_threshold: {str(stated)[:60]}: it takes score ({', '.join(SCORES)}) and value"
        )
    return stated


def judge_threshold(logits: np.ndarray, labels: np.ndarray, stated: dict[str, Any]) -> dict[str, Any]:
    """Returns what a model's stated threshold does to a split: without a value, everything is answered.

    Args:
        logits: Of shape (pictures, classes).
        labels: True classes, of shape (pictures,).
        stated: `reject_threshold` of config.json: `score` and `value`.
    """
    answers = np.full(len(labels), True) if stated["value"] is None else answered(logits, stated)
    right = int((logits.argmax(1) == labels)[answers].sum())
    count = int(answers.sum())
    return {
        "score": stated["score"],
        "threshold": stated["value"],
        "coverage": count / len(labels),
        "answered": count,
        "accuracy": right / count if count else None,
        "accuracy_interval": wilson_interval(right, count),
    }


def answered(logits: np.ndarray, stated: dict[str, Any]) -> np.ndarray:
    """Returns which pictures score at least the threshold, bool of shape (pictures,)."""
    return SCORES[stated["score"]](logits) >= stated["value"]
