"""One epoch: training and validation."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch import nn
from tqdm import tqdm

from train.errors import UserError
from train.fitting.batches import hash_seed
from train.fitting.model import set_training_mode
from train.fitting.objective import Answer, Objective
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


def train_one_batch(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Any,
    objective: Objective,
    batch: tuple[torch.Tensor, torch.Tensor],
    seed: int,
    max_grad_norm: float | None,
) -> tuple[float, Answer]:
    """Adds a batch's gradients; when it completes a step's share of batches, takes the step.

    Returns:
        The loss, a mean over all processes, and this process's answers. `accelerator.sync_gradients` tells
        afterwards whether a step was taken.
    """
    with accelerator.accumulate(model):
        answer = objective(model, *batch, seed)
        loss = accelerator.reduce(answer.loss.detach().float(), "mean").item()
        accelerator.backward(answer.loss)
        if max_grad_norm and accelerator.sync_gradients:
            accelerator.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
    return loss, answer


def train_one_epoch(
    accelerator: Accelerator,
    model: nn.Module,
    loader: Any,
    optimizer: Any,
    scheduler: Any,
    objective: Objective,
    seed: int,
    max_grad_norm: float | None,
    ema: ModelEmaV3 | None,
    title: str,
    bar: tqdm,
) -> EpochTrace:
    """Takes one step per batch, or per as many batches as the accelerator accumulates.

    Args:
        accelerator: Knows devices, processes, precision and accumulation.
        model: Prepared by it; what does not require gradients stays as it is.
        loader: Prepared; gives float32 (batch, 3, height, width) and int64 (batch,).
        optimizer: Prepared.
        scheduler: Not prepared: it steps once per update, whatever the number of processes.
        objective: Gives the loss.
        seed: The epoch's.
        max_grad_norm: Gradients are clipped to this norm.
        ema: Follows the model's weights after every step.
        title: Names the epoch, on the progress bar and in errors.
        bar: Progress over all batches of the stage; moves on by one per batch.

    Raises:
        DivergedError: The loss is not finite.
    """
    set_training_mode(accelerator.unwrap_model(model))
    trace = EpochTrace()
    right = seen = 0
    gathered: list[float] = []
    bar.set_description(title)
    for number, batch in enumerate(loader):
        # Before stepping: after its last step a one-cycle rises again.
        rate, momentum = highest_rate(optimizer.param_groups), optimizer.param_groups[-1]["betas"][0]
        loss, answer = train_one_batch(
            accelerator, model, optimizer, objective, batch, hash_seed(seed, number), max_grad_norm
        )
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss} ({title}, step {len(trace.losses) + 1}, learning rate {rate:.2g}): {_LOWER}"
            )
        gathered.append(loss)
        if accelerator.sync_gradients:
            # fp16 skips a step whose gradients overflowed.
            if not accelerator.optimizer_step_was_skipped:
                scheduler.step()
                if ema:
                    ema.update(accelerator.unwrap_model(model), step=scheduler.last_epoch)
            trace.losses.append(sum(gathered) / len(gathered))
            trace.rates.append(rate)
            trace.momenta.append(momentum)
            gathered.clear()
        right += answer.right
        seen += answer.pictures
        bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{right / seen:.1%}", lr=f"{rate:.1e}", refresh=False)
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
    with tqdm(loader, desc=title, unit="batch", disable=not accelerator.is_main_process, leave=False) as bar:
        for images, truth in bar:
            # An average of the weights is not prepared, and would run in full precision.
            with accelerator.autocast():
                answer = model(images)
            # Drops the pictures that were repeated to give every process a full batch.
            answer, truth = accelerator.gather_for_metrics((answer.float(), truth))
            logits.append(answer.cpu())
            labels.append(truth.cpu())
    return torch.cat(logits), torch.cat(labels)
