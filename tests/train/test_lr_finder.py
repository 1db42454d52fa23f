import math

import numpy as np
import pytest
import torch

from train.lr_finder import HIGHEST, LOWEST, STEPS, longest_fall, preserved, range_test, read_curve, smooth
from train.model import build_model
from train.optim import make_optimizer

RATES = np.geomspace(LOWEST, HIGHEST, STEPS).tolist()


def _noise(scale: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, STEPS)


def test_the_longest_fall_skips_what_lies_above_it() -> None:
    assert longest_fall([5, 9, 4, 9, 3, 2, 8, 7]) == (0, 5)
    assert longest_fall([1, 2, 3]) == (0, 0)
    # Two of three: the first.
    assert longest_fall([3, 2, 1, 6, 5, 4]) == (0, 2)


def test_smoothing_has_no_bias_at_its_beginning() -> None:
    assert smooth([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])


def test_a_valley_is_read_at_two_thirds_of_its_fall() -> None:
    # Flat to 1e-4, down to 1e-1, then up.
    at = np.log10(RATES)
    curve = 2.0 - 1.2 * np.clip((at + 4) / 3, 0, 1) + 3 * np.clip(at + 1, 0, None) + _noise(0.01)
    result = read_curve(RATES, curve.tolist())
    assert result.suggestion in result.rates
    assert 4e-3 < result.suggestion < 3e-2
    assert result.reason == ""
    assert result.verdict("max_lr") == f"max_lr={result.suggestion:.1e}"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (2.0 + _noise(0.2), "falls nowhere by more than it scatters"),
        (np.full(STEPS, 2.0), "falls nowhere"),
        (np.array([math.nan]), "diverges at once (after 0 steps)"),
        (np.array([2.0, 9.0, 80.0, math.inf]), "diverges at once (after 3 steps)"),
        (2.0 + np.linspace(0, 3, STEPS), "falls nowhere"),
    ],
    ids=["noise", "flat", "nan", "infinite", "rising"],
)
def test_no_suggestion_is_said_to_be_none(raw: np.ndarray, reason: str) -> None:
    result = read_curve(RATES[: len(raw)], raw.tolist())
    assert result.suggestion is None
    assert reason in result.reason
    assert result.verdict("max_lr") == f"no suggestion: {result.reason}"
    assert len(result.rates) == len(result.losses)


def test_everything_is_as_it_was_afterwards() -> None:
    torch.manual_seed(0)
    model = build_model("test_resnet", 2, 32, False, None, 0.1).eval()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with preserved(model, None):
        model.train()
        model(torch.randn(4, 3, 32, 32)).sum().backward()
        make_optimizer(model, 1.0, 0.5, 0.01).step()
        assert not all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("worst", [math.nan, 1e3])
def test_it_ends_when_the_loss_diverges(worst: float) -> None:
    losses = iter([2.0] * 49)
    result = range_test(lambda rate: next(losses, worst))
    assert len(result.rates) == 50 - math.isnan(worst)
    assert result.suggestion is None
