import math

import numpy as np
import pytest

from model_folder.facts import PredictionSets
from train.prediction_set import COVERAGE, choose_cut, judge_sets, prediction_sets, sets_sentence


def _model(rng: np.random.Generator, pictures: int, sharpness: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Answers of a model that is right on about three pictures of five, and knows nothing of how sure to be."""
    labels = rng.integers(0, 5, pictures)
    logits = rng.normal(0, 1, (pictures, 5))
    logits[np.arange(pictures), labels] += 1.2
    return sharpness * logits, labels


@pytest.mark.parametrize("sharpness", [0.3, 1.5, 20.0])
def test_as_many_sets_hold_the_true_class_as_was_aimed_at(sharpness: float) -> None:
    rng = np.random.default_rng(8)
    new_logits, new_labels = _model(rng, 4000, sharpness)
    held = []
    for _ in range(200):
        chosen = choose_cut(*_model(rng, 60, sharpness), None, "validation")
        served = PredictionSets(chosen["value"], COVERAGE)
        judged = judge_sets(_softmax(new_logits), new_labels, served, np.arange(4000))
        assert judged is not None
        held.append(judged["coverage"])
    # Of 60 pictures the third lowest is the cut: 1 - 3/61 on average.
    assert np.mean(held) == pytest.approx(1 - 3 / 61, abs=0.006)
    assert np.mean(held) >= COVERAGE


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_near_duplicates_count_once() -> None:
    rng = np.random.default_rng(8)
    logits, labels = _model(rng, 60)
    alone = choose_cut(logits, labels, None, "validation")
    groups = np.arange(60).repeat(10)
    copies = choose_cut(logits.repeat(10, 0), labels.repeat(10), groups, "validation")
    assert copies["value"] == alone["value"]
    assert (copies["pictures"], copies["groups"]) == (600, 60)
    without = choose_cut(logits.repeat(10, 0), labels.repeat(10), None, "validation")
    assert without["groups"] == 600


def test_a_group_counts_by_its_worst_picture() -> None:
    logits = np.tile([3.0, 0.0], (40, 1))
    labels = np.zeros(40, int)
    labels[[1, 3]] = 1
    chosen = choose_cut(logits, labels, np.arange(40) // 2, "validation")
    assert chosen["value"] == pytest.approx(1 / (1 + math.exp(3)), abs=1e-4)


@pytest.mark.parametrize(("pictures", "has_cut"), [(1, False), (18, False), (19, True)])
def test_too_few_pictures_have_no_cut(pictures: int, has_cut: bool) -> None:
    chosen = choose_cut(*_model(np.random.default_rng(8), pictures), None, "validation")
    assert (chosen["value"] is not None) == has_cut
    assert (chosen["coverage"] is not None) == has_cut
    assert (chosen["mean_size"] is not None) == has_cut
    assert prediction_sets(np.eye(3), None) is None


def test_the_likeliest_class_is_always_in_the_set() -> None:
    sets = prediction_sets(np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.34, 0.33, 0.33]]), 0.4)
    assert sets is not None
    assert sets.tolist() == [[True, False, False]] * 3


def test_a_model_that_is_never_wrong_has_sets_of_one() -> None:
    labels = np.arange(40) % 4
    chosen = choose_cut(12 * np.eye(4)[labels], labels, None, "validation")
    assert (chosen["coverage"], chosen["mean_size"]) == (1, 1)


def test_what_was_served_is_judged_and_said() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.9, 0.06, 0.04], [0.1, 0.1, 0.8]])
    judged = judge_sets(probs, np.array([1, 0, 2, 2]), PredictionSets(0.2, COVERAGE), np.arange(4))
    assert judged is not None
    assert judged["sizes"] == [2, 1, 1]
    assert (judged["coverage"], judged["mean_size"]) == (0.75, 1.75)
    assert sets_sentence(judged) == (
        "prediction sets hold the true class of 75.0% (95 % interval 30.1% – 95.4%), with 1.8 classes on average; 95% "
        "were aimed at, of pictures like those of the validation split"
    )
    assert judge_sets(probs, np.array([1, 0, 2, 2]), None, np.arange(4)) is None
