"""One epoch: training and validation."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from tqdm import tqdm

from train.errors import UserError
from train.fitting.batches import hash_seed
from train.fitting.model import set_training_mode
from train.fitting.optim import highest_rate
from train.fitting.progress import EpochTrace

_LOWER = "lower max_lr (stage 1: freeze_max_lr), in another output_dir or after removing this one"


class DivergedError(UserError):
    """The loss is no longer a number."""


def train_one_epoch(
    accelerator: Accelerator,
    model: nn.Module,
    loader: Any,
    optimizer: Any,
    scheduler: Any,
    label_smoothing: float,
    title: str,
    bar: tqdm,
    epoch_seed: int,
    trace: EpochTrace,
) -> None:
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
        epoch_seed: What is random in a step follows from it and from the step's number.
        trace: What was done of the epoch before; grows with every step.

    Raises:
        DivergedError: The loss is not finite.
    """
    set_training_mode(accelerator.unwrap_model(model))
    bar.set_description(title)
    for images, labels in loader:
        # Dropout, say; so that a run that is resumed within an epoch goes on as it would have.
        set_seed(hash_seed(epoch_seed, trace.batches) % 2**32, device_specific=True)
        # Before stepping: after its last step a one-cycle rises again.
        rate, momentum = highest_rate(optimizer.param_groups), optimizer.param_groups[-1]["betas"][0]
        logits = model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        right = (logits.detach().argmax(1) == labels).sum()
        sums = torch.stack([loss.detach().float(), right.float(), torch.full_like(right, len(labels)).float()])
        total, right, seen = accelerator.reduce(sums, "sum").tolist()
        mean = total / accelerator.num_processes
        if not math.isfinite(mean):
            lowest = min(group["lr"] for group in optimizer.param_groups)
            where = f"{title}, step {trace.batches + 1}, learning rates {lowest:.2g} to {rate:.2g}"
            raise DivergedError(f"the loss became {mean} ({where}): {_LOWER}")
        accelerator.backward(loss)
        optimizer.step()
        # fp16 skips a step whose gradients overflowed.
        if not accelerator.optimizer_step_was_skipped:
            scheduler.step()
        optimizer.zero_grad()
        trace.losses.append(mean)
        trace.rates.append(rate)
        trace.momenta.append(momentum)
        trace.right += int(right)
        trace.seen += int(seen)
        trace.batches += 1
        bar.set_postfix(loss=f"{mean:.3f}", accuracy=f"{trace.accuracy:.1%}", lr=f"{rate:.1e}", refresh=False)
        bar.update()


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
