"""How accuracy grows with the number of pictures, and where that leads: a power law, with its spread."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.intervals import bootstrap, share_interval
from train.predictions import Predictions

# Beyond so many times the pictures there are, a line through a few points says nothing.
FARTHEST = 16


@dataclass(frozen=True)
class Point:
    """How good models are that learned from so many pictures.

    Attributes:
        fraction: Of the training pictures, 0 to 1.
        per_class: Training pictures per class, mean over classes and folds.
        pictures: How many were judged.
        accuracy: Share of right answers, 0 to 1.
        interval: Of the accuracy, 95 %, over groups.
    """

    fraction: float
    per_class: float
    pictures: int
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class LearningCurve:
    """Points, and the law that errors fall by: `error = factor * per_class ** -exponent` (Hestness et al. 2017).

    Attributes:
        points: From few pictures to many, three or more.
        factor: Of the law.
        exponent: Of the law; not above 0 where more pictures did not help.
        resampled: Factors and exponents of a bootstrap over groups of judged pictures, of shape (draws, 2).
    """

    points: list[Point]
    factor: float
    exponent: float
    resampled: np.ndarray

    def accuracy(self, per_class: np.ndarray) -> np.ndarray:
        """Returns what the law expects of so many pictures per class, 0 to 1."""
        return np.clip(1 - self.factor * per_class**-self.exponent, 0, 1)

    def spread(self, per_class: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the 2.5 and 97.5 % percentiles of what the resampled laws expect."""
        expected = 1 - self.resampled[:, :1] * per_class[None] ** -self.resampled[:, 1:]
        low, high = np.percentile(np.clip(expected, 0, 1), [2.5, 97.5], axis=0)
        return low, high

    @property
    def farthest(self) -> float:
        """Pictures per class beyond which the law is not followed."""
        return FARTHEST * self.points[-1].per_class

    def needed(self, accuracy: float) -> tuple[float, float, float]:
        """Returns how many pictures per class an accuracy takes, with a 95 % interval; infinite past `farthest`."""
        laws = np.vstack([[self.factor, self.exponent], self.resampled])
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            # Where more pictures do not help, no number of them will do.
            numbers = np.where(laws[:, 1] > 0, (laws[:, 0] / (1 - accuracy)) ** (1 / laws[:, 1]), math.inf)
        numbers[numbers > self.farthest] = math.inf
        low, high = np.percentile(numbers[1:], [2.5, 97.5], method="nearest")
        return float(numbers[0]), float(low), float(high)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "points": [vars(point) for point in self.points],
            "factor": self.factor,
            "exponent": self.exponent,
            "exponent_interval": np.percentile(self.resampled[:, 1], [2.5, 97.5]).tolist(),
        }


def learning_curve(answers: dict[float, Predictions], per_class: dict[float, float]) -> LearningCurve:
    """Fits the law to out-of-fold answers of models that learned from fractions of the pictures.

    Args:
        answers: By fraction, to the same pictures in the same order, with their groups.
        per_class: By fraction, training pictures per class.
    """
    fractions = sorted(answers)
    right = np.stack([answers[fraction].right for fraction in fractions], axis=1)
    sizes, groups = np.array([per_class[fraction] for fraction in fractions]), answers[fractions[0]].group_numbers
    points = [
        Point(fraction, float(size), len(right), float(column.mean()), share_interval(column, groups))
        for fraction, size, column in zip(fractions, sizes, right.T, strict=True)
    ]
    sums = np.hstack([right, np.ones((len(right), 1))])
    factor, exponent = _law(sums.sum(0)[None], sizes)[0]
    return LearningCurve(
        points, float(factor), float(exponent), bootstrap(sums, groups, lambda drawn: _law(drawn, sizes))
    )


def _law(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns factor and exponent, of shape (draws, 2), of straight lines through the errors, both axes logarithmic.

    Args:
        sums: Right answers by size, and pictures, of shape (draws, sizes + 1).
        sizes: Training pictures per class.
    """
    # Half a mistake where there is none: its logarithm must be a number.
    errors = np.log((sums[:, -1:] - sums[:, :-1] + 0.5) / (sums[:, -1:] + 1))
    slope, intercept = np.polyfit(np.log(sizes), errors.T, 1)
    return np.stack([np.exp(intercept), -slope], axis=1)


def verdict(curve: LearningCurve) -> str:
    """Returns in words how many more pictures it takes to halve the errors, as far as the points tell."""
    last = curve.points[-1]
    goal = 1 - (1 - last.accuracy) / 2
    number, low, high = curve.needed(goal)
    begin = (
        f"{last.accuracy:.0%} with {last.per_class:.0f} pictures per class; half as many mistakes ({goal:.0%}) would "
    )
    if math.isinf(low):
        return f"{begin}take more than {curve.farthest:.0f} per class, if more of the same help at all"
    above = "more than " if math.isinf(number) else "about "
    most = f"more than {curve.farthest:.0f}" if math.isinf(high) else f"{high:.0f}"
    return f"{begin}take {above}{min(number, curve.farthest):.0f} per class (95 % interval {low:.0f} to {most})"
