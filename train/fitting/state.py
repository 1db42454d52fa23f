"""What changes while a stage runs, on its way into a checkpoint and back."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn

from train.fitting.checkpoint import Checkpoint
from train.fitting.model import cpu_state
from train.fitting.progress import EpochTrace, Progress


@dataclass(frozen=True)
class StageState:
    """One stage's moving parts.

    Attributes:
        model: The whole model, whatever of it learns.
        optimizer: Not prepared.
        scheduler: Steps with the optimizer.
        scaler: fp16's loss scaler, or None.
        ema: An average of the model's weights, which is validated and kept in their place; or None.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any
    scaler: Any
    ema: ModelEmaV3 | None

    def follow(self) -> None:
        """Moves rate and average on, after a step of the optimizer."""
        self.scheduler.step()
        if self.ema:
            self.ema.update(self.model, step=self.scheduler.last_epoch)

    def judged_weights(self) -> dict[str, torch.Tensor]:
        """Returns a copy, in main memory, of the weights that are validated."""
        return cpu_state(self.ema.module if self.ema else self.model)

    def checkpoint(self, progress: Progress, trace: EpochTrace | None) -> Checkpoint:
        """Returns everything that a run needs to go on."""
        return Checkpoint(
            cpu_state(self.model),
            self.optimizer.state_dict(),
            self.scheduler.state_dict(),
            self.scaler.state_dict() if self.scaler else {},
            progress,
            trace,
            cpu_state(self.ema.module) if self.ema else {},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts everything back as it was when the checkpoint was made, within this stage."""
        self.model.load_state_dict(checkpoint.model)
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
            self.ema.module.load_state_dict(checkpoint.ema)
