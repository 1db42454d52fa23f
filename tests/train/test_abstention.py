from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax

from train.abstention import (
    CONFIDENCE,
    SCORES,
    ThresholdError,
    abstention_sentence,
    answered,
    choose_threshold,
    judge_threshold,
    risk_coverage,
    stated_threshold,
)


def _logits(scores: list[float]) -> np.ndarray:
    """Two classes, of which the first is predicted; the higher the score, the surer."""
    return np.array([[score, 0.0] for score in scores], np.float32)


def _choose(labels: np.ndarray, groups: list[str] | None = None, target: float = 0.95) -> dict:
    return choose_threshold(_logits(np.linspace(9, 1, len(labels)).tolist()), labels, groups, target, "validation")


def test_true_accuracy_is_below_the_target_in_at_most_a_tenth_of_calibrated_models() -> None:
    rng = np.random.default_rng(8)
    broken, promised, models = 0, 0, 0
    for spread, pictures in ((2.5, 1000), (4, 150), (4, 400), (7, 400)):
        logits = rng.normal(scale=spread, size=(50_000, 8))
        probs = softmax(logits, axis=1)
        highest = -np.sort(-probs.max(1))
        # Above each of these scores: of a calibrated model the mean probability is the share of right answers.
        accuracy = highest.cumsum() / np.arange(1, len(highest) + 1)
        for _ in range(500):
            rows = rng.integers(len(logits), size=pictures)
            labels = (probs[rows].cumsum(1) < rng.random((pictures, 1))).sum(1)
            chosen = choose_threshold(logits[rows], labels, None, 0.95, "validation")
            models += 1
            if chosen["promised"]:
                promised += 1
                broken += accuracy[np.searchsorted(-highest, -chosen["value"], side="right") - 1] < 0.95
    assert models == 2000
    assert promised > 1000
    assert broken / promised < 1 - CONFIDENCE


def test_a_model_just_below_the_target_gets_a_promise_in_a_tenth_of_cases() -> None:
    # The hardest case: it is right on 94.99 %, whatever it scores.
    rng = np.random.default_rng(8)
    promised = [_choose((rng.random(300) > 0.9499).astype(int))["promised"] for _ in range(1000)]
    assert 0.07 < np.mean(promised) < 0.13


@pytest.mark.parametrize(("first", "kept"), [(44, 0), (45, 45), (75, 45), (77, 77), (140, 132)])
def test_45_right_answers_promise_95_percent_and_44_do_not(first: int, kept: int) -> None:
    # The first picture after these is wrong, as are all the others.
    labels = np.where(np.arange(150) < first, 0, 1)
    chosen = _choose(labels)
    assert (chosen["promised"], chosen["promised_accuracy"] == 0.95) == (kept > 0, kept > 0)
    if kept:
        assert (chosen["answered"], chosen["coverage"], chosen["accuracy"]) == (kept, kept / 150, 1)
        scores = np.linspace(9, 1, 150)
        assert answered(_logits(scores.tolist()), chosen).sum() == kept
        # Midway to the next score.
        assert chosen["value"] == pytest.approx((1 / (1 + np.exp(-scores[kept - 1 : kept + 1]))).mean(), abs=1e-6)
    else:
        assert chosen["reason"] == "1 of the 45 surest pictures are wrong; to promise 95 % none may be"


def test_each_further_step_allows_a_mistake_until_one_fails() -> None:
    wrong = np.zeros(200, int)
    wrong[[60, 90, 120]] = 1
    # One of 77, two of 105, three of 132 and 158, 184 and everything: nothing fails.
    assert _choose(wrong)["answered"] == 200
    wrong[[61, 62]] = 1
    # Three of 77 fail, though five of 200 would pass.
    assert _choose(wrong)["answered"] == 45


@pytest.mark.parametrize(
    ("pictures", "target", "reason"),
    [
        (9, 0.95, "too few pictures to promise 95 % (even 9 of 9 right promise 77.4 % at most)"),
        (300, 0.995, "too few pictures to promise 99.5 % (even 300 of 300 right promise 99.2 % at most)"),
    ],
)
def test_few_pictures_promise_nothing_and_half_is_served(pictures: int, target: float, reason: str) -> None:
    chosen = _choose(np.zeros(pictures, int), target=target)
    assert (chosen["value"], chosen["promised"], chosen["reason"]) == (0.5, False, reason)
    assert (chosen["answered"], chosen["coverage"], chosen["accuracy"]) == (pictures, 1, 1)
    assert chosen["promised_accuracy"] == pytest.approx(0.1 ** (1 / pictures))


def test_a_group_of_near_duplicates_counts_once() -> None:
    labels, groups = np.zeros(90, int), [f"pair {number // 2}" for number in range(90)]
    assert _choose(labels, groups)["groups"] == 45
    assert _choose(labels, groups)["promised"]
    assert _choose(labels[:88], groups[:88])["reason"] == (
        "too few pictures to promise 95 % (even 44 of 44 groups of near-duplicates right promise 94.9 % at most)"
    )
    # One of two is enough for a group to be wrong.
    labels[87] = 1
    assert not _choose(labels, groups)["promised"]
    assert _choose(labels)["promised"]


def test_equal_scores_are_answered_together_or_not_at_all() -> None:
    labels = np.repeat([0, 1], [60, 30])
    assert not choose_threshold(_logits([2.0] * 90), labels, None, 0.9, "validation")["promised"]
    assert len(risk_coverage(_logits([2.0] * 90), labels, "energy")) == 1


def test_a_model_that_is_never_sure_answers_nothing() -> None:
    logits = np.random.default_rng(8).normal(scale=0.1, size=(30, 8))
    chosen = choose_threshold(logits, np.zeros(30, int), None, 0.95, "validation")
    assert (chosen["answered"], chosen["accuracy"], chosen["promised_accuracy"]) == (0, None, 0)
    judged = judge_threshold(logits, np.zeros(30, int), chosen)
    assert (judged["answered"], judged["accuracy"], judged["accuracy_interval"]) == (0, None, (0, 1))
    assert abstention_sentence(judged).startswith("abstains below a probability of 0.500: answers none of these pictu")


def test_without_a_promise_half_is_judged_as_it_is_served() -> None:
    # Two of three classes are likely, none of them with a half.
    logits = np.log([[0.45, 0.45, 0.1], [0.9, 0.05, 0.05]])
    judged = judge_threshold(logits, np.array([0, 0]), stated_threshold({}))
    assert (judged["threshold"], judged["promised"], judged["coverage"], judged["accuracy"]) == (0.5, False, 0.5, 1)
    chosen = choose_threshold(logits, np.array([0, 0]), None, 0.95, "validation")
    assert abstention_sentence(judge_threshold(logits, np.array([0, 0]), chosen)) == (
        "abstains below a probability of 0.500: answers 50.0%, of which 100.0% are right (95 % interval 20.7% – "
        "100.0%); no accuracy was promised: too few pictures to promise 95 % (even 2 of 2 right promise 31.6 % at "
        "most)"
    )


def test_near_duplicates_widen_the_interval_of_the_answered() -> None:
    logits, labels = _logits([3.0] * 40), np.repeat([0, 1, 0], [16, 8, 16])
    stated = stated_threshold({"reject_threshold": _choose(np.zeros(60, int))})
    alone, grouped = (
        judge_threshold(logits, labels, {**stated, "value": 0.9}, groups)
        for groups in (None, [str(number // 8) for number in range(40)])
    )
    assert np.ptp(grouped["accuracy_interval"]) > 2 * np.ptp(alone["accuracy_interval"])
    assert abstention_sentence(alone).endswith("; promised were 95 %, with 90% confidence")


def test_near_duplicates_widen_the_intervals_of_the_curve() -> None:
    logits, labels = _logits(np.linspace(9, 1, 60).tolist()), np.repeat([0, 1, 0], 20)
    groups = [str(number // 10) for number in range(60)]
    alone, grouped = (risk_coverage(logits, labels, "energy", given)[-1] for given in (None, groups))
    assert alone["accuracy"] == grouped["accuracy"]
    assert np.ptp(grouped["accuracy_interval"]) > 2 * np.ptp(alone["accuracy_interval"])


@pytest.mark.parametrize("score", SCORES)
def test_the_curve_ends_with_every_picture(score: str) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(1000, 4)), rng.integers(0, 4, 1000)
    curve = risk_coverage(logits, labels, score)
    assert len(curve) == 100
    assert curve[-1]["coverage"] == 1
    assert curve[-1]["accuracy"] == (logits.argmax(1) == labels).mean()
    assert all(a["coverage"] < b["coverage"] and a["threshold"] > b["threshold"] for a, b in pairwise(curve))
    middle = curve[50]
    kept = SCORES[score](logits) >= middle["threshold"]
    assert kept.sum() == middle["pictures"]
    assert middle["accuracy"] == pytest.approx((logits.argmax(1) == labels)[kept].mean())


def test_energy_sees_what_probabilities_do_not() -> None:
    logits = np.array([[5.0, 0.0], [1.0, -4.0]])
    assert np.ptp(SCORES["max_probability"](logits)) == pytest.approx(0)
    assert np.ptp(SCORES["energy"](logits)) == pytest.approx(4)


def test_a_threshold_is_stated_as_it_is_served() -> None:
    chosen = _choose(np.zeros(60, int))
    assert stated_threshold({"reject_threshold": chosen}) == chosen
    half = {"score": "max_probability", "value": 0.5, "promised": False}
    # As earlier versions wrote it where they found none, and for energy.
    for earlier in ({}, {"reject_threshold": {"score": "max_probability", "value": None}}):
        assert stated_threshold(earlier) == half
    assert stated_threshold({"reject_threshold": {"score": "energy", "value": 3.1}}) == half
    for nonsense in (0.4, {}, {"score": "charm", "value": 1}, {"score": "energy", "value": "high"}):
        with pytest.raises(ThresholdError, match=r"it takes score \(max_probability, energy\) and value"):
            stated_threshold({"reject_threshold": nonsense})
