"""When a model should say that it does not know: a probability below which it does not answer, and what that promises.

The threshold is the lowest one above which the validation pictures show, with a confidence of 90 %, that at least
`target_accuracy` of the answers are right ("Selective classification for deep neural networks", Geifman and El-Yaniv
2017; "Learn then Test", Angelopoulos et al. 2021). Where they do not show it, answers that are more likely wrong than
right are withheld: 0.5 is served, and config.json says why nothing is promised. A promise is about pictures like those
of the validation split; that this split also chose the epoch is not accounted for.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import binom

from files.errors import UserError
from model_folder.facts import HALF, read_threshold
from train.intervals import group_numbers, most_share, share_interval

CONFIDENCE = 0.9
_POINTS = 100
# Both are higher where a model is surer. Energy: Liu et al. 2020, with its sign turned.
SCORES = {
    "max_probability": lambda logits: softmax(logits.astype(np.float64), axis=1).max(1),
    "energy": lambda logits: logsumexp(logits.astype(np.float64), axis=1),
}
# The threshold is about right and wrong answers, which the highest probability tells apart better on each of five
# trained models (AUROC 0.63 to 0.92 on 40 to 72 test pictures; energy: 0.43 to 0.81). Nor does energy find pictures of
# something else better there (120 photographs: 0.39 to 0.54 against 0.44 to 0.66), only under a strongly regularised
# linear classifier on frozen ImageNet features (0.95 against 0.87, fifteen folds).
SCORE = "max_probability"


class ThresholdError(UserError):
    """A config.json whose threshold makes no sense."""


def choose_threshold(
    logits: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[object] | np.ndarray | None,
    target_accuracy: float,
    split: str,
) -> dict[str, Any]:
    """Chooses the lowest threshold above which the answers are shown to be right often enough.

    Fixed-sequence testing: thresholds are tried from the strictest one on, each at the full level of 10 %, until one
    fails. One passes when a model of just the target accuracy would make so few mistakes in at most 10 % of cases,
    that is by the one-sided Clopper-Pearson bound. The first is where a model without a mistake passes (45 answers for
    95 %), each next one where another mistake is allowed (77, 105, 132 ...), and the last one answers everything. A
    group of near-duplicates counts once, as wrong where one of its answered pictures is.

    Of simulated calibrated models (500 each, accuracy 63 to 86 %, 150 to 1,000 pictures) the true accuracy above the
    threshold that was found is below 95 % for 1 to 7 %; it was for 42 to 49 % by Laplace's rule of succession,
    (right + 1) / (answered + 2), which holds on average only. Of models that are right on 94.99 % whatever they score,
    which is the hardest case, 10 % get a threshold.

    Args:
        logits: Of shape (pictures, classes), as the published model gives them.
        labels: True classes, of shape (pictures,).
        groups: The group of near-duplicates of every picture; None where every picture is its own.
        target_accuracy: 0 to 1, both excluded.
        split: Where the pictures are from, for the record.

    Returns:
        `reject_threshold` of config.json: `score` and `value`, below which a picture is not answered; `promised`:
        whether the answers are shown to reach `target_accuracy` with this `confidence`, and if not, the `reason`;
        `promised_accuracy`: what they are shown to reach at this value; `split`, `pictures` and `groups`: what it
        rests on; how many of these pictures are `answered`, their share (`coverage`), and the share of the answered
        that is right (`accuracy`, None where there are none).
    """
    scores = SCORES[SCORE](logits)
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], (logits.argmax(1) == labels)[order]
    group_of = group_numbers(groups, len(labels))[order]
    # At index k, of the k surest pictures: their groups, those with a wrong answer, and how many of these may be.
    seen, wrong = _running_count(group_of, np.full(len(right), True)), _running_count(group_of, ~right)
    allowed = binom.ppf(1 - CONFIDENCE, seen, 1 - target_accuracy).astype(int) - 1
    # Pictures with the same score are answered together, or not at all.
    possible = np.flatnonzero(np.append(scores[1:] < scores[:-1], True)) + 1
    sequence = possible[np.diff(allowed[possible], prepend=-1) > 0].tolist()
    count = 0
    for number in [*sequence, len(scores)] if sequence else []:
        if wrong[number] > allowed[number]:
            break
        count = number
    promised, reason = count > 0, None
    if promised:
        # Midway to the next one: another library's last digit must not turn an answer away.
        value = float(scores[count - 1 : count + 1].mean())
    else:
        value, count = HALF, int((scores >= HALF).sum())
        reason = _why_not(seen, wrong, allowed, sequence, target_accuracy)
    return {
        "score": SCORE,
        "value": value,
        "promised": promised,
        "target_accuracy": target_accuracy,
        "confidence": CONFIDENCE,
        "promised_accuracy": target_accuracy if promised else _least_accuracy(seen[count], wrong[count]),
        "split": split,
        "pictures": len(scores),
        "groups": int(seen[-1]),
        "answered": count,
        "coverage": count / len(scores),
        "accuracy": float(right[:count].mean()) if count else None,
        "reason": reason,
    }


def _running_count(group_of: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Returns at index k how many groups have a chosen picture among the first k, of shape (pictures + 1,)."""
    rows = np.flatnonzero(chosen)
    first = np.zeros(len(group_of) + 1, int)
    first[rows[np.unique(group_of[rows], return_index=True)[1]] + 1] = 1
    return first.cumsum()


def _least_accuracy(total: int, wrong: int) -> float:
    return 1 - most_share(int(wrong), int(total), CONFIDENCE)


def _why_not(
    seen: np.ndarray, wrong: np.ndarray, allowed: np.ndarray, sequence: list[int], target_accuracy: float
) -> str:
    target, total = percent(target_accuracy), seen[-1]
    kind = "" if total == len(seen) - 1 else " groups of near-duplicates"
    if not sequence:
        most = percent(_least_accuracy(total, 0))
        return f"too few pictures to promise {target} (even {total} of {total}{kind} right promise {most} at most)"
    first = sequence[0]
    most = f"at most {allowed[first]}" if allowed[first] else "none"
    return (
        f"{wrong[first]} of the {seen[first]} surest{kind or ' pictures'} are wrong; to promise {target} {most} may be"
    )


def percent(share: float) -> str:
    """Returns a share as in "95 %" or "99.5 %"."""
    return f"{round(100 * share, 1):g} %"


def risk_coverage(
    logits: np.ndarray, labels: np.ndarray, score: str, groups: Sequence[object] | np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Returns how accuracy rises as fewer pictures are answered (El-Yaniv and Wiener 2010), at most 100 points.

    Returns:
        `threshold`, `coverage`, `accuracy` and its 95 % `accuracy_interval` (0 to 1), and `pictures`, from the surest
        answers to all of them.
    """
    values = SCORES[score](logits)
    order = np.argsort(-values, kind="stable")
    values, right = values[order], (logits.argmax(1) == labels)[order]
    group_of = group_numbers(groups, len(labels))[order]
    possible = np.flatnonzero(np.append(values[1:] < values[:-1], True))
    chosen = possible[np.unique(np.linspace(0, len(possible) - 1, _POINTS).astype(int))]
    return [
        {
            "threshold": float(values[last]),
            "coverage": (int(last) + 1) / len(values),
            "accuracy": float(right[: last + 1].mean()),
            "accuracy_interval": share_interval(right[: last + 1], group_of[: last + 1]),
            "pictures": int(last) + 1,
        }
        for last in chosen
    ]


def stated_threshold(config: dict[str, Any]) -> dict[str, Any]:
    """Returns `reject_threshold` of a model's config.json as the pages serve it, with a `value` and `promised` always.

    Raises:
        ThresholdError: It says something that is no threshold.
    """
    stated = config.get("reject_threshold")
    if stated is not None:
        value = stated.get("value", "") if isinstance(stated, dict) else ""
        if not (value is None or isinstance(value, int | float)) or stated.get("score") not in SCORES:
            raise ThresholdError(
                f"config.json has reject_threshold: {str(stated)[:60]}: it takes score ({', '.join(SCORES)}) and value"
            )
    served = read_threshold(config)
    return {**(stated or {}), "score": SCORE, "value": served.value, "promised": served.promised is not None}


def answered(logits: np.ndarray, stated: dict[str, Any]) -> np.ndarray:
    """Returns which pictures score at least the threshold, bool of shape (pictures,)."""
    return SCORES[stated["score"]](logits) >= stated["value"]


def judge_threshold(
    logits: np.ndarray, labels: np.ndarray, stated: dict[str, Any], groups: Sequence[object] | np.ndarray | None = None
) -> dict[str, Any]:
    """Returns what the threshold that a model serves does to a split.

    Args:
        logits: Of shape (pictures, classes).
        labels: True classes, of shape (pictures,).
        stated: As `stated_threshold` gives it.
        groups: The group of near-duplicates of every picture; None where every picture is its own.
    """
    answers = answered(logits, stated)
    right = (logits.argmax(1) == labels)[answers]
    return {
        "score": stated["score"],
        "threshold": stated["value"],
        **{key: stated.get(key) for key in ("promised", "target_accuracy", "confidence", "reason")},
        "coverage": float(answers.mean()),
        "answered": len(right),
        "accuracy": float(right.mean()) if len(right) else None,
        "accuracy_interval": share_interval(right, None if groups is None else np.asarray(groups)[answers]),
    }


def abstention_sentence(reject: dict[str, Any]) -> str:
    """Returns what `judge_threshold` found, in words."""
    text = f"abstains below a probability of {reject['threshold']:.3f}: answers "
    if reject["answered"]:
        low, high = reject["accuracy_interval"]
        text += (
            f"{reject['coverage']:.1%}, of which {reject['accuracy']:.1%} are right "
            f"(95 % interval {low:.1%} – {high:.1%})"
        )
    else:
        text += "none of these pictures"
    if reject["promised"]:
        return (
            f"{text}; promised were {percent(reject['target_accuracy'])}, with {reject['confidence']:.0%} confidence"
        )
    return f"{text}; no accuracy was promised{': ' if reject['reason'] else ''}{reject['reason'] or ''}"
