"""How accuracy grows with the number of pictures, and what that promises: a power law, with its honest spread."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import linregress

from train.intervals import wilson_interval

_RESAMPLES = 1000
# Beyond so many times the pictures there are, a line through a few points says nothing.
FARTHEST = 16


@dataclass(frozen=True)
class Point:
    """What models that learned from so many pictures are worth.

    Attributes:
        fraction: Of the training pictures, 0 to 1.
        per_class: Training pictures per class, mean over classes and folds.
        pictures: How many were judged.
        accuracy: Share of right answers, 0 to 1.
        interval: Of the accuracy, 95 %, Wilson's (1927).
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
        drawn: Pairs of factor and exponent when groups of judged pictures are drawn anew, of shape (draws, 2).
    """

    points: list[Point]
    factor: float
    exponent: float
    drawn: np.ndarray

    def accuracy(self, per_class: np.ndarray) -> np.ndarray:
        """Returns what the law expects of so many pictures per class, 0 to 1."""
        return np.clip(1 - self.factor * per_class**-self.exponent, 0, 1)

    def spread(self, per_class: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the 2.5 and 97.5 % percentiles of what the drawn laws expect."""
        expected = 1 - self.drawn[:, :1] * per_class[None] ** -self.drawn[:, 1:]
        low, high = np.percentile(np.clip(expected, 0, 1), [2.5, 97.5], axis=0)
        return low, high

    @property
    def farthest(self) -> float:
        """Pictures per class beyond which nothing is said."""
        return FARTHEST * self.points[-1].per_class

    def needed(self, accuracy: float) -> tuple[float, float, float]:
        """Returns how many pictures per class an accuracy takes, with a 95 % interval; infinite past `farthest`."""
        laws = np.vstack([[self.factor, self.exponent], self.drawn])
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
            "exponent_interval": np.percentile(self.drawn[:, 1], [2.5, 97.5]).tolist(),
        }


def learning_curve(
    right: dict[float, np.ndarray], per_class: dict[float, float], groups: list[str], seed: int
) -> LearningCurve:
    """Fits the law to out-of-fold answers of models that learned from fractions of the pictures.

    Args:
        right: By fraction, whether each picture was answered rightly, bool of shape (pictures,), the same pictures.
        per_class: By fraction, training pictures per class.
        groups: The group of every picture; near-duplicates are drawn together.
        seed: Of the bootstrap.
    """
    fractions = sorted(right)
    answers = np.stack([right[fraction] for fraction in fractions])
    sizes = np.array([per_class[fraction] for fraction in fractions])
    points = [
        Point(fraction, float(size), len(of), float(of.mean()), wilson_interval(int(of.sum()), len(of)))
        for fraction, size, of in zip(fractions, sizes, answers, strict=True)
    ]
    places = np.unique(groups, return_inverse=True)[1]
    members = np.stack([np.bincount(places, of) for of in answers])
    counts = np.bincount(places)
    chance = np.random.default_rng(seed)
    weights = chance.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), _RESAMPLES)
    drawn = np.array([_law(sizes, members @ weight, int(counts @ weight)) for weight in weights])
    factor, exponent = _law(sizes, answers.sum(1), len(places))
    return LearningCurve(points, factor, exponent, drawn)


def _law(sizes: np.ndarray, right: np.ndarray, total: int) -> tuple[float, float]:
    """Returns factor and exponent of a straight line through the errors, both axes logarithmic."""
    # Half a mistake where there is none: its logarithm must be a number.
    errors = (total - right + 0.5) / (total + 1)
    line = linregress(np.log(sizes), np.log(errors))
    return float(np.exp(line.intercept)), float(-line.slope)


def verdict(curve: LearningCurve) -> str:
    """Returns in words how many more pictures it takes to halve the errors, as honestly as the points allow."""
    last = curve.points[-1]
    goal = 1 - (1 - last.accuracy) / 2
    number, low, high = curve.needed(goal)
    said = (
        f"{last.accuracy:.0%} with {last.per_class:.0f} pictures per class; half as many mistakes ({goal:.0%}) would "
    )
    if math.isinf(low):
        return f"{said}take more than {curve.farthest:.0f} per class, if more of the same help at all"
    above = "more than " if math.isinf(number) else "about "
    most = f"more than {curve.farthest:.0f}" if math.isinf(high) else f"{high:.0f}"
    return f"{said}take {above}{min(number, curve.farthest):.0f} per class (95 % interval {low:.0f} to {most})"
