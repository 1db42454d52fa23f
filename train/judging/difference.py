"""Whether one model is better than another, by their answers to the same pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from train.judging.intervals import bootstrap_interval

_LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """How much more often the second model is right than the first.

    Attributes:
        value: Accuracy of the second minus that of the first, -1 to 1.
        interval: Its 95 % interval, bootstrapped over `over`, pair by pair.
        over: "groups of near-duplicates" or "pictures".
        only_first: Pictures that only the first is right on.
        only_second: Pictures that only the second is right on.
        p_value: Of McNemar's exact test (McNemar 1947): how often chance alone would part two models that are as
            good as each other at least so unevenly.
    """

    value: float
    interval: tuple[float, float]
    over: str
    only_first: int
    only_second: int
    p_value: float

    @property
    def is_noise(self) -> bool:
        """Tells whether these pictures can't tell the two apart."""
        low, high = self.interval
        return self.p_value >= _LEVEL or low <= 0 <= high

    def verdict(self, first: str, second: str) -> str:
        """Returns what the difference is worth, in a sentence."""
        if self.only_first + self.only_second == 0:
            return f"No difference: {first} and {second} are right and wrong on the same pictures."
        if self.is_noise:
            return (
                f"This difference is noise: as far as these pictures can tell, {second} is as good as {first}. "
                "More test pictures, or more runs with other seeds, would tell more."
            )
        better = second if self.value > 0 else first
        return f"{better} is better, and by more than chance explains."


def paired_difference(first: np.ndarray, second: np.ndarray, groups: Sequence[str] | None) -> Difference:
    """Compares two models picture by picture.

    Args:
        first: Whether the first model is right, bool of shape (pictures,).
        second: The second model, on the same pictures.
        groups: The group of near-duplicates of every picture, or None where every picture counts for itself.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    gains = second.astype(int) - first.astype(int)
    sums = np.stack([gains, np.ones_like(gains)], axis=1)
    low, high = bootstrap_interval(
        sums, groups if groups is not None else range(len(gains)), lambda drawn: drawn[:, 0] / drawn[:, 1]
    )
    parted = only_first + only_second
    return Difference(
        float(gains.mean()),
        (max(low, -1.0), min(high, 1.0)),
        "pictures" if groups is None else "groups of near-duplicates",
        only_first,
        only_second,
        float(binomtest(only_second, parted).pvalue) if parted else 1.0,
    )
