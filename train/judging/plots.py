"""Figures of a judged model, for a talk as for the report. Each function writes one PNG file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from figures import mpl, subplots
from train.judging.figure_style import BLUE, GREY, ORANGE, STYLE, captions, save

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
