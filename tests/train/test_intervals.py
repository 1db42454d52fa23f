import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from train.intervals import auroc_interval, bootstrap_interval, wilson_interval


@pytest.mark.parametrize(
    ("right", "total", "interval"),
    [(128, 156, (0.753, 0.873)), (19, 19, (0.832, 1.0)), (0, 5, (0.0, 0.434)), (0, 0, (0.0, 1.0))],
)
def test_wilson_intervals(right: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(right, total) == pytest.approx(interval, abs=6e-4)


def test_the_bootstrap_knows_the_error_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)
    sums = np.stack([values, np.ones(400)], axis=1)
    low, high = bootstrap_interval(sums, range(400), lambda drawn: drawn[:, 0] / drawn[:, 1])
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.01)


def test_an_area_lies_in_its_interval_as_often_as_it_should() -> None:
    random = np.random.default_rng(0)
    # Of two normal distributions a standard deviation apart.
    true, inside = 0.7602, 0
    for _ in range(200):
        values = np.concatenate([random.normal(1, 1, 40), random.normal(0, 1, 60)])
        auroc = roc_auc_score(np.repeat([1, 0], [40, 60]), values)
        low, high = auroc_interval(float(auroc), 40, 60)
        inside += low <= true <= high
    assert 0.9 <= inside / 200 <= 0.99


def test_an_area_of_one_has_no_width() -> None:
    assert auroc_interval(1.0, 5, 5) == (1, 1)
