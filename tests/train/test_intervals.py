import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from train.intervals import (
    auroc_interval,
    bootstrap_interval,
    effective_number,
    most_share,
    share_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("right", "total", "interval"),
    [(128, 156, (0.753, 0.873)), (19, 19, (0.832, 1.0)), (0, 5, (0.0, 0.434)), (0, 0, (0.0, 1.0))],
)
def test_wilson_intervals(right: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(right, total) == pytest.approx(interval, abs=6e-4)
    assert share_interval(np.arange(total) < right, None) == wilson_interval(right, total)
    assert share_interval(np.arange(total) < right, range(total)) == wilson_interval(right, total)


@pytest.mark.parametrize(("groups", "share", "together"), [(20, 0.9, 1.0), (40, 0.7, 0.3), (100, 0.9, 0.3)])
def test_a_share_lies_in_its_interval_as_often_as_it_should(groups: int, share: float, together: float) -> None:
    rng = np.random.default_rng(8)
    inside, ignored = 0, 0
    for _ in range(500):
        group_of = np.repeat(np.arange(groups), rng.geometric(0.4, groups))
        # Groups of one to ten and more, some of which are right or wrong as one.
        alike = (rng.random(groups) < together)[group_of]
        right = np.where(alike, (rng.random(groups) < share)[group_of], rng.random(len(group_of)) < share)
        low, high = share_interval(right, group_of.tolist())
        inside += low <= share <= high
        low, high = share_interval(right, None)
        ignored += low <= share <= high
    assert 0.91 <= inside / 500 <= 0.98
    assert ignored / 500 < 0.89


def test_copies_are_one_witness() -> None:
    right = np.random.default_rng(0).random(60) < 0.8
    copies, groups = right.repeat(10), np.arange(60).repeat(10)
    assert effective_number(copies, groups.tolist()) == pytest.approx(60, rel=0.06)
    assert share_interval(copies, groups.tolist()) == pytest.approx(share_interval(right, None), abs=0.01)
    # Of groups that are all right, each counts once; of one group, nothing else can be known.
    assert share_interval(np.full(30, True), [number // 3 for number in range(30)]) == wilson_interval(10, 10)
    assert share_interval(np.array([True, False]), ["one", "one"]) == wilson_interval(0.5, 1)


def test_the_exact_bound() -> None:
    # Of 46 answers none changed: (1 - share) to the power of 46 is 5 %.
    assert most_share(0, 46, 0.95) == pytest.approx(1 - 0.05 ** (1 / 46))
    assert most_share(46, 46, 0.95) == 1


def test_the_bootstrap_knows_the_error_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3, 1, 400)
    sums = np.stack([values, np.ones(400)], axis=1)
    low, high = bootstrap_interval(sums, range(400), lambda drawn: drawn[:, 0] / drawn[:, 1])
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.08)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.01)


@pytest.mark.parametrize("apart", [1, 4])
def test_an_area_lies_in_its_interval_as_often_as_it_should(apart: int) -> None:
    rng = np.random.default_rng(0)
    # Of two normal distributions, one or four standard deviations apart: 0.76 and 0.998.
    true, inside = norm.cdf(apart / np.sqrt(2)), 0
    for _ in range(200):
        values = np.concatenate([rng.normal(apart, 1, 40), rng.normal(0, 1, 60)])
        auroc = roc_auc_score(np.repeat([1, 0], [40, 60]), values)
        low, high = auroc_interval(float(auroc), 40, 60)
        inside += low <= true <= high
    assert 0.9 <= inside / 200 <= 0.99


def test_an_area_of_one_or_none_has_a_width() -> None:
    low, high = auroc_interval(1.0, 40, 60)
    assert low == pytest.approx(0.959, abs=1e-3)
    assert high == 1
    assert auroc_interval(0.0, 40, 60) == pytest.approx((1 - high, 1 - low))
    assert auroc_interval(1.0, 5, 5)[0] < low
    assert auroc_interval(1.0, 0, 5) == (0, 1)
