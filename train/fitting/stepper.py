"""Batches become steps of the optimizer: one each, or one of several."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from train.fitting.model import set_training_mode
from train.fitting.objective import Objective


@dataclass(frozen=True)
class BatchResult:
    """What a batch of training pictures has shown, in all processes.

    Attributes:
        loss: The mean.
        right: Pictures classified correctly.
        pictures: How many there were.
    """

    loss: float
    right: int
    pictures: int


@dataclass(frozen=True)
class Stepper:
    """Takes the steps of the optimizer.

    Attributes:
        accelerator: Knows devices, processes and precision.
        model: Prepared by it; what does not require gradients stays as it is.
        optimizer: Prepared.
        objective: Gives the loss.
        accumulation: Batches per step.
        max_grad_norm: The gradient is clipped to this norm, if it is given.
        freeze_statistics: BatchNorm keeps its statistics.
    """

    accelerator: Accelerator
    model: nn.Module
    optimizer: Any
    objective: Objective
    accumulation: int = 1
    max_grad_norm: float | None = None
    freeze_statistics: bool = False

    def set_training_mode(self) -> None:
        """Makes the model ready for `take`."""
        set_training_mode(self.accelerator.unwrap_model(self.model), self.freeze_statistics)

    def take(self, batch: tuple[torch.Tensor, torch.Tensor], seed: int, share: int, completes: bool) -> BatchResult:
        """Adds a batch's gradient, and takes the step that it completes.

        Not by `accelerator.accumulate`: it counts from where a process began, and knows the end of prepared loaders
        only.

        Args:
            batch: Float32 (batch, 3, height, width), or features, and int64 (batch,).
            seed: Whatever is random in the batch follows from it: mixing, and dropout.
            share: Batches that the step is made of.
            completes: Whether this is the last of them.
        """
        accelerator = self.accelerator
        _set_chance(accelerator, seed % 2**32)
        with nullcontext() if completes else accelerator.no_sync(self.model):
            answer = self.objective(self.model, *batch, seed)
            accelerator.backward(answer.loss / share)
        if completes:
            if self.max_grad_norm is not None:
                accelerator.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
        loss = answer.loss.detach().float()
        sums = torch.stack([loss, answer.right.float(), torch.full_like(loss, answer.pictures)])
        total, right, pictures = accelerator.reduce(sums, "sum").tolist()
        return BatchResult(total / accelerator.num_processes, int(right), int(pictures))


def _set_chance(accelerator: Accelerator, seed: int) -> None:
    """Seeds what torch draws from, in each process differently.

    Not by `torch.manual_seed`: without a GPU it notes every call, for when one should come, with where it was made.
    """
    own = (seed + accelerator.process_index) % 2**32
    torch.default_generator.manual_seed(own)
    if accelerator.device.type != "cpu":
        torch.get_device_module(accelerator.device).manual_seed(own)
