from itertools import pairwise

import numpy as np
import pytest

from train.abstention import (
    SCORES,
    ThresholdError,
    answered,
    choose_threshold,
    judge_threshold,
    risk_coverage,
    stated_threshold,
)


def _logits(scores: list[float]) -> np.ndarray:
    """Two classes, of which the first is named; the higher the score, the surer."""
    return np.array([[score, 0.0] for score in scores], np.float32)


def test_eighteen_right_answers_promise_95_percent_and_seventeen_do_not() -> None:
    falling = np.linspace(9, 1, 30).tolist()
    for first, kept in ((17, 0), (18, 18), (19, 19)):
        labels = np.where(np.arange(30) < first, 0, 1)
        threshold = choose_threshold(_logits(falling), labels, 0.95)
        assert (threshold.answered, threshold.right) == (kept, kept)
        assert (threshold.value is None) == (kept == 0)
        if kept:
            stated = threshold.as_config("validation")
            assert answered(_logits(falling), stated).sum() == kept
            assert stated["coverage"] == kept / 30
            assert stated["accuracy"] == 1


def test_the_most_pictures_that_reach_the_target_are_answered() -> None:
    # A mistake among the surest is made up for by those that follow.
    labels = np.zeros(100, int)
    labels[5] = 1
    labels[90:] = 1
    threshold = choose_threshold(_logits(np.linspace(9, 1, 100).tolist()), labels, 0.95)
    assert (threshold.answered, threshold.right) == (92, 89)


def test_the_threshold_lies_midway() -> None:
    threshold = choose_threshold(_logits([3.0] * 20 + [1.0] * 10), np.repeat([0, 1], [20, 10]), 0.95, score="energy")
    assert threshold.value == pytest.approx((np.log1p(np.exp(3)) + np.log1p(np.exp(1))) / 2)


def test_equal_scores_are_answered_together_or_not_at_all() -> None:
    labels = np.repeat([0, 1], [20, 10])
    assert choose_threshold(_logits([2.0] * 30), labels, 0.9).value is None
    assert len(risk_coverage(_logits([2.0] * 30), labels, "energy")) == 1


def test_no_picture_reaches_the_target() -> None:
    stated = choose_threshold(_logits([3.0, 2.0]), np.array([0, 0]), 0.95).as_config("validation")
    assert (stated["value"], stated["coverage"], stated["accuracy"]) == (None, 0, None)
    judged = judge_threshold(_logits([3.0, 2.0]), np.array([0, 1]), stated)
    assert (judged["answered"], judged["accuracy"], judged["coverage"]) == (2, 0.5, 1)


def test_a_threshold_above_every_score_answers_nothing() -> None:
    judged = judge_threshold(_logits([1.0]), np.array([0]), {"score": "energy", "value": 9.0})
    assert (judged["answered"], judged["coverage"], judged["accuracy"]) == (0, 0, None)
    assert judged["accuracy_interval"] == (0, 1)


@pytest.mark.parametrize("score", SCORES)
def test_the_curve_ends_with_every_picture(score: str) -> None:
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(1000, 4)), random.integers(0, 4, 1000)
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


def test_a_config_that_says_nonsense_is_refused() -> None:
    assert stated_threshold({}) is None
    good = {"score": "energy", "value": None}
    assert stated_threshold({"reject_threshold": good}) == good
    for nonsense in (0.4, {}, {"score": "charm", "value": 1}, {"score": "energy", "value": "high"}):
        with pytest.raises(ThresholdError, match=r"it takes score \(max_probability, energy\) and value"):
            stated_threshold({"reject_threshold": nonsense})
