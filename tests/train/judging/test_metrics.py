import numpy as np
import pytest

from train.judging.metrics import compute_metrics, wilson_interval
from train.judging.predict import Predictions


@pytest.mark.parametrize(
    ("right", "total", "interval"), [(128, 156, (0.753, 0.873)), (19, 19, (0.832, 1.0)), (0, 5, (0.0, 0.434))]
)
def test_wilson_intervals(right: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(right, total) == pytest.approx(interval, abs=6e-4)


def test_metrics_of_a_case_done_by_hand() -> None:
    probs = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    predictions = Predictions(["", "", "", ""], np.array([0, 1, 1, 1]), np.log(probs), ["a", "b", "c"])
    metrics = compute_metrics(predictions)
    assert metrics["pictures"] == 4
    assert metrics["accuracy"] == 0.75
    assert metrics["confusion_matrix"] == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert metrics["nll"] == pytest.approx(-np.log([0.8, 0.3, 0.7, 0.8]).mean())
    assert metrics["per_class"]["b"] == pytest.approx({"pictures": 3, "precision": 1, "recall": 2 / 3, "f1": 0.8})
    # F1 of a is 2/3; c has no picture and can't be judged.
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)


def test_losses_of_hopeless_logits_are_finite() -> None:
    predictions = Predictions([""], np.array([1]), np.array([[5000.0, -5000.0]], np.float32), ["a", "b"])
    assert np.isfinite(predictions.losses).all()
