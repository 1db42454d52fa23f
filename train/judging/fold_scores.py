"""What out-of-fold predictions are worth: a score per fold and, over all pictures, one with its interval."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from train.judging.metrics import wilson_interval
from train.judging.out_of_fold import OutOfFold

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
        scores.append(Score(fold, int(of.sum()), float(of.trace() / of.sum()), float(_macro_f1(of))))
    places = np.unique(groups, return_inverse=True)[1]
    by_group = np.array([counts(places == place).ravel() for place in range(places.max() + 1)])
    drawn = np.random.default_rng(seed).multinomial(
        len(by_group), np.full(len(by_group), 1 / len(by_group)), _RESAMPLES
    )
    low, high = np.percentile(_macro_f1((drawn @ by_group).reshape(-1, number, number)), [2.5, 97.5])
    of = counts(answers.folds > 0)
    right, total = int(of.trace()), int(of.sum())
    scores.append(
        Score(
            None, total, right / total, float(_macro_f1(of)), wilson_interval(right, total), (float(low), float(high))
        )
    )
    return scores


def _macro_f1(counts: np.ndarray) -> np.ndarray:
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
