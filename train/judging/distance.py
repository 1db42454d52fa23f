"""Far from everything learned: from which distance on a picture is like none of the classes, and how that does."""

import math
from typing import Any

import numpy as np

from hub.reference_features import SCORE, Nearest, ReferenceFeatures, scores_of
from train.judging.intervals import wilson_interval

FALSE_ALARMS = 0.05


def choose_distance(scores: np.ndarray, false_alarms: float = FALSE_ALARMS) -> float | None:
    """Chooses the distance that the next picture of the classes exceeds with at most this probability.

    Not what these pictures happen to give: of n pictures and the next one, each place in the order is as likely, so
    that the next one lies above the r-th smallest with probability 1 - r / (n + 1) (split conformal prediction: Vovk
    et al. 2005; Lei et al. 2018). With fewer than 19 pictures no distance promises 5 %.

    Args:
        scores: Of pictures that the model has not learned from, of shape (pictures,); higher is farther.
        false_alarms: 0 to 1, both excluded.

    Returns:
        The distance, or None where so few pictures promise none.
    """
    # Rounded first: 0.95 * 20 is 19 and not a little more.
    rank = math.ceil(round((len(scores) + 1) * (1 - false_alarms), 9))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else None


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
