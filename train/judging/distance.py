"""Far from everything learned: from which distance on a picture is like none of the classes, and how that does."""

from typing import Any

import numpy as np
from scipy.stats import binom

from model_folder.reference_features import SCORE, Nearest, ReferenceFeatures, scores_of
from train.judging.intervals import wilson_interval

FALSE_ALARMS = 0.05
_CONFIDENCE = 0.9


def choose_distance(scores: np.ndarray, false_alarms: float = FALSE_ALARMS) -> float | None:
    """Chooses the distance that at most this share of pictures of the classes exceeds, with a confidence of 90 %.

    Not what these pictures happen to give: that is too near half the time. A one-sided tolerance limit, free of any
    distribution (Wilks 1941), is the r-th smallest of n where a binomial of n and `1 - false_alarms` stays below r
    with that confidence. Fewer than 45 pictures have none for 5 %; then it is the farthest one, which one picture in
    n + 1 exceeds on average. With fewer than 19 no distance promises 5 %, not even on average.

    Args:
        scores: Of pictures that the model has not learned from, of shape (pictures,); higher is farther.
        false_alarms: 0 to 1, both excluded.

    Returns:
        The distance, or None where so few pictures promise none.
    """
    count = len(scores)
    # Rounded first: 0.05 * 20 is 1 and not a little more.
    if round((count + 1) * false_alarms, 9) < 1:
        return None
    rank = int(binom.ppf(_CONFIDENCE, count, 1 - false_alarms)) + 1
    return float(np.sort(scores)[min(rank, count) - 1])


def choose_unlike(reference: ReferenceFeatures, nearest: Nearest, split: str) -> dict[str, Any]:
    """Returns `unlike` for config.json: from which distance on a picture is like none of the classes.

    Args:
        reference: The features of training pictures.
        nearest: Those nearest to each picture of a split that the model has not learned from.
        split: Which one.
    """
    scores = scores_of(nearest)
    value = choose_distance(scores)
    refused = 0 if value is None else int((scores > value).sum())
    return {
        "score": SCORE,
        "k": reference.k,
        "value": value,
        "target_false_alarms": FALSE_ALARMS,
        "split": split,
        "pictures": len(scores),
        "false_alarms": refused / len(scores),
        "reference_pictures": len(reference.features),
    }


def judge_distance(reference: ReferenceFeatures, nearest: Nearest) -> dict[str, Any]:
    """Returns how many pictures of a split are taken for something else, which are all false alarms.

    Args:
        reference: The features of training pictures, and the distance that was chosen.
        nearest: Those nearest to each picture of the split.
    """
    refused, count = int(reference.is_unlike(nearest).sum()), len(nearest.rows)
    return {
        "score": SCORE,
        "k": reference.k,
        "threshold": reference.threshold,
        "refused": refused,
        "false_alarms": refused / count,
        "false_alarms_interval": wilson_interval(refused, count),
    }
