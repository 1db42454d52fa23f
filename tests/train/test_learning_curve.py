import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.learning_curve import FARTHEST, LearningCurve, learning_curve, verdict
from train.predictions import Predictions
from train.report.plots import plot_learning_curve, save

SIZES = {0.25: 10.0, 0.5: 20.0, 1.0: 40.0}


def _curve(errors: dict[float, float], pictures: int = 2000) -> LearningCurve:
    right = {fraction: np.arange(pictures) >= share * pictures for fraction, share in errors.items()}
    return learning_curve(_answers(right), SIZES)


def _answers(right: dict[float, np.ndarray], groups: list[str] | None = None) -> dict[float, Predictions]:
    """Answers to pictures of one class, right or wrong."""
    return {
        fraction: Predictions(
            [""] * len(rights),
            np.zeros(len(rights), int),
            np.eye(2)[1 - rights.astype(int)],
            ["a", "b"],
            groups=groups or [],
        )
        for fraction, rights in right.items()
    }


def test_a_power_law_is_found() -> None:
    # Errors halve whenever pictures quadruple.
    curve = _curve({0.25: 0.4, 0.5: 0.4 / math.sqrt(2), 1.0: 0.2})
    assert curve.exponent == pytest.approx(0.5, abs=0.01)
    assert curve.accuracy(np.array([160.0]))[0] == pytest.approx(0.9, abs=0.005)
    number, low, high = curve.needed(0.9)
    assert number == pytest.approx(160, rel=0.05)
    assert low < 160 < high
    below, above = curve.spread(np.array([40.0, 600.0]))
    assert below[0] < 0.8 < above[0]
    assert "80% with 40 pictures per class; half as many mistakes (90%) would take about 1" in verdict(curve)


def test_what_does_not_grow_promises_nothing() -> None:
    curve = _curve({0.25: 0.3, 0.5: 0.3, 1.0: 0.35})
    assert curve.exponent < 0
    assert curve.needed(0.9) == (math.inf, math.inf, math.inf)
    assert f"more than {FARTHEST * 40} per class, if more of the same help at all" in verdict(curve)


def test_few_pictures_make_a_wide_spread() -> None:
    errors = {0.25: 0.5, 0.5: 0.4, 1.0: 0.3}
    few, many = (_curve(errors, pictures).spread(np.array([200.0])) for pictures in (40, 4000))
    assert few[1] - few[0] > 4 * (many[1] - many[0])
    assert "more than 640" in verdict(_curve(errors, 40))


def test_near_duplicates_are_drawn_together() -> None:
    right = {fraction: np.arange(400) % 10 >= 5 - 2 * number for number, fraction in enumerate(SIZES)}
    alone = learning_curve(_answers(right), SIZES)
    copies = learning_curve(_answers(right, [str(number % 10) for number in range(400)]), SIZES)
    assert np.std(copies.resampled[:, 1]) > 2 * np.std(alone.resampled[:, 1])
    low, high = alone.points[0].interval
    assert copies.points[0].interval[0] < low < high < copies.points[0].interval[1]


def test_no_mistake_at_all_is_a_number_too(tmp_path: Path) -> None:
    curve = _curve({0.25: 0.2, 0.5: 0.1, 1.0: 0.0})
    assert np.isfinite([curve.factor, curve.exponent]).all()
    save(plot_learning_curve(curve), tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as figure:
        assert figure.width == 1100
