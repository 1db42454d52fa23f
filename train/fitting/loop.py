"""One epoch: training and validation."""

import math
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from files.errors import UserError
from train.fitting.progress import EpochTrace
from train.fitting.sampling import hash_seed
from train.fitting.state import StageState
from train.fitting.stepper import Stepper

_LOWER = "lower max_lr (stage 1: freeze_max_lr), in another output_dir or after removing this one"


class DivergedError(UserError):
    """The loss is no longer a number."""


def train_one_epoch(
    stepper: Stepper, loader: Any, state: StageState, title: str, bar: tqdm, epoch_seed: int, trace: EpochTrace
) -> None:
    """Takes one step per batch, or per as many batches as the stepper accumulates.

    Args:
        stepper: Takes the steps.
        loader: Gives float32 (batch, 3, height, width), or features, and int64 (batch,).
        state: Its rate and its average follow each step.
        title: Names the epoch, on the progress bar and in errors.
        bar: Progress over all batches of the stage; moves on by one per batch.
        epoch_seed: What is random in a batch follows from it and from the batch's number.
        trace: What was done of the epoch before; grows with every batch.

    Raises:
        DivergedError: The loss is not finite.
    """
    accelerator, groups = stepper.accelerator, stepper.optimizer.param_groups
    stepper.set_training_mode()
    bar.set_description(title)
    for batch in loader:
        # An epoch's last step has as many batches as are left.
        share = min(stepper.accumulation, len(loader) - trace.batches + len(trace.pending))
        completes = len(trace.pending) + 1 == share
        # Before stepping: after its last step a one-cycle rises again.
        rates, momentum = [group["lr"] for group in groups], groups[-1]["betas"][0]
        result = stepper.take(batch, hash_seed(epoch_seed, trace.batches), share, completes)
        if not math.isfinite(result.loss):
            where = f"{title}, step {len(trace.losses) + 1}, learning rates {min(rates):.2g} to {max(rates):.2g}"
            raise DivergedError(f"the loss became {result.loss} ({where}): {_LOWER}")
        trace.pending.append(result.loss)
        trace.right += result.right
        trace.seen += result.pictures
        trace.batches += 1
        if completes:
            # fp16 skips a step whose gradients overflowed.
            if not accelerator.optimizer_step_was_skipped:
                state.follow()
            trace.losses.append(sum(trace.pending) / share)
            trace.rates.append(max(rates))
            trace.momenta.append(momentum)
            trace.pending.clear()
        loss, accuracy = f"{result.loss:.3f}", f"{trace.accuracy:.1%}"
        bar.set_postfix(loss=loss, accuracy=accuracy, lr=f"{max(rates):.1e}", refresh=False)
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
            # An average of the weights is not prepared, and would run in full precision.
            with accelerator.autocast():
                answer = model(images)
            # Drops the pictures that were repeated to give every process a full batch.
            answer, truth = accelerator.gather_for_metrics((answer.float(), truth))
            logits.append(answer.cpu())
            labels.append(truth.cpu())
    return torch.cat(logits), torch.cat(labels)
