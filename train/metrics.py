"""What out-of-fold predictions are worth: a score per fold and, over all pictures, one with its interval."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from train.abstention import SCORE, judge_threshold, risk_coverage
from train.calibration import BINS, brier, expected_error, nll, reliability
from train.intervals import REPLICATES, SEED, bootstrap_interval, wilson_interval
from train.predictions import OutOfFold, Predictions

_MOST_CONFUSED = 10


def compute_metrics(
    predictions: Predictions,
    groups: Sequence[object] | None = None,
    temperature: float | None = None,
    threshold: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Computes what goes into metrics.json for one split.

    Args:
        predictions: The answers.
        groups: The group of near-duplicates of every picture; every picture is its own where nobody says.
        temperature: What the logits have been divided by, to say what it has changed.
        threshold: `reject_threshold` of the model's config.json.

    Returns:
        pictures; accuracy with its 95 % `accuracy_interval` (Wilson) and macro_f1 with its own (bootstrap over
        groups), 0 to 1; nll (nats), brier (0 to 2) and ece (0 to 1, equally wide bins); `calibrated_from`, the same
        without the temperature, or None; `reliability`, `risk_coverage`, `reject` (None without a threshold) and
        `most_confused`; `per_class` (pictures, precision, recall with its interval, f1 by label name);
        `confusion_matrix` (rows true, columns predicted, in the order of `label_names`). A class that is never
        predicted has precision 0.
    """
    truth, logits, names = predictions.labels, predictions.logits, predictions.label_names
    answer = logits.argmax(1)
    right, numbers = answer == truth, list(range(len(names)))
    counts = confusion_matrix(truth, answer, labels=numbers)
    # Classes without a picture in this split can't be judged and don't count into the mean.
    present = np.unique(truth)
    known = groups if groups is not None else range(len(truth))
    classes = np.eye(len(names))
    sums = np.hstack([classes[truth] * right[:, None], classes[truth], classes[answer]])
    grouped_accuracy = bootstrap_interval(sums, known, lambda drawn: _accuracy(drawn, len(names)))
    grouped_f1 = bootstrap_interval(sums, known, lambda drawn: _macro_f1(drawn, len(names)))
    return {
        "pictures": len(truth),
        "accuracy": int(right.sum()) / len(truth),
        "accuracy_interval": wilson_interval(int(right.sum()), len(truth)),
        "macro_f1": float(f1_score(truth, answer, labels=present, average="macro", zero_division=0)),
        "macro_f1_interval": tuple(np.clip(grouped_f1, 0, 1).tolist()),
        "bootstrap": {
            "over": "groups of near-duplicates" if groups is not None else "pictures",
            "groups": len(set(known)),
            "replicates": REPLICATES,
            "seed": SEED,
            "accuracy_interval": tuple(np.clip(grouped_accuracy, 0, 1).tolist()),
        },
        **_calibration(predictions.probs, logits, truth, groups),
        "ece_bins": {"kind": "equal width", "count": BINS},
        "calibrated_from": _before(predictions, temperature) if temperature is not None else None,
        "risk_coverage": risk_coverage(logits, truth, SCORE, groups),
        "reject": judge_threshold(logits, truth, threshold, groups) if threshold else None,
        "most_confused": most_confused(counts, names),
        "per_class": _per_class(truth, answer, names),
        "confusion_matrix": counts.tolist(),
    }


def _accuracy(drawn: np.ndarray, classes: int) -> np.ndarray:
    return drawn[:, :classes].sum(1) / drawn[:, classes : 2 * classes].sum(1)


def _macro_f1(drawn: np.ndarray, classes: int) -> np.ndarray:
    right, true, predicted = np.split(drawn, [classes, 2 * classes], axis=1)
    # Where there is no picture of a class there is nothing to judge, as in the split itself.
    f1 = np.divide(2 * right, true + predicted, out=np.zeros_like(right), where=true > 0)
    return f1.sum(1) / (true > 0).sum(1)


def _calibration(
    probs: np.ndarray, logits: np.ndarray, truth: np.ndarray, groups: Sequence[object] | None = None
) -> dict[str, Any]:
    bins = reliability(probs, truth, groups)
    return {
        "nll": nll(logits.astype(np.float64), truth),
        "brier": brier(probs, truth),
        "ece": expected_error(bins),
        "reliability": bins,
    }


def _before(predictions: Predictions, temperature: float) -> dict[str, Any]:
    raw = Predictions(
        predictions.sha256, predictions.labels, predictions.logits * temperature, predictions.label_names
    )
    return {"temperature": temperature, **_calibration(raw.probs, raw.logits, raw.labels)}


def most_confused(counts: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the up to ten most frequent mistakes: `true`, `predicted`, `pictures`, and their share of the class.

    Args:
        counts: A confusion matrix; rows are true, columns predicted.
        names: Class names, in its order.
    """
    pairs = [
        {
            "true": names[true],
            "predicted": names[predicted],
            "pictures": int(counts[true, predicted]),
            "share": float(counts[true, predicted] / counts[true].sum()),
        }
        for true, predicted in zip(*np.nonzero(counts), strict=True)
        if true != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair["pictures"], -pair["share"]))[:_MOST_CONFUSED]


def _per_class(truth: np.ndarray, answer: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    numbers = list(range(len(names)))
    precision, recall, f1, support = precision_recall_fscore_support(truth, answer, labels=numbers, zero_division=0)
    found = np.bincount(truth[truth == answer], minlength=len(names))
    return {
        name: {
            "pictures": int(support[number]),
            "precision": float(precision[number]),
            "recall": float(recall[number]),
            "recall_interval": wilson_interval(int(found[number]), int(support[number])),
            "f1": float(f1[number]),
        }
        for number, name in enumerate(names)
    }


_RESAMPLES = 2000
Interval = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """Accuracy and macro-F1, 0 to 1, of so many pictures; 95 % intervals where the pictures are all of them.

    Attributes:
        fold: Counted from 1; None for all pictures.
        pictures: How many.
        accuracy: Share of right answers.
        macro_f1: Mean over the classes that have pictures.
        accuracy_interval: Wilson's (1927).
        macro_f1_interval: Percentiles of a bootstrap over groups: near-duplicates are not two witnesses.
    """

    fold: int | None
    pictures: int
    accuracy: float
    macro_f1: float
    accuracy_interval: Interval | None = None
    macro_f1_interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, those that are there."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def score_folds(answers: OutOfFold, groups: list[str], seed: int) -> list[Score]:
    """Scores every fold, and then all pictures together.

    Args:
        answers: Out-of-fold predictions.
        groups: The group of every picture.
        seed: Of the bootstrap.
    """
    truth, answer = answers.predictions.labels, answers.predictions.logits.argmax(1)
    number = len(answers.predictions.label_names)

    def counts(chosen: np.ndarray) -> np.ndarray:
        return confusion_matrix(truth[chosen], answer[chosen], labels=range(number))

    scores = []
    for fold in sorted(set(answers.folds.tolist())):
        of = counts(answers.folds == fold)
        scores.append(Score(fold, int(of.sum()), float(of.trace() / of.sum()), float(_macro_f1_of_counts(of))))
    places = np.unique(groups, return_inverse=True)[1]
    by_group = np.array([counts(places == place).ravel() for place in range(places.max() + 1)])
    drawn = np.random.default_rng(seed).multinomial(
        len(by_group), np.full(len(by_group), 1 / len(by_group)), _RESAMPLES
    )
    low, high = np.percentile(_macro_f1_of_counts((drawn @ by_group).reshape(-1, number, number)), [2.5, 97.5])
    of = counts(answers.folds > 0)
    right, total = int(of.trace()), int(of.sum())
    scores.append(
        Score(
            None,
            total,
            right / total,
            float(_macro_f1_of_counts(of)),
            wilson_interval(right, total),
            (float(low), float(high)),
        )
    )
    return scores


def _macro_f1_of_counts(counts: np.ndarray) -> np.ndarray:
    """Returns the macro-F1 of confusion matrices of shape (..., classes, classes), over classes with pictures."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    true, predicted = counts.sum(-1), counts.sum(-2)
    f1 = 2 * right / np.maximum(true + predicted, 1)
    return (f1 * (true > 0)).sum(-1) / (true > 0).sum(-1)


def summary(scores: dict[str, list[Score]]) -> str:
    """Returns the table that `cross-validate` prints."""
    lines = [f"{'fold':8}{'pictures':>8}" + "".join(f"{f'{n}: accuracy':>20}{'macro F1':>10}" for n in scores)]
    for rows in zip(*scores.values(), strict=True):
        cells = "".join(f"{row.accuracy:>20.1%}{row.macro_f1:>10.3f}" for row in rows)
        lines.append(f"{rows[0].fold or 'all':<8}{rows[0].pictures:>8}{cells}")
    for name, of in scores.items():
        total = of[-1]
        assert total.accuracy_interval is not None, "all pictures have intervals"
        assert total.macro_f1_interval is not None, "all pictures have intervals"
        lines.append(
            f"{name}: {total.accuracy:.1%} of {total.pictures} pictures right, each judged by a model that never saw "
            f"it (95 % interval {total.accuracy_interval[0]:.1%} – {total.accuracy_interval[1]:.1%}), macro F1 "
            f"{total.macro_f1:.3f} ({total.macro_f1_interval[0]:.3f} – {total.macro_f1_interval[1]:.3f})"
        )
    return "\n".join(lines)
