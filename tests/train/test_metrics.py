import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, top_k_accuracy_score

from train.intervals import REPLICATES, SEED
from train.metrics import compute_metrics, most_confused, score_folds, score_of
from train.predictions import Predictions


def _answers(labels: np.ndarray, answers: np.ndarray, classes: int, groups: np.ndarray | None = None) -> Predictions:
    names = [f"class {number}" for number in range(classes)]
    logits = 4 * np.eye(classes, dtype=np.float32)[answers]
    return Predictions([""] * len(labels), labels, logits, names, groups=[] if groups is None else [*map(str, groups)])


def _mostly_right(pictures: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, pictures)
    return labels, np.where(rng.random(pictures) < 0.7, labels, (labels + 1) % classes)


def test_metrics_of_a_case_done_by_hand() -> None:
    probs = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    predictions = Predictions(["", "", "", ""], np.array([0, 1, 1, 1]), np.log(probs), ["a", "b", "c"])
    metrics = compute_metrics(predictions)
    assert metrics["pictures"] == 4
    assert metrics["accuracy"] == 0.75
    assert metrics["confusion_matrix"] == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert metrics["nll"] == pytest.approx(-np.log([0.8, 0.3, 0.7, 0.8]).mean())
    b = metrics["per_class"]["b"]
    assert b.pop("recall_interval") == pytest.approx((0.208, 0.939), abs=1e-3)
    assert b == pytest.approx({"pictures": 3, "precision": 1, "recall": 2 / 3, "f1": 0.8})
    assert metrics["per_class"]["c"]["recall_interval"] == (0, 1)
    assert metrics["most_confused"] == [{"true": "b", "predicted": "a", "pictures": 1, "share": pytest.approx(1 / 3)}]
    squares = [0.04 + 0.02, 0.36 + 0.49 + 0.01, 0.04 + 0.09 + 0.01, 0.01 + 0.04 + 0.01]
    assert metrics["brier"] == pytest.approx(np.mean(squares))
    # Confidences 0.8, 0.6, 0.7 and 0.8, of which the second is wrong, each in a bin of its own but for the two equal.
    assert metrics["ece"] == pytest.approx((2 * 0.2 + 0.6 + 0.3) / 4)
    assert [(row["pictures"], row["accuracy"]) for row in metrics["reliability"]] == [(1, 0), (1, 1), (2, 1)]
    # F1 of a is 2/3; c has no picture and can't be judged.
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    # Of three classes all are among the five most probable.
    assert metrics["top5_accuracy"] is None


def test_the_five_most_probable_classes() -> None:
    rng = np.random.default_rng(2)
    labels, logits = rng.integers(0, 12, 60), rng.normal(size=(60, 12)).astype(np.float32)
    metrics = compute_metrics(Predictions([""] * 60, labels, logits, [str(number) for number in range(12)]))
    assert metrics["top5_accuracy"] == top_k_accuracy_score(labels, logits, k=5, labels=range(12))
    assert metrics["accuracy"] < metrics["top5_accuracy"] < 1


def test_near_duplicates_widen_every_interval() -> None:
    labels, answers = _mostly_right(40, 3)
    alone = compute_metrics(_answers(labels, answers, 3))
    # Ten copies of each picture tell no more than one does.
    ignored = compute_metrics(_answers(labels.repeat(10), answers.repeat(10), 3))
    grouped = compute_metrics(_answers(labels.repeat(10), answers.repeat(10), 3, np.arange(400) // 10))

    def widths(metrics: dict) -> np.ndarray:
        intervals = [metrics["accuracy_interval"], metrics["macro_f1_interval"]]
        intervals += [row["recall_interval"] for row in metrics["per_class"].values()]
        return np.diff(intervals).ravel()

    np.testing.assert_allclose(widths(grouped), widths(alone), atol=0.06)
    assert (widths(ignored) < 0.6 * widths(grouped)).all()
    assert grouped["bootstrap"]["over"] == "groups of near-duplicates"
    assert (grouped["bootstrap"]["groups"], ignored["bootstrap"]["groups"]) == (40, 400)
    for metrics in (alone, grouped):
        for name in ("accuracy", "macro_f1"):
            low, high = metrics[f"{name}_interval"]
            assert low < metrics[name] < high


def test_a_perfect_score_has_intervals_with_a_width() -> None:
    metrics = compute_metrics(_answers(np.arange(60) % 3, np.arange(60) % 3, 3, np.arange(60) // 6))
    # Ten groups and not 60 pictures.
    assert metrics["accuracy_interval"] == pytest.approx((0.722, 1), abs=1e-3)
    assert metrics["macro_f1_interval"] == pytest.approx(metrics["accuracy_interval"])


def test_the_interval_of_f1_is_that_of_a_bootstrap_written_out() -> None:
    labels, answers = _mostly_right(30, 3)
    groups = np.arange(30) // 2

    def naive(true: np.ndarray, answer: np.ndarray) -> float:
        present = np.unique(true)
        hits = [2 * ((true == number) & (answer == number)).sum() for number in present]
        totals = [(true == number).sum() + (answer == number).sum() for number in present]
        return float(np.mean(np.divide(hits, totals)))

    values = []
    for drawn in np.random.default_rng(SEED).integers(15, size=(REPLICATES, 15)):
        rows = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
        values.append(naive(labels[rows], answers[rows]))
    score = score_of(_answers(labels, answers, 3, groups))
    assert score.macro_f1_interval == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_a_thousand_classes_and_twenty_thousand_groups_fit_into_memory() -> None:
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 1000, 30_000), rng.random((30_000, 1000), np.float32)
    logits[np.arange(30_000), labels] += 0.3
    groups = [str(number) for number in rng.integers(0, 20_000, 30_000)]
    predictions = Predictions([""] * 30_000, labels, logits, [str(number) for number in range(1000)], groups=groups)
    start = time.process_time()
    tracemalloc.start()
    try:
        score = score_of(predictions)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    low, high = score.macro_f1_interval
    assert 0.2 < low < score.macro_f1 < high < low + 0.05
    # Groups times three counts of each class would be 480 MB, and groups times classes times classes 160 GB.
    assert peak < 100e6
    assert time.process_time() - start < 60


def test_the_same_pictures_have_the_same_interval_twice() -> None:
    predictions = _answers(np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1]), 2)
    assert compute_metrics(predictions) == compute_metrics(predictions)


def test_pictures_of_one_group_promise_nothing() -> None:
    metrics = compute_metrics(_answers(np.array([0, 1]), np.array([0, 1]), 2, np.zeros(2, int)))
    assert metrics["macro_f1_interval"] == (0, 1)
    assert metrics["accuracy_interval"] == pytest.approx((0.207, 1), abs=1e-3)


def test_mistakes_come_by_their_number_then_by_their_share() -> None:
    counts = np.array([[8, 2, 0], [2, 1, 0], [3, 0, 9]])
    pairs = [(row["true"], row["predicted"]) for row in most_confused(counts, ["a", "b", "c"])]
    assert pairs == [("c", "a"), ("b", "a"), ("a", "b")]


def test_what_the_temperature_has_changed() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(50, 4)).astype(np.float32)
    predictions = Predictions([""] * 50, rng.integers(0, 4, 50), logits / 2, list("abcd"))
    raw = replace(predictions, logits=logits)
    before, expected = compute_metrics(predictions, temperature=2.0)["calibrated_from"], compute_metrics(raw)
    assert before == {"temperature": 2.0, **{key: expected[key] for key in ("nll", "brier", "ece", "reliability")}}
    assert compute_metrics(raw)["calibrated_from"] is None


def test_it_is_judged_by_the_threshold_that_is_served() -> None:
    labels, answers = _mostly_right(40, 3)
    predictions = _answers(labels, answers, 3)
    # Every answer has a probability of 0.965.
    reject = compute_metrics(predictions)["reject"]
    assert (reject["threshold"], reject["score"], reject["coverage"]) == (0.5, "max_probability", 1)
    reject = compute_metrics(predictions, None, {"score": "max_probability", "value": 0.97})["reject"]
    assert (reject["threshold"], reject["coverage"]) == (0.97, 0)


class TestFolds:
    def test_scores_are_those_of_scikit_learn(self) -> None:
        truth, answer = _mostly_right(90, 3)
        folds = np.arange(90) % 3 + 1
        *scores, total = score_folds(replace(_answers(truth, answer, 3), folds=folds))
        for score in scores:
            chosen = folds == score.fold
            assert score.pictures == 30
            assert score.accuracy == pytest.approx((truth == answer)[chosen].mean())
            assert score.macro_f1 == pytest.approx(f1_score(truth[chosen], answer[chosen], average="macro"))
            assert score.accuracy_interval[0] < score.accuracy < score.accuracy_interval[1]
        assert total.fold is None
        assert total.macro_f1 == pytest.approx(f1_score(truth, answer, average="macro"))
        low, high = total.macro_f1_interval
        assert 0.05 < total.macro_f1 - low < 0.15
        assert 0.05 < high - total.macro_f1 < 0.15

    def test_copies_are_no_more_witnesses(self) -> None:
        truth, answer = np.array([0, 1, 2] * 10), np.array([0, 1, 2] * 7 + [1, 2, 0] * 3)
        once = score_of(_answers(truth, answer, 3))
        four = score_of(_answers(np.tile(truth, 4), np.tile(answer, 4), 3, np.tile(np.arange(30), 4)))
        assert four.macro_f1_interval == pytest.approx(once.macro_f1_interval, abs=0.02)
        assert four.accuracy_interval == pytest.approx(once.accuracy_interval, abs=0.02)

    def test_a_class_that_a_fold_lacks_does_not_count_there(self) -> None:
        predictions = replace(_answers(np.arange(3), np.arange(3), 3), folds=np.array([1, 1, 2]))
        first, *_ = score_folds(predictions)
        assert (first.pictures, first.accuracy, first.macro_f1) == (2, 1.0, 1.0)
