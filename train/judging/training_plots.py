"""Figures of a run: what it was shown, and how it went. Each function writes one PNG file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from figures import mpl, subplots
from train.fitting.lr_finder import LRFinderResult
from train.fitting.progress import Progress
from train.judging.figure_style import BLUE, GREY, ORANGE, STYLE, captions, save
from train.judging.learning_curve import LearningCurve


def plot_train_batch(
    path: Path,
    images: Any,
    label_names: Sequence[str],
    data_config: dict[str, Any],
    mix: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor],
) -> None:
    """Shows what the model sees in training: 24 augmented pictures with their labels.

    Args:
        path: The PNG file to write.
        images: Gives (float32 tensor of shape (3, height, width), label) by index.
        label_names: Class names, in the order of their numbers.
        data_config: Its `mean` and `std` undo the normalisation.
        mix: Mixes a batch in place, given labels and a seed; returns labels, or each class's share in each picture.
    """
    mean, std = np.array(data_config["mean"]), np.array(data_config["std"])
    # Spread over the split, whatever its order.
    chosen = np.unique(np.linspace(0, len(images) - 1, 24).astype(int)).tolist()
    pictures, labels = zip(*(images[index] for index in chosen), strict=True)
    batch = torch.stack(pictures)
    targets = mix(batch, torch.tensor(labels), 0)
    with mpl.rc_context(STYLE):
        figure, axes = subplots(-(-len(chosen) // 8), 8, figsize=(11, 1.55 * -(-len(chosen) // 8)), squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for axis, picture, target in zip(axes.flat, batch, targets, strict=False):
            axis.imshow(np.clip(picture.permute(1, 2, 0).numpy() * std + mean, 0, 1))
            axis.set_title(_label_of(target, label_names), fontsize=7, fontweight="normal", loc="center", pad=3)
        save(figure, path)


def _label_of(target: torch.Tensor, label_names: Sequence[str]) -> str:
    if target.ndim == 0:
        return captions(label_names)[int(target)]
    shares = sorted(
        ((share, name) for share, name in zip(target.tolist(), captions(label_names), strict=True)), reverse=True
    )
    return "\n".join(f"{name} {share:.0%}" for share, name in shares if share > 0)


def plot_training(path: Path, progress: Progress) -> None:
    """Shows a run: loss, accuracy, learning rate and momentum, over the epochs of both stages."""
    # By epoch: passes over cached features have many more steps than the epochs over pictures that follow.
    steps = np.concatenate([done + np.arange(1, r.steps + 1) / r.steps for done, r in enumerate(progress.records)])
    ends = np.arange(1, len(progress.records) + 1)
    first_stage_ends = sum(record.stage == 1 for record in progress.records)
    with mpl.rc_context(STYLE):
        figure, (loss, accuracy, rate) = subplots(1, 3, figsize=(11, 3))
        loss.plot(steps, progress.losses, color=BLUE, alpha=0.35, lw=0.8, label="training, per step")
        loss.plot(ends, [r.train_loss for r in progress.records], color=BLUE, label="training, per epoch")
        loss.plot(ends, [r.validation_loss for r in progress.records], color=ORANGE, label="validation")
        loss.set(title="Loss", xlabel="epoch", ylim=(0, None))
        accuracy.plot(ends, [r.train_accuracy for r in progress.records], color=BLUE, label="training, augmented")
        accuracy.plot(ends, [r.validation_accuracy for r in progress.records], color=ORANGE, label="validation")
        if progress.best:
            kept = ends[progress.records.index(progress.best)]
            accuracy.plot(kept, progress.best.validation_accuracy, "*", color=ORANGE, ms=11, label="kept")
        accuracy.set(title="Accuracy", xlabel="epoch", ylim=(0, 1))
        accuracy.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        rate.plot(steps, progress.rates, color=BLUE, label="learning rate of the classifier")
        momentum = rate.twinx()
        momentum.spines["right"].set_visible(True)
        momentum.plot(steps, progress.momenta, color=GREY, lw=0.8, ls="--", label="momentum (right)")
        # Room above the curves for the legend.
        rate.set(title="One cycle", xlabel="epoch", ylim=(0, 1.35 * max(progress.rates)))
        momentum.set(ylim=(0.8, 1.05))
        handles = rate.lines + momentum.lines
        momentum.legend(handles, [h.get_label() for h in handles], fontsize=7, loc="upper center")
        for axis in (loss, accuracy, rate):
            if 0 < first_stage_ends < len(ends):
                axis.axvline(first_stage_ends, color=GREY, lw=0.8, ls=":")
        for axis in (loss, accuracy):
            axis.legend(fontsize=7)
        save(figure, path)


def plot_lr_finder(path: Path, result: LRFinderResult) -> None:
    """Shows the loss over the learning rate, and the suggestion or why there is none."""
    with mpl.rc_context(STYLE):
        figure, axis = subplots(figsize=(5.5, 3.2))
        axis.plot(result.rates, result.losses, color=BLUE)
        if result.suggestion:
            at = result.rates.index(result.suggestion)
            axis.plot(result.suggestion, result.losses[at], "o", color=ORANGE, label=f"{result.suggestion:.1e}")
            axis.legend()
        title = "Learning rate finder" if result.suggestion else f"No suggestion: {result.reason}"
        axis.set(title=title, xlabel="learning rate of the classifier", ylabel="training loss, smoothed", xscale="log")
        if result.losses:
            # A loss that diverges would flatten everything else.
            low, first = min(result.losses), result.losses[0]
            axis.set(ylim=(low - 0.1 * first, max(1.5 * first, low)))
        save(figure, path)


def plot_learning_curve(path: Path, curve: LearningCurve) -> None:
    """Shows accuracy over pictures per class, and where the law through the points leads, with its spread."""
    sizes = np.array([point.per_class for point in curve.points])
    accuracies = np.array([point.accuracy for point in curve.points])
    bars = np.abs(np.array([point.interval for point in curve.points]).T - accuracies)
    ahead = np.geomspace(sizes[0], curve.farthest, 100)
    low, high = curve.spread(ahead)
    with mpl.rc_context(STYLE):
        figure, axis = subplots(figsize=(5.5, 3.2))
        axis.fill_between(ahead, low, high, color=BLUE, alpha=0.15, lw=0, label="its 95 % spread")
        within = ahead <= sizes[-1]
        axis.plot(ahead[within], curve.accuracy(ahead[within]), color=BLUE, label="power law")
        axis.plot(ahead[~within], curve.accuracy(ahead[~within]), color=BLUE, ls=":", label="what it would promise")
        axis.errorbar(sizes, accuracies, bars, fmt="o", color=ORANGE, ms=4, capsize=2, label="measured, 95 %")
        title = f"Accuracy on {curve.points[0].pictures} pictures held out"
        axis.set(title=title, xlabel="pictures per class to learn from", xscale="log", ylim=(0, 1))
        axis.xaxis.set_major_formatter(mpl.ticker.ScalarFormatter())
        axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        axis.set_xticks([size for size in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if size <= ahead[-1]])
        axis.set_xlim(0.9 * sizes[0], ahead[-1])
        axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        axis.legend(loc="lower right")
        save(figure, path)
