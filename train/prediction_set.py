"""Prediction sets: the classes that a picture may be of, so many that the true one is rarely missing.

Split conformal prediction (Vovk, Gammerman and Shafer 2005) with the score of Sadinle, Lei and Wasserman 2019, "Least
Ambiguous Set-Valued Classifiers with Bounded Error Levels": a class belongs to the set where its probability is at
least a cut that is chosen on the validation split. Of a picture that could as well be one of these, the set holds the
true class with at least the target probability, whatever the model. Of pictures from elsewhere nothing is promised:
`evaluate` measures it.

Adaptive sets (APS, Romano et al. 2020; RAPS, Angelopoulos et al. 2021) were larger: benchmarks/README.md, "Prediction
sets".
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from model_folder.facts import PredictionSets
from train.intervals import group_numbers, share_interval

COVERAGE = 0.95
KEY = "prediction_set"
"""In config.json, in metrics.json and in tables of answers."""


def choose_cut(
    logits: np.ndarray, labels: np.ndarray, groups: Sequence[object] | np.ndarray | None, split: str
) -> dict[str, Any]:
    """Chooses the probability from which on a class belongs to a picture's set.

    Of n exchangeable groups and one more, the true class of the new one lies below the (n + 1) * 5 %-th lowest
    probability of a true class, rounded down, with a probability of 5 % at most. A group of near-duplicates counts
    once, by its picture whose true class has least. Fewer than 19 can't show 95 %.

    Args:
        logits: Of shape (pictures, classes), as the published model gives them.
        labels: True classes, of shape (pictures,).
        groups: The group of near-duplicates of every picture; None where every picture is its own.
        split: Where the pictures are from, for the record.

    Returns:
        `prediction_set` of config.json: `score`, `value` (the cut, 0 to 1; None where there are too few pictures),
        `target_coverage`, and what it rests on: `split`, `pictures`, `groups`, and there the share of sets that hold
        the true class (`coverage`) and their `mean_size`, both None without a cut.
    """
    probs = softmax(logits.astype(np.float64), axis=1)
    group_of = group_numbers(groups, len(labels))
    least = np.full(group_of.max() + 1, np.inf)
    np.minimum.at(least, group_of, probs[np.arange(len(labels)), labels])
    # Rounded first: 20 * 0.05 is 1 and not a little less.
    rank = math.floor(round((len(least) + 1) * (1 - COVERAGE), 9))
    # Another library's last digits must not leave a class out.
    value = float(np.sort(least)[rank - 1]) * (1 - 1e-3) if rank else None
    sets = prediction_sets(probs, value)
    return {
        "score": "probability",
        "value": value,
        "target_coverage": COVERAGE,
        "split": split,
        "pictures": len(labels),
        "groups": len(least),
        "coverage": None if sets is None else float(sets[np.arange(len(labels)), labels].mean()),
        "mean_size": None if sets is None else float(sets.sum(1).mean()),
    }


def prediction_sets(probs: np.ndarray, cut: float | None) -> np.ndarray | None:
    """Returns which classes belong to the set of each picture: those from the cut on, and the likeliest always.

    Args:
        probs: Of shape (pictures, classes).
        cut: As chosen; None for a model without one.

    Returns:
        Bool, of the same shape; None without a cut.
    """
    if cut is None:
        return None
    return (probs >= cut) | (np.arange(probs.shape[1]) == probs.argmax(1)[:, None])


def judge_sets(
    probs: np.ndarray, labels: np.ndarray, served: PredictionSets | None, groups: np.ndarray
) -> dict[str, Any] | None:
    """Returns how often the sets that a model serves hold the true class, and how many classes they have.

    Args:
        probs: Of shape (pictures, classes).
        labels: True classes, of shape (pictures,).
        served: As `read_prediction_sets` gives it.
        groups: The group of every picture, of shape (pictures,).

    Returns:
        `cut`, `target_coverage`, `coverage` with its 95 % `coverage_interval`, `mean_size`, and `sizes`: the number of
        sets with 1, 2, ... classes; None where the model serves none.
    """
    if served is None:
        return None
    sets = prediction_sets(probs, served.cut)
    assert sets is not None
    hold = sets[np.arange(len(labels)), labels]
    sizes = sets.sum(1)
    return {
        "cut": served.cut,
        "target_coverage": served.coverage,
        "coverage": float(hold.mean()),
        "coverage_interval": share_interval(hold, groups),
        "mean_size": float(sizes.mean()),
        "sizes": np.bincount(sizes, minlength=probs.shape[1] + 1)[1:].tolist(),
    }


def sets_sentence(judged: dict[str, Any]) -> str:
    """Returns what `judge_sets` found, in words."""
    low, high = judged["coverage_interval"]
    return (
        f"prediction sets hold the true class of {judged['coverage']:.1%} (95 % interval {low:.1%} – {high:.1%}), "
        f"with {judged['mean_size']:.1f} classes on average; {judged['target_coverage']:.0%} were aimed at, of "
        "pictures like those of the validation split"
    )
