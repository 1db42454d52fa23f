"""The figures of a run: what the model saw, how training went, how often it is right and how sure it is.

Each function returns a matplotlib figure, which a notebook shows inline and `save` writes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import torch
from PIL import Image, ImageOps

from figures import Figure, mpl, subplots
from train.history import History
from train.lr_finder import LRFinderResult

if TYPE_CHECKING:
    from train.learning_curve import LearningCurve

BLUE, ORANGE, GREY, INK = "#1f5f8b", "#d1603d", "#8a8580", "#2b2522"
_STYLE: Any = {
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
# Comes with matplotlib, and so is the same everywhere.
_FONT = mpl.font_manager.findfont(mpl.font_manager.FontProperties(family="DejaVu Sans"), fallback_to_default=False)
_LONGEST_NAME = 28
_PANEL, _PAPER = 340, "#f6f3ee"
# Classes in one matrix whose cells can still hold numbers, and names that have room beside it.
_MOST_NUMBERED, _MOST_NAMED = 40, 60

P = ParamSpec("P")


def _styled(plot: Callable[P, Figure]) -> Callable[P, Figure]:
    """Makes a figure in the project's style, whatever the caller's is."""

    @wraps(plot)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return plot(*args, **kwargs)

    return styled


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG or JPEG, and makes its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)


def captions(label_names: Sequence[str]) -> list[str]:
    """Returns what figures call the classes: their names, or their numbers where the font lacks a letter."""
    return [caption(name, f"class {number}") for number, name in enumerate(label_names)]


def caption(name: str, fallback: str) -> str:
    """Returns a name, shortened, or the fallback where the font lacks one of its letters."""
    if not _letters().issuperset(map(ord, name)):
        return fallback
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


@cache
def _letters() -> frozenset[int]:
    # No script of India; and some of Hebrew and Arabic, which are not turned round on every machine.
    return frozenset(code for code in mpl.ft2font.FT2Font(_FONT).get_charmap() if not 0x590 <= code <= 0x8FF)


def _show_percent(*axes: mpl.axis.Axis) -> None:
    for axis in axes:
        axis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))


@_styled
def plot_confusion_matrix(counts: np.ndarray, label_names: Sequence[str], title: str) -> Figure:
    """Plots a confusion matrix: counts and their share of the row; right answers in blue, wrong ones in orange.

    Args:
        counts: Integers of shape (classes, classes); rows are true, columns predicted.
        label_names: Class names, in the order of their numbers.
        title: Stands above it.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    right = np.eye(len(counts), dtype=bool)
    side = 2.2 + 0.6 * len(label_names) if len(label_names) <= _MOST_NUMBERED else 14
    figure, axis = subplots(figsize=(side + 0.6, side))
    axis.spines[:].set_visible(False)
    for cells, colors in ((right, "Blues"), (~right, "Oranges")):
        # Not the darkest shades, on which black can't be read.
        axis.imshow(np.ma.masked_where(~cells | (counts == 0), 0.1 + 0.6 * shares), cmap=colors, vmin=0, vmax=1)
    if len(label_names) <= _MOST_NUMBERED:
        for edge in np.arange(len(label_names) + 1) - 0.5:
            axis.axhline(edge, color="#e4dfd9", lw=0.6)
            axis.axvline(edge, color="#e4dfd9", lw=0.6)
        centred: Any = {"ha": "center", "va": "center", "color": "black"}
        for row, column in zip(*counts.nonzero(), strict=True):
            axis.text(column, row - 0.04, str(counts[row, column]), fontweight="bold", **centred)
            axis.text(column, row + 0.3, f"{shares[row, column]:.0%}", fontsize=6.5, **centred)
    names = captions(label_names)
    # Of a thousand names, as many as have room.
    ticks = range(0, len(names), -(-len(names) // _MOST_NAMED))
    axis.set_xticks(ticks, [names[tick] for tick in ticks], rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(ticks, [names[tick] for tick in ticks])
    axis.tick_params(length=0)
    axis.set(title=title, xlabel="predicted", ylabel="true")
    return figure


@_styled
def plot_per_class(per_class: dict[str, dict[str, Any]], title: str) -> Figure:
    """Plots the recall of every class with its 95 % interval, and its precision.

    Args:
        per_class: By name: pictures, recall, recall_interval, precision (shares, 0 to 1). Classes without a picture
            are left out.
        title: Stands above it.
    """
    names = dict(zip(per_class, captions(list(per_class)), strict=True))
    rows = sorted(
        ((names[name], row) for name, row in per_class.items() if row["pictures"]),
        key=lambda entry: (-entry[1]["recall"], entry[0]),
    )
    places, table = range(len(rows)), [row for _, row in rows]
    figure, axis = subplots(figsize=(5.4, 1.4 + 0.36 * len(rows)))
    axis.barh(places, [row["recall"] for row in table], 0.62, color=BLUE, alpha=0.3, label="recall")
    lows, highs = zip(*(row["recall_interval"] for row in table), strict=True)
    axis.hlines(places, lows, highs, color=BLUE, lw=2, label="its 95 % interval")
    precisions = [row["precision"] for row in table]
    axis.plot(precisions, places, "D", mfc="white", mec=ORANGE, ms=5, clip_on=False, label="precision")
    axis.set_yticks(places, [f"{name}  ({row['pictures']})" for name, row in rows])
    axis.tick_params(axis="y", length=0)
    axis.set(title=title, xlim=(0, 1.02), ylim=(len(rows) - 0.4, -0.6))
    _show_percent(axis.xaxis)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@_styled
def plot_reliability(after: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]], title: str) -> Figure:
    """Plots how often answers of a certain confidence are right, before and after calibration (Guo et al. 2017).

    Args:
        after: The bins of confidence: low, high, pictures, confidence and accuracy (their means), accuracy_interval;
            only bins with a picture.
        before: The same before calibration; empty when there was none.
        title: Stands above it.
    """
    figure, (axis, strip) = subplots(2, 1, figsize=(4.6, 4.4), sharex=True, gridspec_kw={"height_ratios": (4, 1)})
    axis.plot((0, 1), (0, 1), color=GREY, lw=0.8, ls="--", label="perfectly calibrated")
    bins = [("this model, 95 % interval", after, {"color": BLUE, "ls": "-", "ms": 5.0})]
    if before:
        bins = [
            ("before calibration", before, {"color": ORANGE, "ls": "--", "mfc": "white", "lw": 1, "ms": 4.5}),
            ("after calibration, 95 % interval", *bins[0][1:]),
        ]
    for row in after:
        axis.plot((row["confidence"],) * 2, row["accuracy_interval"], color=BLUE, lw=4, alpha=0.2)
        middle, width = (row["low"] + row["high"]) / 2, row["high"] - row["low"]
        strip.bar(middle, row["pictures"], 0.92 * width, color=BLUE, alpha=0.35)
    for label, rows, style in bins:
        xs, ys = [row["confidence"] for row in rows], [row["accuracy"] for row in rows]
        axis.plot(xs, ys, marker="o", label=label, clip_on=False, **style)
    axis.set(title=title, ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    axis.legend(loc="upper left")
    strip.set(xlabel="probability of the answer", ylabel="pictures")
    _show_percent(axis.yaxis, strip.xaxis)
    strip.yaxis.set_major_locator(mpl.ticker.MaxNLocator(2, integer=True))
    return figure


@_styled
def plot_risk_coverage(points: Sequence[dict[str, Any]], threshold: dict[str, Any] | None, title: str) -> Figure:
    """Plots how often the model is right when it answers only the pictures that it is surest of.

    Args:
        points: coverage (share of pictures answered), accuracy among them, accuracy_interval.
        threshold: What the model's own threshold does: threshold, coverage, accuracy, and `promised`, whether
            validation pictures support it; None where it answers none of these pictures.
        title: Stands above it.
    """
    points = sorted(points, key=lambda row: row["coverage"])
    xs, ys = [row["coverage"] for row in points], [row["accuracy"] for row in points]
    lows, highs = zip(*(row["accuracy_interval"] for row in points), strict=True)
    figure, axis = subplots(figsize=(4.6, 4.4))
    axis.fill_between(xs, lows, highs, color=BLUE, alpha=0.15, lw=0, label="95 % interval")
    axis.plot(xs, ys, color=BLUE, label="accuracy of the answers")
    axis.axhline(ys[-1], color=GREY, lw=0.8, ls="--", label=f"all answered: {ys[-1]:.0%} right")
    if threshold:
        x, y = threshold["coverage"], threshold["accuracy"]
        name = "threshold" if threshold.get("promised", True) else "default threshold"
        label = f"{name} {threshold['threshold']:.2f}: {x:.0%} answered, {y:.0%} right"
        axis.plot(x, y, "*", color=ORANGE, ms=12, label=label)
        axis.plot((x, x), (0, y), color=ORANGE, lw=0.8, ls=":")
    low = min([*lows[len(lows) // 10 :], ys[-1]])
    axis.set(title=title, xlabel="coverage: share answered, the surest first", ylabel="accuracy")
    axis.set(xlim=(0, 1.01), ylim=(max(0, low - 0.15), 1.02))
    _show_percent(axis.xaxis, axis.yaxis)
    axis.legend()
    return figure


@_styled
def plot_train_batch(
    images: Any,
    label_names: Sequence[str],
    data_config: dict[str, Any],
    mix: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor],
) -> Figure:
    """Plots what the model sees in training: 24 augmented pictures with their labels.

    Args:
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
    rows = -(-len(chosen) // 8)
    figure, axes = subplots(rows, 8, figsize=(11, 1.55 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, target in zip(axes.flat, batch, targets, strict=False):
        axis.imshow(np.clip(picture.permute(1, 2, 0).numpy() * std + mean, 0, 1))
        axis.set_title(_describe_target(target, captions(label_names)), fontsize=7, fontweight="normal", loc="center")
    return figure


def _describe_target(target: torch.Tensor, names: list[str]) -> str:
    if target.ndim == 0:
        return names[int(target)]
    shares = sorted(zip(target.tolist(), names, strict=True), reverse=True)
    return "\n".join(f"{name} {share:.0%}" for share, name in shares if share > 0)


@_styled
def plot_training(history: History) -> Figure:
    """Plots a run: loss, accuracy, learning rate and momentum, over the epochs of both stages."""
    records = history.records
    # By epoch: passes over cached features have many more steps than the epochs over pictures that follow.
    steps = np.concatenate([done + np.arange(1, r.steps + 1) / r.steps for done, r in enumerate(records)])
    ends, stage1_epochs = np.arange(1, len(records) + 1), sum(record.stage == 1 for record in records)
    figure, (loss, accuracy, rate) = subplots(1, 3, figsize=(11, 3))
    loss.plot(steps, history.losses, color=BLUE, alpha=0.35, lw=0.8, label="training, per step")
    loss.plot(ends, [r.train_loss for r in records], color=BLUE, label="training, per epoch")
    loss.plot(ends, [r.validation_loss for r in records], color=ORANGE, label="validation")
    loss.set(title="Loss", xlabel="epoch", ylim=(0, None))
    accuracy.plot(ends, [r.train_accuracy for r in records], color=BLUE, label="training, augmented")
    accuracy.plot(ends, [r.validation_accuracy for r in records], color=ORANGE, label="validation")
    if history.best:
        kept = ends[records.index(history.best)]
        accuracy.plot(kept, history.best.validation_accuracy, "*", color=ORANGE, ms=11, label="kept")
    accuracy.set(title="Accuracy", xlabel="epoch", ylim=(0, 1))
    _show_percent(accuracy.yaxis)
    rate.plot(steps, history.rates, color=BLUE, label="learning rate of the classifier")
    momentum = rate.twinx()
    momentum.spines["right"].set_visible(True)
    momentum.plot(steps, history.momenta, color=GREY, lw=0.8, ls="--", label="momentum (right)")
    # Room above the curves for the legend.
    rate.set(title="One cycle", xlabel="epoch", ylim=(0, 1.35 * max(history.rates)))
    momentum.set(ylim=(0.8, 1.05))
    momentum.legend(handles=rate.lines + momentum.lines, fontsize=7, loc="upper center")
    for axis in (loss, accuracy):
        axis.legend(fontsize=7)
    for axis in (loss, accuracy, rate):
        # With a short last epoch, ticks at halves of epochs would mean nothing.
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        if 0 < stage1_epochs < len(ends):
            axis.axvline(stage1_epochs, color=GREY, lw=0.8, ls=":")
    return figure


@_styled
def plot_lr_finder(result: LRFinderResult) -> Figure:
    """Plots the loss over the learning rate, and the suggestion or why there is none."""
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
    return figure


@_styled
def plot_learning_curve(curve: "LearningCurve") -> Figure:
    """Plots accuracy over pictures per class, and where the power law through the points leads, with its spread."""
    sizes = np.array([point.per_class for point in curve.points])
    accuracies = np.array([point.accuracy for point in curve.points])
    bars = np.abs(np.array([point.interval for point in curve.points]).T - accuracies)
    ahead = np.geomspace(sizes[0], curve.farthest, 100)
    low, high = curve.spread(ahead)
    figure, axis = subplots(figsize=(5.5, 3.2))
    axis.fill_between(ahead, low, high, color=BLUE, alpha=0.15, lw=0, label="its 95 % spread")
    measured = ahead <= sizes[-1]
    axis.plot(ahead[measured], curve.accuracy(ahead[measured]), color=BLUE, label="power law")
    axis.plot(ahead[~measured], curve.accuracy(ahead[~measured]), color=BLUE, ls=":", label="extrapolated")
    axis.errorbar(sizes, accuracies, bars, fmt="o", color=ORANGE, ms=4, capsize=2, label="measured, 95 %")
    title = f"Accuracy on {curve.points[0].pictures} pictures held out"
    axis.set(title=title, xlabel="training pictures per class", xscale="log", ylim=(0, 1))
    axis.xaxis.set_major_formatter(mpl.ticker.ScalarFormatter())
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axis.set_xticks([size for size in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if size <= ahead[-1]])
    axis.set_xlim(0.9 * sizes[0], ahead[-1])
    _show_percent(axis.yaxis)
    axis.legend(loc="lower right")
    return figure


@dataclass(frozen=True)
class Panel:
    """A picture of `plot_pictures`.

    Attributes:
        image: RGB.
        title: The first line above it.
        notes: The line or lines that follow.
        color: Of the title.
    """

    image: Image.Image
    title: str
    notes: str
    color: str = INK


@_styled
def plot_pictures(rows: Sequence[Sequence[Panel | None]], title: str) -> Figure:
    """Plots rows of pictures; None leaves a place empty."""
    width = max(map(len, rows))
    figure, axes = subplots(len(rows), width, figsize=(1.8 * width, 2.3 * len(rows) + 0.3), squeeze=False)
    figure.suptitle(title, x=0.005, ha="left", fontweight="bold")
    for axis, panel in zip(
        axes.flat, (panel for row in rows for panel in [*row, *[None] * (width - len(row))]), strict=True
    ):
        axis.axis("off")
        if panel:
            axis.imshow(ImageOps.pad(panel.image, (_PANEL, _PANEL), color=_PAPER))
            axis.set_title(panel.title, color=panel.color, fontsize=8, pad=4 + 9 * (1 + panel.notes.count("\n")))
            axis.text(0, 1.02, panel.notes, fontsize=7, va="bottom", transform=axis.transAxes)
    return figure
