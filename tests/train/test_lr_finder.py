import math
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from train.lr_finder import HIGHEST, LOWEST, STEPS, find_lr, longest_fall, read_curve, smooth
from train.model import build_model
from train.optim import Objective, make_optimizer
from train.trainer import Stepper

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
    model = build_model("test_resnet", 2, 32, False, None, 0.1)
    optimizer = make_optimizer(model, 1.0, 0.5, 0.01)
    accelerator = Accelerator(cpu=True)
    # The optimizer has a state from steps before.
    model(torch.randn(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    moments = [state["exp_avg"].clone() for state in optimizer.state.values()]
    groups = [dict(group) for group in optimizer.param_groups]
    chance = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()

    prepared, prepared_optimizer = accelerator.prepare(model, optimizer)
    stepper = Stepper(accelerator, prepared, prepared_optimizer, Objective(2, mixup=0.2), accumulation=2)
    result = find_lr(stepper, _batches(), seed=1)
    again = find_lr(stepper, _batches(), seed=1)

    assert result == again
    assert 20 < len(result.rates) <= STEPS
    # It did train.
    assert len(set(result.losses)) > 10
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(a, b["exp_avg"]) for a, b in zip(moments, optimizer.state.values(), strict=True))
    for before, after in zip(groups, optimizer.param_groups, strict=True):
        assert {k: v for k, v in before.items() if k != "params"} == {k: v for k, v in after.items() if k != "params"}
    assert random.getstate() == chance[0]
    assert np.random.get_state()[1].tolist() == chance[1]
    assert torch.equal(torch.get_rng_state(), chance[2])
    assert all(parameter.grad is None for parameter in model.parameters())


def _batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    while True:
        labels = torch.randint(0, 2, (8,), generator=generator)
        yield torch.randn(8, 3, 32, 32, generator=generator) + labels.view(-1, 1, 1, 1), labels
