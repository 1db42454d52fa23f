"""95 % intervals: how far a number may be off because other pictures could have been drawn."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse
from scipy.stats import binomtest, norm

REPLICATES, SEED = 2000, 8
# Draws that are held at once: as many as make so many numbers, a row of groups each.
_NUMBERS_AT_ONCE = 2_000_000


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


def share_interval(right: np.ndarray, groups: Sequence[object] | np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of a share of pictures that come in groups: Wilson's, of an effective sample size.

    Pictures of one group tend to be right or wrong together. The design effect, the variance of the share between
    groups over that of as many pictures on their own (Kish 1965; Korn and Graubard 1998), says how many pictures on
    their own would tell as much. Where all are right, or none, no variance can be seen: then a group is taken to be
    right or wrong as one. Groups of one picture each give Wilson's interval itself.

    Args:
        right: Whether each picture counts, bool of shape (pictures,); of none, the interval is 0 to 1.
        groups: The group of every picture.
    """
    total = len(right)
    if total == 0:
        return 0.0, 1.0
    number_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes, rights = np.bincount(number_of), np.bincount(number_of, right)
    share, count = float(rights.sum()) / total, len(sizes)
    alone = share * (1 - share) / max(total - 1, 1)
    between = count / max(count - 1, 1) * float(((rights - share * sizes) ** 2).sum()) / total**2
    alike = float((sizes**2).sum()) / total
    effect = between / alone if alone and count > 1 else alike
    number = total / max(effect, 1.0)
    squared = norm.ppf(0.975) ** 2
    middle = (share + squared / (2 * number)) / (1 + squared / number)
    reach = np.sqrt(squared * (share * (1 - share) / number + squared / (4 * number**2))) / (1 + squared / number)
    return (float(middle - reach) if share else 0.0), (float(middle + reach) if share < 1 else 1.0)


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
