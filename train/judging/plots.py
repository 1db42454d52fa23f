"""Figures of a run and of a model. Each function writes one PNG file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from train.fitting.lr_finder import LRFinderResult
from train.fitting.progress import Progress

mpl.use("agg")

_BLUE, _ORANGE, _GREY = "#1f5f8b", "#d1603d", "#8a8580"
_STYLE: Any = {
    "figure.dpi": 150,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}


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
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(-(-len(chosen) // 8), 8, figsize=(11, 1.55 * -(-len(chosen) // 8)), squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for axis, picture, target in zip(axes.flat, batch, targets, strict=False):
            axis.imshow(np.clip(picture.permute(1, 2, 0).numpy() * std + mean, 0, 1))
            axis.set_title(_label_of(target, label_names), fontsize=7, fontweight="normal", loc="center", pad=3)
        _save(figure, path)


def _label_of(target: torch.Tensor, label_names: Sequence[str]) -> str:
    if target.ndim == 0:
        return label_names[int(target)]
    shares = sorted(((share, name) for share, name in zip(target.tolist(), label_names, strict=True)), reverse=True)
    return "\n".join(f"{name} {share:.0%}" for share, name in shares if share > 0)


def plot_training(path: Path, progress: Progress) -> None:
    """Shows a run: loss per step and per epoch, accuracy per epoch, learning rate and momentum per step."""
    steps = np.arange(1, len(progress.losses) + 1)
    ends = np.cumsum([record.steps for record in progress.records])
    first_stage_ends = sum(record.steps for record in progress.records if record.stage == 1)
    with plt.rc_context(_STYLE):
        figure, (loss, accuracy, rate) = plt.subplots(1, 3, figsize=(11, 3))
        loss.plot(steps, progress.losses, color=_BLUE, alpha=0.35, lw=0.8, label="training, per step")
        loss.plot(ends, [r.train_loss for r in progress.records], color=_BLUE, label="training, per epoch")
        loss.plot(ends, [r.validation_loss for r in progress.records], color=_ORANGE, label="validation")
        loss.set(title="Loss", xlabel="step", ylim=(0, None))
        accuracy.plot(ends, [r.train_accuracy for r in progress.records], color=_BLUE, label="training, augmented")
        accuracy.plot(ends, [r.validation_accuracy for r in progress.records], color=_ORANGE, label="validation")
        if progress.best:
            kept = ends[progress.records.index(progress.best)]
            accuracy.plot(kept, progress.best.validation_accuracy, "*", color=_ORANGE, ms=11, label="kept")
        accuracy.set(title="Accuracy", xlabel="step", ylim=(0, 1))
        accuracy.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        rate.plot(steps, progress.rates, color=_BLUE, label="learning rate of the classifier")
        momentum = rate.twinx()
        momentum.spines["right"].set_visible(True)
        momentum.plot(steps, progress.momenta, color=_GREY, lw=0.8, ls="--", label="momentum (right)")
        # Room above the curves for the legend.
        rate.set(title="One cycle", xlabel="step", ylim=(0, 1.35 * max(progress.rates)))
        momentum.set(ylim=(0.8, 1.05))
        handles = rate.lines + momentum.lines
        momentum.legend(handles, [h.get_label() for h in handles], frameon=False, fontsize=7)
        for axis in (loss, accuracy, rate):
            if 0 < first_stage_ends < len(steps):
                axis.axvline(first_stage_ends, color=_GREY, lw=0.8, ls=":")
        for axis in (loss, accuracy):
            axis.legend(frameon=False, fontsize=7)
        _save(figure, path)


def plot_lr_finder(path: Path, result: LRFinderResult) -> None:
    """Shows the loss over the learning rate, and the suggestion or why there is none."""
    with plt.rc_context(_STYLE):
        figure, axis = plt.subplots(figsize=(5.5, 3.2))
        axis.plot(result.rates, result.losses, color=_BLUE)
        if result.suggestion:
            at = result.rates.index(result.suggestion)
            axis.plot(result.suggestion, result.losses[at], "o", color=_ORANGE, label=f"{result.suggestion:.1e}")
            axis.legend(frameon=False)
        title = "Learning rate finder" if result.suggestion else f"No suggestion: {result.reason}"
        axis.set(title=title, xlabel="learning rate of the classifier", ylabel="training loss, smoothed", xscale="log")
        if result.losses:
            # A loss that diverges would flatten everything else.
            low, first = min(result.losses), result.losses[0]
            axis.set(ylim=(low - 0.1 * first, max(1.5 * first, low)))
        _save(figure, path)


def plot_confusion_matrix(path: Path, counts: np.ndarray, label_names: Sequence[str], title: str) -> None:
    """Shows a confusion matrix: counts, shaded by the share of their row.

    Args:
        path: The PNG file to write.
        counts: Integers of shape (classes, classes); rows are true, columns predicted.
        label_names: Class names, in the order of their numbers.
        title: Stands above it.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.2 + 0.55 * len(label_names)
    with plt.rc_context({**_STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure, axis = plt.subplots(figsize=(side + 0.6, side))
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                color = "white" if shares[row, column] > 0.55 else "black"
                axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
        ticks = range(len(label_names))
        axis.set_xticks(ticks, label_names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(ticks, label_names)
        axis.tick_params(length=0)
        axis.set(title=title, xlabel="predicted", ylabel="true")
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
