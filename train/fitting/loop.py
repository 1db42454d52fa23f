"""One epoch: training and validation."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from train.errors import UserError
from train.fitting.model import set_training_mode
from train.fitting.optim import highest_rate

_LOWER = "lower max_lr (stage 1: freeze_max_lr), in another output_dir or after removing this one"


class DivergedError(UserError):
    """The loss is no longer a number."""


@dataclass
class EpochTrace:
    """What one training epoch saw: a loss, a rate and a momentum per step, and means over the epoch."""

    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    momenta: list[float] = field(default_factory=list)
    loss: float = 0.0
    accuracy: float = 0.0


def train_one_epoch(
    accelerator: Accelerator,
    model: nn.Module,
    loader: Any,
    optimizer: Any,
    scheduler: Any,
    label_smoothing: float,
    title: str,
    bar: tqdm,
) -> EpochTrace:
    """Takes one step per batch.

    Args:
        accelerator: Knows devices, processes and precision.
        model: Prepared by it; what does not require gradients stays as it is.
        loader: Prepared; gives float32 (batch, 3, height, width) and int64 (batch,).
        optimizer: Prepared.
        scheduler: Not prepared: it steps once per update, whatever the number of processes.
        label_smoothing: 0 to 1.
        title: Names the epoch, on the progress bar and in errors.
        bar: Progress over all steps of the stage; moves on by one per step.

    Raises:
        DivergedError: The loss is not finite.
    """
    set_training_mode(accelerator.unwrap_model(model))
    trace = EpochTrace()
    right = seen = 0
    bar.set_description(title)
    for images, labels in loader:
        # Before stepping: after its last step a one-cycle rises again.
        rate, momentum = highest_rate(optimizer.param_groups), optimizer.param_groups[-1]["betas"][0]
        logits = model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        mean = accelerator.reduce(loss.detach().float(), "mean").item()
        if not math.isfinite(mean):
            raise DivergedError(
                f"the loss became {mean} ({title}, step {len(trace.losses) + 1}, learning rate {rate:.2g}): {_LOWER}"
            )
        accelerator.backward(loss)
        optimizer.step()
        # fp16 skips a step whose gradients overflowed.
        if not accelerator.optimizer_step_was_skipped:
            scheduler.step()
        optimizer.zero_grad()
        trace.losses.append(mean)
        trace.rates.append(rate)
        trace.momenta.append(momentum)
        right += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
        bar.set_postfix(loss=f"{mean:.3f}", accuracy=f"{right / seen:.1%}", lr=f"{rate:.1e}", refresh=False)
        bar.update()
    totals = accelerator.reduce(torch.tensor([right, seen], dtype=torch.float32, device=accelerator.device), "sum")
    trace.loss = sum(trace.losses) / len(trace.losses)
    trace.accuracy = (totals[0] / totals[1]).item()
    return trace


def check_finite(logits: torch.Tensor, title: str) -> None:
    """Makes sure that a model still says something.

    Raises:
        DivergedError: A logit is not finite.
    """
    if not torch.isfinite(logits).all():
        raise DivergedError(f"the model gives no numbers any more ({title}): {_LOWER}")


@torch.inference_mode()
def validate(accelerator: Accelerator, model: nn.Module, loader: Any, title: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs the model over a loader.

    Returns:
        Logits, float32 of shape (pictures, classes), and labels, int64 of shape (pictures,), both in main
        memory, every picture once and in the dataset's order.
    """
    model.eval()
    logits, labels = [], []
    # One that takes no second needs no bar.
    with tqdm(loader, desc=title, unit="batch", disable=not accelerator.is_main_process, leave=False, delay=1) as bar:
        for images, truth in bar:
            answer = model(images)
            # Drops the pictures that were repeated to give every process a full batch.
            answer, truth = accelerator.gather_for_metrics((answer.float(), truth))
            logits.append(answer.cpu())
            labels.append(truth.cpu())
    return torch.cat(logits), torch.cat(labels)
