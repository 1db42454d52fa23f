"""How good answers are: the metrics of a split, and the scores of folds. Intervals count groups, not pictures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from model_folder.facts import PredictionSets
from train.abstention import judge_threshold, risk_coverage, stated_threshold
from train.calibration import BINS, brier, expected_error, nll, reliability
from train.intervals import REPLICATES, SEED, bootstrap_interval, share_interval
from train.prediction_set import KEY, judge_sets, prediction_sets
from train.predictions import Predictions

_MOST_CONFUSED, _TOP = 10, 5


def compute_metrics(
    predictions: Predictions,
    temperature: float | None = None,
    threshold: dict[str, Any] | None = None,
    sets: PredictionSets | None = None,
) -> dict[str, Any]:
    """Computes what goes into metrics.json for one split.

    Args:
        predictions: The answers, with the groups of their pictures.
        temperature: What the logits have been divided by, to say what it has changed.
        threshold: As `stated_threshold` gives it; by default that of a model that states none.
        sets: As `read_prediction_sets` gives it.

    Returns:
        pictures; accuracy and macro_f1, 0 to 1, with their 95 % intervals over groups (`share_interval`, and the
        percentiles of a bootstrap); top5_accuracy, None where five classes are all; nll (nats), brier (0 to 2) and
        ece (0 to 1, equally wide bins); `calibrated_from`, the same without the temperature, or None; `reliability`;
        `risk_coverage`; `reject`, what the threshold that is served does; `prediction_set`, how often the sets that
        are served hold the true class, or None;
        `most_confused`; `per_class` (pictures, precision, recall with its interval, f1 by label name);
        `confusion_matrix` (rows true, columns predicted, in the order of `label_names`). A class that is never
        predicted has precision 0.
    """
    truth, answers, logits, names = (
        predictions.labels,
        predictions.answers,
        predictions.logits,
        predictions.label_names,
    )
    score, counts = score_of(predictions), confusion_matrix(truth, answers, labels=range(len(names)))
    served = threshold or stated_threshold({})
    return {
        **{key: value for key, value in score.to_json().items() if key != "fold"},
        "top5_accuracy": float(top_k_accuracy_score(truth, logits, k=_TOP, labels=range(len(names))))
        if len(names) > _TOP
        else None,
        "bootstrap": {
            "over": predictions.resampled,
            "groups": len(set(predictions.group_numbers.tolist())),
            "replicates": REPLICATES,
            "seed": SEED,
        },
        **_calibration(predictions),
        "ece_bins": {"kind": "equal width", "count": BINS},
        "calibrated_from": _before(predictions, temperature) if temperature is not None else None,
        "risk_coverage": risk_coverage(logits, truth, served["score"], predictions.group_numbers),
        "reject": judge_threshold(logits, truth, served, predictions.group_numbers),
        KEY: judge_sets(predictions.probs, truth, sets, predictions.group_numbers),
        "most_confused": most_confused(counts, names),
        "per_class": _per_class(predictions),
        "confusion_matrix": counts.tolist(),
    }


def count_classes(predictions: Predictions) -> sparse.csr_matrix:
    """Returns what each picture adds to the counts that F1 is made of, of shape (pictures, 3 * classes).

    The first third counts right answers by class, the second true classes, the third answers.
    """
    classes, count = len(predictions.label_names), len(predictions.labels)
    columns = [predictions.labels, predictions.labels + classes, predictions.answers + 2 * classes]
    values = [predictions.right, np.ones(count), np.ones(count)]
    rows = np.tile(np.arange(count), 3)
    return sparse.csr_matrix((np.concatenate(values), (rows, np.concatenate(columns))), (count, 3 * classes))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Returns the mean F1 of the classes that have pictures; others can't be judged.

    Args:
        counts: Sums of `count_classes`, of shape (..., 3 * classes).
    """
    right, true, predicted = np.split(counts, 3, axis=-1)
    f1 = np.divide(2 * right, true + predicted, out=np.zeros_like(right, float), where=true > 0)
    return f1.sum(-1) / (true > 0).sum(-1)


def _calibration(predictions: Predictions) -> dict[str, Any]:
    probs, truth = predictions.probs, predictions.labels
    bins = reliability(probs, truth, predictions.group_numbers)
    return {
        "nll": nll(predictions.logits.astype(np.float64), truth),
        "brier": brier(probs, truth),
        "ece": expected_error(bins),
        "reliability": bins,
    }


def _before(predictions: Predictions, temperature: float) -> dict[str, Any]:
    return {"temperature": temperature, **_calibration(replace(predictions, logits=predictions.logits * temperature))}


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


def _per_class(predictions: Predictions) -> dict[str, dict[str, Any]]:
    truth, names, right, groups = (
        predictions.labels, predictions.label_names, predictions.right, predictions.group_numbers
    )  # fmt: skip
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predictions.answers, labels=range(len(names)), zero_division=0
    )
    # The rows of every class, without a pass over all pictures for each.
    rows = np.split(np.argsort(truth, kind="stable"), np.cumsum(support)[:-1])
    return {
        name: {
            "pictures": int(support[number]),
            "precision": float(precision[number]),
            "recall": float(recall[number]),
            "recall_interval": share_interval(right[rows[number]], groups[rows[number]]),
            "f1": float(f1[number]),
        }
        for number, name in enumerate(names)
    }


@dataclass(frozen=True)
class Score:
    """Accuracy and macro F1, 0 to 1, with 95 % intervals over groups: near-duplicates are not two witnesses.

    Attributes:
        fold: Counted from 1, or what its pictures have in common; None for all pictures.
        pictures: How many.
        accuracy: Share of right answers.
        accuracy_interval: Wilson's, of the effective sample size (`share_interval`).
        macro_f1: Mean over the classes that have pictures.
        macro_f1_interval: Percentiles of a bootstrap; where every answer is right, which no draw can change, it begins
            where the accuracy's does.
    """

    fold: int | str | None
    pictures: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    macro_f1_interval: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, those that are there."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def score_of(predictions: Predictions, fold: int | str | None = None) -> Score:
    """Scores answers, of which there is at least one."""
    counts, right, groups = count_classes(predictions), predictions.right, predictions.group_numbers
    accuracy_interval = share_interval(right, groups)
    low, high = (float(bound) for bound in np.clip(bootstrap_interval(counts, groups, macro_f1), 0, 1))
    f1 = float(macro_f1(np.asarray(counts.sum(0)).ravel()))
    if right.all():
        low = min(low, accuracy_interval[0])
    return Score(fold, len(right), int(right.sum()) / len(right), accuracy_interval, f1, (low, high))


def score_folds(predictions: Predictions, values: Sequence[str] = ()) -> list[Score]:
    """Scores every fold of out-of-fold answers, and then all pictures together.

    Args:
        predictions: The answers.
        values: What the pictures of each fold have in common, where they were not drawn.
    """
    folds = sorted(set(predictions.folds.tolist()))
    return [
        *(
            score_of(predictions.select(predictions.folds == fold), values[fold - 1] if values else fold)
            for fold in folds
        ),
        score_of(predictions),
    ]


def score_by(predictions: Predictions, column: str, values: Sequence[str], cut: float | None = None) -> dict[str, Any]:
    """Scores groups of pictures, so that a model that is good on the whole can't hide where it is not.

    Args:
        predictions: The answers.
        column: What the groups are made by.
        values: The value of every picture there.
        cut: Of the prediction sets, as in config.json; None for a model without.

    Returns:
        `column`; `values`, by value `pictures`, `accuracy` and `accuracy_interval`, the most pictures first, and with
        a cut `coverage`, the share of prediction sets that hold the true class, and `coverage_interval`; `worst`, the
        value whose interval ends lowest, None where there is only one: a group of three may have no right answer
        by chance.
    """
    value = np.asarray(values)
    sets = prediction_sets(predictions.probs, cut)
    hold = None if sets is None else sets[np.arange(len(value)), predictions.labels]
    rows: dict[str, dict[str, Any]] = {}
    for name, pictures in Counter(values).most_common():
        part = value == name
        right, groups = predictions.right[part], predictions.group_numbers[part]
        rows[name] = {
            "pictures": pictures,
            "accuracy": float(right.mean()),
            "accuracy_interval": share_interval(right, groups),
        }
        if hold is not None:
            interval = share_interval(hold[part], groups)
            rows[name] |= {"coverage": float(hold[part].mean()), "coverage_interval": interval}
    worst = min(rows, key=lambda name: rows[name]["accuracy_interval"][1]) if len(rows) > 1 else None
    return {"column": column, "values": rows, "worst": worst}
