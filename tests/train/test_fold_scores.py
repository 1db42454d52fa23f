import numpy as np
import pytest
from sklearn.metrics import f1_score

from train.metrics import score_folds
from train.predictions import OutOfFold, Predictions


def _answers(truth: list[int], answer: list[int], folds: list[int]) -> OutOfFold:
    logits = np.eye(3, dtype=np.float32)[answer]
    names = [str(number) for number in range(len(truth))]
    return OutOfFold(
        Predictions(names, np.array(truth), logits, ["a", "b", "c"]), ["train"] * len(truth), np.array(folds)
    )


def test_scores_are_those_of_scikit_learn() -> None:
    chance = np.random.default_rng(8)
    truth = chance.integers(0, 3, 90)
    answer = np.where(chance.random(90) < 0.7, truth, chance.integers(0, 3, 90))
    folds = np.arange(90) % 3 + 1
    groups = [str(number) for number in range(90)]
    *each, total = score_folds(_answers(truth.tolist(), answer.tolist(), folds.tolist()), groups, seed=8)
    for score in each:
        chosen = folds == score.fold
        assert score.pictures == 30
        assert score.accuracy == pytest.approx((truth == answer)[chosen].mean())
        assert score.macro_f1 == pytest.approx(f1_score(truth[chosen], answer[chosen], average="macro"))
    assert total.fold is None
    assert total.macro_f1 == pytest.approx(f1_score(truth, answer, average="macro"))
    assert total.macro_f1_interval is not None
    low, high = total.macro_f1_interval
    assert 0.05 < total.macro_f1 - low < 0.15
    assert 0.05 < high - total.macro_f1 < 0.15


def test_copies_are_no_more_witnesses() -> None:
    truth, answer = [0, 1, 2] * 10, [0, 1, 2] * 7 + [1, 2, 0] * 3
    once = score_folds(_answers(truth, answer, [1] * 30), [str(n) for n in range(30)], seed=8)[-1]
    fourfold = score_folds(_answers(truth * 4, answer * 4, [1] * 120), [str(n) for n in range(30)] * 4, seed=8)[-1]
    assert fourfold.macro_f1_interval == pytest.approx(once.macro_f1_interval)


def test_a_class_that_a_fold_lacks_does_not_count_there() -> None:
    first, *_ = score_folds(_answers([0, 1, 2], [0, 1, 2], [1, 1, 2]), list("xyz"), seed=8)
    assert (first.pictures, first.accuracy, first.macro_f1) == (2, 1.0, 1.0)
