"""Figures of a run: what it was shown, and how it went. Each function writes one PNG file."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from figures import mpl, subplots
from train.history import Progress
from train.learning_curve import LearningCurve
from train.lr_finder import LRFinderResult

BLUE, ORANGE, GREY, INK = "#1f5f8b", "#d1603d", "#8a8580", "#2b2522"
STYLE: Any = {
    "figure.dpi": 200,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    # A class may be called "$x$".
    "text.parse_math": False,
}
FONT = mpl.font_manager.findfont(mpl.font_manager.FontProperties(family="DejaVu Sans"), fallback_to_default=False)
"""Comes with matplotlib, and so is the same everywhere."""
_LONGEST = 28


def captions(label_names: Sequence[str]) -> list[str]:
    """Returns what figures call the classes: their names, or their numbers where the font lacks a letter."""
    return [caption(name, f"class {number}") for number, name in enumerate(label_names)]


def caption(name: str, otherwise: str) -> str:
    """Returns a name, shortened, or something else where the font lacks one of its letters."""
    if not _letters().issuperset(map(ord, name)):
        return otherwise
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def save(figure: mpl.figure.Figure, path: Path) -> None:
    """Writes a figure as PNG and makes its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


@cache
def _letters() -> frozenset[int]:
    # No script of India; and some of Hebrew and Arabic, which are not turned round on every machine.
    return frozenset(code for code in mpl.ft2font.FT2Font(FONT).get_charmap() if not 0x590 <= code <= 0x8FF)


_MOST_NUMBERED, _MOST_NAMED = 40, 60
"""Classes in one matrix whose cells can still hold numbers, and names that have room beside it."""


def plot_confusion_matrix(path: Path, counts: np.ndarray, label_names: Sequence[str], title: str) -> None:
    """Shows a confusion matrix: counts and their share of the row; right answers in blue, wrong ones in orange.

    Args:
        path: The PNG file to write.
        counts: Integers of shape (classes, classes); rows are true, columns predicted.
        label_names: Class names, in the order of their numbers.
        title: Stands above it.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    right = np.eye(len(counts), dtype=bool)
    side = 2.2 + 0.6 * len(label_names) if len(label_names) <= _MOST_NUMBERED else 14
    with mpl.rc_context({**STYLE, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure, axis = subplots(figsize=(side + 0.6, side))
        for kind, colors in ((right, "Blues"), (~right, "Oranges")):
            # Not the darkest shades, on which black can't be read.
            axis.imshow(np.ma.masked_where(~kind | (counts == 0), 0.1 + 0.6 * shares), cmap=colors, vmin=0, vmax=1)
        if len(label_names) <= _MOST_NUMBERED:
            for edge in np.arange(len(label_names) + 1) - 0.5:
                axis.axhline(edge, color="#e4dfd9", lw=0.6)
                axis.axvline(edge, color="#e4dfd9", lw=0.6)
            for row, column in zip(*counts.nonzero(), strict=True):
                write: Any = {"ha": "center", "va": "center", "color": "black"}
                axis.text(column, row - 0.04, str(counts[row, column]), fontweight="bold", **write)
                axis.text(column, row + 0.3, f"{shares[row, column]:.0%}", fontsize=6.5, **write)
        names = captions(label_names)
        # Of a thousand names, as many as have room.
        ticks = range(0, len(names), -(-len(names) // _MOST_NAMED))
        axis.set_xticks(ticks, [names[tick] for tick in ticks], rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(ticks, [names[tick] for tick in ticks])
        axis.tick_params(length=0)
        axis.set(title=title, xlabel="predicted", ylabel="true")
        save(figure, path)


def plot_per_class(path: Path, per_class: dict[str, dict[str, Any]], title: str) -> None:
    """Shows, per class, how many of its pictures are found, with the 95 % interval, and how often its name is right.

    Args:
        path: The PNG file to write.
        per_class: By name: pictures, recall, recall_interval, precision (shares, 0 to 1). Classes without a picture
            are left out.
        title: Stands above it.
    """
    names = dict(zip(per_class, captions(list(per_class)), strict=True))
    shown = sorted((row["recall"], name) for name, row in per_class.items() if row["pictures"])
    with mpl.rc_context(STYLE):
        figure, axis = subplots(figsize=(5.4, 1.4 + 0.36 * len(shown)))
        places = range(len(shown))
        rows = [per_class[name] for _, name in shown]
        axis.barh(places, [row["recall"] for row in rows], 0.62, color=BLUE, alpha=0.3, label="found (recall)")
        lows, highs = zip(*(row["recall_interval"] for row in rows), strict=True)
        axis.hlines(places, lows, highs, color=BLUE, lw=2, label="its 95 % interval")
        precisions = [row["precision"] for row in rows]
        axis.plot(
            precisions, places, "D", mfc="white", mec=ORANGE, ms=5, clip_on=False, label="name right (precision)"
        )
        axis.set_yticks(places, [f"{names[name]}  ({per_class[name]['pictures']})" for _, name in shown])
        axis.tick_params(axis="y", length=0)
        axis.set(title=title, xlim=(0, 1.02), ylim=(-0.6, len(shown) - 0.4))
        axis.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        figure.legend(loc="outside lower center", ncols=3)
        save(figure, path)


def plot_reliability(
    path: Path, after: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]], title: str
) -> None:
    """Shows how often answers of a certain confidence are right, before and after calibration (Guo et al. 2017).

    Args:
        path: The PNG file to write.
        after: The bins of confidence: low, high, pictures, confidence and accuracy (their means), accuracy_interval;
            only bins with a picture.
        before: The same before calibration; empty when there was none.
        title: Stands above it.
    """
    with mpl.rc_context(STYLE):
        figure, (axis, strip) = subplots(2, 1, figsize=(4.6, 4.4), sharex=True, gridspec_kw={"height_ratios": (4, 1)})
        axis.plot((0, 1), (0, 1), color=GREY, lw=0.8, ls="--")
        axis.text(0.04, 0.075, "as sure as right", color="#6b6661", fontsize=7, rotation=45, rotation_mode="anchor")
        if before:
            xs, ys = [row["confidence"] for row in before], [row["accuracy"] for row in before]
            axis.plot(
                xs, ys, "o--", color=ORANGE, mfc="white", lw=1, ms=4.5, label="before calibration", clip_on=False
            )
        for row in after:
            axis.plot((row["confidence"],) * 2, row["accuracy_interval"], color=BLUE, lw=4, alpha=0.2)
        xs, ys = [row["confidence"] for row in after], [row["accuracy"] for row in after]
        label = "after calibration, 95 % interval" if before else "this model, 95 % interval"
        axis.plot(xs, ys, "o-", color=BLUE, ms=5, label=label, clip_on=False)
        axis.set(title=title, ylabel="right", xlim=(0, 1), ylim=(0, 1.02))
        axis.legend(loc="upper left")
        for row in after:
            middle, width = (row["low"] + row["high"]) / 2, row["high"] - row["low"]
            strip.bar(middle, row["pictures"], 0.92 * width, color=BLUE, alpha=0.35)
        strip.set(xlabel="probability of the answer", ylabel="pictures")
        axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        strip.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        strip.yaxis.set_major_locator(mpl.ticker.MaxNLocator(2, integer=True))
        save(figure, path)


def plot_risk_coverage(
    path: Path, points: Sequence[dict[str, Any]], reject: dict[str, Any] | None, title: str
) -> None:
    """Shows how often the model is right when it answers only the pictures that it is surest of.

    Args:
        path: The PNG file to write.
        points: coverage (share of pictures answered), accuracy among them, accuracy_interval.
        reject: The point that was chosen on validation: coverage, accuracy; None where there is none.
        title: Stands above it.
    """
    points = sorted(points, key=lambda row: row["coverage"])
    xs, ys = [row["coverage"] for row in points], [row["accuracy"] for row in points]
    lows, highs = zip(*(row["accuracy_interval"] for row in points), strict=True)
    with mpl.rc_context(STYLE):
        figure, axis = subplots(figsize=(4.6, 4.4))
        axis.fill_between(xs, lows, highs, color=BLUE, alpha=0.15, lw=0, label="95 % interval")
        axis.plot(xs, ys, color=BLUE, label="right among the answered")
        axis.axhline(ys[-1], color=GREY, lw=0.8, ls="--", label=f"all answered: {ys[-1]:.0%} right")
        if reject:
            _mark(axis, reject["coverage"], reject["accuracy"])
        low = min([*lows[len(lows) // 10 :], ys[-1]])
        axis.set(title=title, xlabel="answered, the surest first", xlim=(0, 1.01), ylim=(max(0, low - 0.15), 1.02))
        for part in (axis.xaxis, axis.yaxis):
            part.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        axis.legend(loc="lower left")
        save(figure, path)


def _mark(axis: mpl.axes.Axes, x: float, y: float) -> None:
    axis.plot(x, y, "*", color=ORANGE, ms=12, label=f"its threshold: {x:.0%} answered, {y:.0%} right")
    axis.plot((x, x), (0, y), color=ORANGE, lw=0.8, ls=":")


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
