"""95 % intervals: how far a number may be off because other pictures could have been drawn.

Near-duplicates are right or wrong together: a group of them is one witness, not many. Every interval of a share or an
area takes the effective number of pictures, and the bootstrap draws whole groups.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse
from scipy.optimize import brentq
from scipy.stats import beta, norm, t

REPLICATES, SEED = 2000, 8
# Draws that are held at once: as many as make so many numbers, a row of groups each.
_NUMBERS_AT_ONCE = 2_000_000
_Z, _TINY = float(norm.ppf(0.975)), 1e-12


def wilson_interval(right: float, total: float) -> tuple[float, float]:
    """Returns the 95 % interval of a share by Wilson's score method (Wilson 1927), 0 to 1; of nothing, all of that.

    Args:
        right: How many; need not be whole, as effective numbers are not.
        total: Of how many.
    """
    if total == 0:
        return 0.0, 1.0
    share = right / total
    middle, spread = share + _Z**2 / (2 * total), _Z * np.sqrt(share * (1 - share) / total + (_Z / total) ** 2 / 4)
    low, high = ((middle + sign * spread) / (1 + _Z**2 / total) for sign in (-1, 1))
    # At the ends rounding would leave a bit beyond the share itself.
    return (max(0.0, float(low)) if right else 0.0), (min(1.0, float(high)) if right < total else 1.0)


def most_share(count: int, total: int, confidence: float) -> float:
    """Returns the one-sided upper bound of a share, exact for independent pictures (Clopper and Pearson 1934)."""
    return float(beta.ppf(confidence, count + 1, total - count)) if count < total else 1.0


def group_numbers(groups: Sequence[object] | np.ndarray | None, pictures: int) -> np.ndarray:
    """Returns the number of every picture's group, 0 to groups - 1; where none are known, each picture is its own."""
    if groups is None:
        return np.arange(pictures)
    return np.unique(groups if isinstance(groups, np.ndarray) else np.asarray(groups, str), return_inverse=True)[1]


def effective_number(values: np.ndarray, groups: Sequence[object] | np.ndarray | None) -> float:
    """Returns how many independent pictures would tell the mean of some values as well as these do.

    That is the number of pictures over Kish's design effect (Kish 1965; for shares Rao and Scott 1992): the
    cluster-robust variance of the mean over the variance that it would have without groups, at least 1. A variance
    from few groups is itself uncertain, hence the squared ratio of t quantiles (Korn and Graubard 1998). Where all
    values are the same there is nothing to estimate a variance from: then every group counts once.

    Args:
        values: One per picture, of shape (pictures,).
        groups: The group of near-duplicates of every picture; None where every picture is its own.

    Returns:
        1 where all pictures are of one group.
    """
    number = len(values)
    group_of = group_numbers(groups, number)
    count = len(np.unique(group_of))
    if count == number:
        return float(number)
    residuals = values - values.mean(dtype=float)
    if count == 1 or not residuals.any():
        return float(count)
    clustered = count / (count - 1) * (np.bincount(group_of, residuals) ** 2).sum() / number**2
    alone = residuals.var(ddof=1) / number
    return number * min(1.0, alone / clustered) * (t.ppf(0.975, number - 1) / t.ppf(0.975, count - 1)) ** 2


def share_interval(right: np.ndarray, groups: Sequence[object] | np.ndarray | None) -> tuple[float, float]:
    """Returns the 95 % interval of the share of right pictures: Wilson's, of the effective number of pictures.

    Of the ways to treat clustered shares this one covers best for few clusters and shares near 1 (Franco, Little,
    Louis and Slud 2019, "Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys").

    Args:
        right: bool of shape (pictures,).
        groups: The group of near-duplicates of every picture; None where every picture is its own.

    Returns:
        0 to 1; all of that where there are no pictures.
    """
    number = effective_number(right, groups)
    return wilson_interval(right.mean() * number, number) if number else (0.0, 1.0)


def auroc_interval(auroc: float, positives: float, negatives: float) -> tuple[float, float]:
    """Returns the 95 % interval of an area under the ROC curve by Newcombe's method 5 (Newcombe 2006, part 2).

    Like Wilson's it takes the variance at the end of the interval and not at the estimate, so that an area of 1 has an
    interval with a width, too.

    Args:
        auroc: 0 to 1.
        positives: How many; effective numbers where near-duplicates are among them.
        negatives: Likewise.
    """
    if not positives or not negatives:
        return 0.0, 1.0
    half = max((positives + negatives) / 2 - 1, 0)

    def beyond(area: float) -> float:
        variance = area * (1 - area) * (1 + half * ((1 - area) / (2 - area) + area / (1 + area)))
        return (auroc - area) ** 2 - _Z**2 * variance / (positives * negatives)

    # At 0 and 1 the variance is 0, which makes 1 a root of its own where the area is 1.
    low = brentq(beyond, 0, min(auroc, 1 - _TINY)) if auroc > 0 else 0.0
    return float(low), float(brentq(beyond, max(auroc, _TINY), 1)) if auroc < 1 else 1.0


def bootstrap(
    sums: np.ndarray | sparse.csr_matrix,
    groups: Sequence[object] | np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Returns a statistic of 2,000 draws of whole groups of pictures, with replacement; always the same draws.

    Near-duplicates are right or wrong together: drawn one by one they would make every interval too narrow
    (cluster bootstrap; Davison and Hinkley 1997, section 3.8).

    Args:
        sums: Of shape (pictures, numbers): what a picture adds to the sums that the statistic is made of. Sparse
            where that is little of much, such as the counts of a thousand classes.
        groups: The group of every picture.
        statistic: Turns sums of shape (draws, numbers) into values whose first axis is draws.
    """
    number_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    pictures, count = len(number_of), int(number_of.max()) + 1
    members = sparse.csr_matrix((np.ones(pictures), (number_of, np.arange(pictures))), (count, pictures))
    # Transposed: scipy multiplies a sparse matrix by a dense one from the left only.
    of_groups = (members @ sparse.csr_matrix(sums)).T.tocsr()
    rng, values, left = np.random.default_rng(SEED), [], REPLICATES
    while left:
        draws = max(1, min(left, _NUMBERS_AT_ONCE // max(count, of_groups.shape[0])))
        # How often each group was drawn, instead of which: memory does not grow with the width of a row.
        drawn = rng.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count)
        values.append(statistic((of_groups @ times.T).T))
        left -= draws
    return np.concatenate(values)


def bootstrap_interval(
    sums: np.ndarray | sparse.csr_matrix,
    groups: Sequence[object] | np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
) -> tuple[float, float]:
    """Returns the 95 % percentile interval of `bootstrap`; of a single group, which promises nothing, all numbers.

    What never happened in these pictures does not happen in the draws, so that the interval of a perfect score has
    no width.
    """
    if len(np.unique(np.asarray(groups))) == 1:
        return float("-inf"), float("inf")
    low, high = np.quantile(bootstrap(sums, groups, statistic), [0.025, 0.975])
    return float(low), float(high)
