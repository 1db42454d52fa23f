import numpy as np
import pytest

from train.metrics import compute_metrics, most_confused
from train.predictions import Predictions


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


def _answers(labels: np.ndarray, answers: np.ndarray, classes: int) -> Predictions:
    names = [f"class {number}" for number in range(classes)]
    return Predictions([""] * len(labels), labels, 4 * np.eye(classes, dtype=np.float32)[answers], names)


def test_near_duplicates_widen_the_intervals() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 40)
    answers = np.where(random.random(40) < 0.7, labels, (labels + 1) % 3)
    alone = compute_metrics(_answers(labels, answers, 3))
    # Ten copies of each picture tell no more than one does.
    copies = _answers(labels.repeat(10), answers.repeat(10), 3)
    ignored = compute_metrics(copies)
    grouped = compute_metrics(copies, groups=[number // 10 for number in range(400)])

    def width(metrics: dict) -> tuple[float, float]:
        f1, accuracy = metrics["macro_f1_interval"], metrics["bootstrap"]["accuracy_interval"]
        return f1[1] - f1[0], accuracy[1] - accuracy[0]

    assert width(grouped) == pytest.approx(width(alone), abs=0.02)
    assert np.all(np.array(width(ignored)) < 0.5 * np.array(width(grouped)))
    assert grouped["bootstrap"]["over"] == "groups of near-duplicates"
    assert (grouped["bootstrap"]["groups"], ignored["bootstrap"]["groups"]) == (40, 400)
    for metrics in (alone, grouped):
        low, high = metrics["macro_f1_interval"]
        assert low < metrics["macro_f1"] < high
    # For pictures on their own, the bootstrap knows no other interval of an accuracy than Wilson does.
    assert alone["bootstrap"]["accuracy_interval"] == pytest.approx(alone["accuracy_interval"], abs=0.04)


def test_the_same_pictures_have_the_same_interval_twice() -> None:
    predictions = _answers(np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1]), 2)
    assert compute_metrics(predictions) == compute_metrics(predictions)


def test_pictures_of_one_group_promise_nothing() -> None:
    metrics = compute_metrics(_answers(np.array([0, 1]), np.array([0, 1]), 2), groups=["a", "a"])
    assert metrics["macro_f1_interval"] == (0, 1)


def test_mistakes_come_by_their_number_then_by_their_share() -> None:
    counts = np.array([[8, 2, 0], [2, 1, 0], [3, 0, 9]])
    pairs = [(row["true"], row["predicted"]) for row in most_confused(counts, ["a", "b", "c"])]
    assert pairs == [("c", "a"), ("b", "a"), ("a", "b")]


def test_what_the_temperature_has_changed_is_told() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=(50, 4)).astype(np.float32)
    predictions = Predictions([""] * 50, random.integers(0, 4, 50), logits / 2, list("abcd"))
    raw = Predictions(predictions.sha256, predictions.labels, logits, predictions.label_names)
    before, expected = compute_metrics(predictions, temperature=2.0)["calibrated_from"], compute_metrics(raw)
    assert before == {"temperature": 2.0, **{key: expected[key] for key in ("nll", "brier", "ece", "reliability")}}
    assert compute_metrics(raw)["calibrated_from"] is None


def test_losses_of_hopeless_logits_are_finite() -> None:
    predictions = Predictions([""], np.array([1]), np.array([[5000.0, -5000.0]], np.float32), ["a", "b"])
    assert np.isfinite(predictions.losses).all()
