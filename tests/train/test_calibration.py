import numpy as np
import pytest
import timm
import torch
from scipy.special import softmax

from train.calibration import (
    HIGHEST,
    CalibrationError,
    expected_error,
    fit_temperature,
    fold_temperature,
    nll,
    reliability,
    stated_temperature,
)


def _honest(pictures: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose probabilities are those with which the labels were drawn."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(pictures, 5))
    labels = (softmax(logits, axis=1).cumsum(1) < random.random((pictures, 1))).sum(1)
    return logits, labels


@pytest.mark.parametrize("truth", [0.5, 1.0, 1.3, 3.0])
def test_the_temperature_that_spoilt_honest_probabilities_is_found(truth: float) -> None:
    logits, labels = _honest(20_000)
    found = fit_temperature(truth * logits, labels)
    assert found.temperature == pytest.approx(truth, rel=0.05)
    assert found.bound is None
    assert found.pictures == 20_000
    assert found.ece_after < 0.012
    if truth > 1.2:
        assert found.ece_after < found.ece_before
    steps = found.temperature * np.array([0.99, 1.0, 1.01])
    losses = [nll(truth * logits / step, labels) for step in steps]
    assert losses[1] == min(losses) == pytest.approx(found.nll_after)
    assert found.nll_before == nll(truth * logits, labels)


def test_pictures_without_a_mistake_make_nothing_surer() -> None:
    labels = np.arange(8)
    found = fit_temperature(3 * np.eye(8), labels)
    assert (found.temperature, found.bound) == (1.0, "lowest")
    assert found.nll_after == found.nll_before


def test_a_model_that_is_always_wrong_ends_at_the_bound() -> None:
    found = fit_temperature(50 * np.eye(4), np.array([1, 2, 3, 0]))
    assert (found.temperature, found.bound) == (HIGHEST, "highest")
    assert np.isfinite([found.nll_before, found.nll_after]).all()


@pytest.mark.parametrize("pictures", [1, 2, 5])
def test_few_pictures_do_not_explode(pictures: int) -> None:
    for seed in range(20):
        found = fit_temperature(*_honest(pictures, seed))
        assert 0.25 <= found.temperature <= HIGHEST
        assert found.nll_after <= found.nll_before + 1e-9


@pytest.mark.parametrize(
    "name", ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "mobilenetv3_small_050"]
)
def test_dividing_the_classifier_divides_the_logits(name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=4).eval()
    size = model.pretrained_cfg["input_size"]
    with torch.inference_mode():
        images = torch.randn(2, *size)
        before = model(images)
    fold_temperature(model, 1.7)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), before / 1.7)


@pytest.mark.parametrize("name", ["repvit_m0_9", "levit_conv_128s"])
def test_a_classifier_that_normalises_first_is_calibrated(name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=4)
    images = torch.randn(2, 3, 224, 224)
    # Normalising is only seen where its statistics are not those that it begins with.
    with torch.inference_mode():
        model(images)
        before = model.eval()(images)
    fold_temperature(model, 1.7)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), before / 1.7)


def test_a_bin_holds_its_upper_edge() -> None:
    probs = np.array([[0.8, 0.2], [0.81, 0.19], [0.5, 0.5], [1.0, 0.0]])
    bins = reliability(probs, np.array([0, 1, 0, 0]))
    assert [(round(row["low"], 1), round(row["high"], 1), row["pictures"]) for row in bins] == [
        (0.4, 0.5, 1),
        (0.7, 0.8, 1),
        (0.8, 0.9, 1),
        (0.9, 1.0, 1),
    ]
    assert expected_error(bins) == pytest.approx((0.5 + 0.2 + 0.81 + 0) / 4)


def test_near_duplicates_widen_the_interval_of_a_bin() -> None:
    probs, labels = np.full((40, 2), [0.9, 0.1]), np.repeat([0, 1], [30, 10])
    ((alone,), (grouped,)) = (reliability(probs, labels, groups) for groups in (None, [n // 10 for n in range(40)]))
    assert np.ptp(grouped["accuracy_interval"]) > 1.5 * np.ptp(alone["accuracy_interval"])


def test_a_config_that_says_nonsense_is_refused() -> None:
    assert stated_temperature({}) is None
    assert stated_temperature({"calibration": {"temperature": 1.3}}) == 1.3
    for nonsense in (0, -1, "warm", float("nan"), {"temperature": None}, {}):
        with pytest.raises(CalibrationError, match="a temperature is above 0"):
            stated_temperature({"calibration": nonsense if isinstance(nonsense, dict) else {"temperature": nonsense}})
