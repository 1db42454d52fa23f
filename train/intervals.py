"""95 % intervals: how far a number may be off because other pictures could have been drawn."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binomtest, norm

REPLICATES, SEED = 2000, 8
_AT_ONCE = 100


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share by Wilson's score method (Wilson 1927), 0 to 1; of nothing, all of that."""
    if total == 0:
        return 0.0, 1.0
    interval = binomtest(right, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def auroc_interval(auroc: float, positives: int, negatives: int) -> tuple[float, float]:
    """Returns the 95 % interval of an area under the ROC curve by its standard error (Hanley and McNeil 1982)."""
    of_positives, of_negatives = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc)
    variance += (positives - 1) * (of_positives - auroc**2) + (negatives - 1) * (of_negatives - auroc**2)
    reach = norm.ppf(0.975) * np.sqrt(variance / (positives * negatives))
    return max(0.0, float(auroc - reach)), min(1.0, float(auroc + reach))


def bootstrap_interval(
    sums: np.ndarray, groups: Sequence[object], statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float]:
    """Returns the 95 % percentile interval of a statistic when whole groups of pictures are drawn anew.

    Near-duplicates are right or wrong together: drawn one by one they would make every interval too narrow
    (cluster bootstrap; Davison and Hinkley 1997, section 3.8). What never happened in these pictures does not
    happen in the draws, so that the interval of a perfect score has no width.

    Args:
        sums: Of shape (pictures, numbers): what a picture adds to the sums that the statistic is made of.
        groups: The group of every picture.
        statistic: Turns sums of shape (draws, numbers) into values of shape (draws,).
    """
    number_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    count = int(number_of.max()) + 1
    if count == 1:
        return float("-inf"), float("inf")
    of_groups = np.zeros((count, sums.shape[1]))
    np.add.at(of_groups, number_of, sums)
    random = np.random.default_rng(SEED)
    values = []
    for _ in range(REPLICATES // _AT_ONCE):
        # How often each group was drawn, instead of which: memory does not grow with the width of a row.
        drawn = random.integers(count, size=(_AT_ONCE, count)) + count * np.arange(_AT_ONCE)[:, None]
        times = np.bincount(drawn.ravel(), minlength=_AT_ONCE * count).reshape(_AT_ONCE, count)
        values.append(statistic(times @ of_groups))
    low, high = np.quantile(np.concatenate(values), [0.025, 0.975])
    return float(low), float(high)
