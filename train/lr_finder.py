"""The learning-rate range test (Smith 2017): rates rise step by step while the loss is watched."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn
from tqdm import tqdm

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100
_SMOOTHING = 0.9
# On pure noise, one curve in twenty falls by more than this many times its scatter.
_NOISE = 1.2
# A fall by less than this share of the loss teaches nothing.
_LEAST = 0.01
# A loss this many times the lowest one has diverged.
_DIVERGED = 4.0


@dataclass(frozen=True)
class LRFinderResult:
    """A curve of losses over learning rates, and what it suggests.

    Attributes:
        rates: The classifier's, rising, one per step; layer groups below learn at their share of it.
        losses: The training loss at each, smoothed over steps.
        suggestion: The rate to take for `max_lr`, or None.
        reason: Why there is no suggestion; empty when there is one.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float | None
    reason: str = ""

    def verdict(self, key: str) -> str:
        """Returns the suggestion as a setting called `key`, or that there is none and why."""
        return f"{key}={self.suggestion:.1e}" if self.suggestion else f"no suggestion: {self.reason}"


def range_test(loss_at: Callable[[float], float], show: bool = True) -> LRFinderResult:
    """Takes up to 100 steps at rates from 1e-7 to 10; ends early when the loss is four times the lowest, or no number.

    Args:
        loss_at: Takes a step at a rate and returns the loss before it.
        show: Show a progress bar.
    """
    rates: list[float] = []
    raw: list[float] = []
    with tqdm(total=STEPS, desc="Finding the rate", disable=None if show else True, leave=False) as bar:
        for rate in np.geomspace(LOWEST, HIGHEST, STEPS).tolist():
            rates.append(rate)
            raw.append(loss_at(rate))
            bar.update()
            smoothed = smooth(raw)
            if not math.isfinite(raw[-1]) or smoothed[-1] > _DIVERGED * min(smoothed):
                break
    return read_curve(rates, raw)


@contextmanager
def preserved(model: nn.Module, scaler: Any) -> Iterator[None]:
    """Puts a model's weights and modes, and fp16's loss scaler if there is one, back as they were before the block."""
    weights, modes = deepcopy(model.state_dict()), [(module, module.training) for module in model.modules()]
    scale = deepcopy(scaler.state_dict()) if scaler else None
    try:
        yield
    finally:
        model.load_state_dict(weights)
        for module, training in modes:
            module.training = training
        if scale:
            scaler.load_state_dict(scale)


def smooth(losses: Sequence[float]) -> list[float]:
    """Returns a moving average that forgets a tenth per step, without the bias of its beginning."""
    average, averages = 0.0, []
    for number, loss in enumerate(losses, 1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        averages.append(average / (1 - _SMOOTHING**number))
    return averages


def read_curve(rates: Sequence[float], raw: Sequence[float]) -> LRFinderResult:
    """Reads a suggestion off a curve.

    It is the `valley` rule of fastai and ESRI: the rate two thirds along the longest stretch in which the loss falls.
    The flat part at its beginning, up to a tenth of the fall, does not count. A fall that is no larger than the
    scatter of single steps is none, and the first tenth of the curve, smoothed over few steps, is passed by.

    Args:
        rates: Rising.
        raw: The loss at each, as measured; the last may be no number.
    """
    finite = [loss for loss in raw if math.isfinite(loss)]
    losses = smooth(finite)
    kept = tuple(rates[: len(losses)]), tuple(losses)
    skipped = STEPS // 10
    if len(losses) < 2 * skipped:
        return LRFinderResult(*kept, None, f"the loss diverges at once (after {len(finite)} steps)")
    start, end = (skipped + place for place in longest_fall(losses[skipped:]))
    # Differences of neighbours tell the scatter apart from the trend.
    scatter = float(np.std(np.diff(finite[skipped : end + 1]))) / math.sqrt(2) if end - start > 1 else math.inf
    fall = losses[start] - losses[end]
    if fall <= max(_NOISE * scatter, _LEAST * losses[start]):
        return LRFinderResult(*kept, None, "the loss falls nowhere by more than it scatters from step to step")
    slope = max(place for place in range(start, end) if losses[place] >= losses[start] - fall / 10)
    return LRFinderResult(*kept, rates[slope + round(2 / 3 * (end - slope))])


def longest_fall(losses: Sequence[float]) -> tuple[int, int]:
    """Returns first and last index of the longest decreasing subsequence; of equally long ones, the first."""
    lengths, starts = [1] * len(losses), list(range(len(losses)))
    for i in range(len(losses)):
        for j in range(i):
            if losses[j] > losses[i] and lengths[j] + 1 > lengths[i]:
                lengths[i], starts[i] = lengths[j] + 1, starts[j]
    end = max(range(len(losses)), key=lengths.__getitem__)
    return starts[end], end
