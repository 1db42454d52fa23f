"""What changes while a stage runs, on its way into a checkpoint and back."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn

from train.fitting.averaging import WeightAverage
from train.fitting.checkpoint import Checkpoint
from train.fitting.frozen import rescale
from train.fitting.model import classifier_names, cpu_state
from train.fitting.progress import EpochTrace, Progress


@dataclass(frozen=True)
class StageState:
    """One stage's moving parts.

    Attributes:
        model: The whole model, whatever of it learns.
        optimizer: Not prepared.
        scheduler: Steps with the optimizer.
        scaler: fp16's loss scaler, or None.
        ema: A moving average of the model's weights, which is validated and kept in their place; or None.
        average: Of these and those that the stage began with, which is validated and kept in place of both; or None.
        scale: Powers of two that the features are divided by while the stage runs, of shape (features,), and the
            classifier's weight is multiplied by: in the model, not in what is kept. None: by nothing.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any
    scaler: Any
    ema: ModelEmaV3 | None
    average: WeightAverage | None = None
    scale: torch.Tensor | None = None

    def follow(self) -> None:
        """Moves rate and average on, after a step of the optimizer."""
        self.scheduler.step()
        if self.ema:
            self.ema.update(self.model, step=self.scheduler.last_epoch)

    @property
    def learned(self) -> nn.Module:
        """The model with the weights that the stage has learned."""
        return self.ema.module if self.ema else self.model

    def judged_weights(self) -> dict[str, torch.Tensor]:
        """Returns a copy, in main memory, of the weights that are validated."""
        return self._kept(self.average.module if self.average else self.learned)

    def checkpoint(self, progress: Progress, trace: EpochTrace | None) -> Checkpoint:
        """Returns everything that a run needs to go on."""
        return Checkpoint(
            self._kept(self.model),
            self.optimizer.state_dict(),
            self.scheduler.state_dict(),
            self.scaler.state_dict() if self.scaler else {},
            progress,
            trace,
            self._kept(self.ema.module) if self.ema else {},
            self.average.start if self.average else {},
        )

    def _kept(self, model: nn.Module) -> dict[str, torch.Tensor]:
        weights = cpu_state(model)
        if self.scale is not None:
            for name in classifier_names(model):
                if weights[name].ndim > 1:
                    weights[name] = rescale(weights[name], 1 / self.scale)
        return weights

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts everything back as it was when the checkpoint was made, within this stage."""
        load_scaled(self.model, checkpoint.model, self.scale)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        # Checkpoints know one layout. The fused AdamW takes a weight's number and its average's from the same place in
        # memory, and says nothing where channels_last has them elsewhere.
        for parameter, state in self.optimizer.state.items():
            for key, value in state.items():
                if value.shape == parameter.shape:
                    state[key] = torch.empty_like(parameter).copy_(value)
        self.scheduler.load_state_dict(checkpoint.scheduler)
        if self.scaler:
            self.scaler.load_state_dict(checkpoint.scaler)
        if self.ema:
            load_scaled(self.ema.module, checkpoint.ema, self.scale)


def load_scaled(model: nn.Module, weights: dict[str, torch.Tensor], scale: torch.Tensor | None) -> None:
    """Loads weights; the classifier's are multiplied by the scale of the features, if there is one."""
    model.load_state_dict(weights)
    if scale is not None:
        set_scale(model, scale)


@torch.no_grad()
def set_scale(model: nn.Module, scale: torch.Tensor) -> None:
    """Multiplies the classifier's weight in place, for features that are divided by `scale`, of shape (features,)."""
    within = classifier_names(model)
    for name, parameter in model.named_parameters():
        if name in within and parameter.ndim > 1:
            parameter.copy_(rescale(parameter, scale))
