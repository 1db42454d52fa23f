import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from figures import Figure
from train.history import EpochRecord, History
from train.lr_finder import LRFinderResult
from train.optim import Objective
from train.report.plots import (
    Panel,
    captions,
    plot_confusion_matrix,
    plot_lr_finder,
    plot_per_class,
    plot_pictures,
    plot_reliability,
    plot_risk_coverage,
    plot_train_batch,
    plot_training,
)

# What is a formula to matplotlib, what its font has no letters for, and what is long.
HOSTILE = ["$\\frac{kathak$", "ओडिसी", "a dance with a name that nobody can remember " * 4]


def _image(figure: Figure) -> Image.Image:
    """What a notebook shows."""
    return Image.open(io.BytesIO(figure._repr_png_())).convert("RGB")


def _colors(figure: Figure) -> set[Any]:
    return {color for _, color in _image(figure).getcolors(1 << 24)}


def _warm(figure: Figure) -> bool:
    return any(red > blue + 60 for red, _, blue in _colors(figure))


def _cold(figure: Figure) -> bool:
    return any(blue > red + 60 for red, _, blue in _colors(figure))


def test_captions_are_short_and_have_letters_that_the_font_has() -> None:
    assert captions(["kathak", *HOSTILE]) == ["kathak", HOSTILE[0], "class 2", "a dance with a name that no…"]


@pytest.mark.parametrize("names", [["bharatanatyam", "kathak", "odissi"], HOSTILE])
def test_a_confusion_matrix_has_right_answers_in_blue_and_wrong_ones_in_orange(names: list[str]) -> None:
    figure = plot_confusion_matrix(np.array([[5, 1, 0], [0, 0, 0], [2, 0, 3]]), names, "80 % right")
    assert _warm(figure)
    assert _cold(figure)
    assert not _warm(plot_confusion_matrix(np.diag([5, 0, 3]), names, "all right"))


def test_a_confusion_matrix_of_many_classes_stays_a_picture() -> None:
    figure = plot_confusion_matrix(np.eye(300, dtype=int), [f"class {n}" for n in range(300)], "all right")
    assert _image(figure).width < 5_000


def test_a_figure_keeps_its_style_outside_the_callers() -> None:
    """Ticks are made when a figure is drawn: its style is not left to whoever draws it."""
    figure = plot_reliability(_bins(0.7), [], "Reliability")
    before = figure._repr_png_()
    with mpl.rc_context({"font.size": 30, "xtick.color": "red", "axes.facecolor": "black"}):
        assert plot_reliability(_bins(0.7), [], "Reliability").axes[0].get_title(loc="left") == "Reliability"
        assert figure._repr_png_() == before
    with mpl.rc_context({"font.size": 30}):
        fresh = plot_reliability(_bins(0.7), [], "Reliability")
    assert fresh._repr_png_() == before


def test_classes_with_intervals() -> None:
    row = {"pictures": 5, "recall": 0.8, "recall_interval": (0.38, 0.96), "precision": 0.0}
    empty = {"pictures": 0, "recall": 0.0, "recall_interval": (0.0, 1.0), "precision": 0.0}
    one, three = (
        _image(plot_per_class({**dict.fromkeys(names, row), "none": empty}, "Each class")).height
        for names in (HOSTILE[:1], HOSTILE)
    )
    # A class without a picture has no line.
    assert three - one == pytest.approx(2 * 0.36 * 100, abs=2)


def _bins(accuracy: float) -> list[dict[str, Any]]:
    bins = [{"low": n / 10, "high": (n + 1) / 10, "pictures": n, "confidence": n / 10 + 0.05} for n in (4, 7, 9)]
    return [{**row, "accuracy": accuracy, "accuracy_interval": (0.2, 0.9)} for row in bins]


def test_reliability_before_calibration_is_orange() -> None:
    assert _warm(plot_reliability(_bins(0.7), _bins(0.4), "Reliability"))
    alone = plot_reliability(_bins(0.7), [], "Reliability")
    assert not _warm(alone)
    assert _cold(alone)


@pytest.mark.parametrize("count", [1, 3, 100])
def test_risk_and_coverage_with_the_models_threshold(count: int) -> None:
    points = [
        {"coverage": (n + 1) / count, "accuracy": 1 - n / 2 / count, "accuracy_interval": (0.4, 1.0)}
        for n in range(count)
    ]
    threshold = {"threshold": 0.5, "coverage": 0.8, "accuracy": 0.9}
    for promised, name in ((True, "threshold 0.50: 80%"), (False, "default threshold 0.50: 80%")):
        figure = plot_risk_coverage(points, {**threshold, "promised": promised}, "Right")
        assert _warm(figure)
        assert any(text.get_text().startswith(name) for text in figure.axes[0].get_legend().get_texts())
    assert not _warm(plot_risk_coverage(points, None, "Right"))


@pytest.mark.parametrize("stages", [[1], [2], [1, 2]])
def test_training(stages: list[int]) -> None:
    progress = History()
    for stage in stages:
        for epoch in (1, 2):
            # Passes over cached features have other numbers of steps.
            record = EpochRecord(stage, epoch, 1 / epoch, 0.5, 1.0, 0.4, 1e-2, 1.0, 2 * stage)
            progress.add(record, [1.0, 0.9] * stage, [1e-3, 1e-2] * stage, [0.95, 0.85] * stage)
    figure = plot_training(progress)
    assert _image(figure).size == (1100, 300)
    assert _warm(figure)


@pytest.mark.parametrize("pictures", [1, 5, 24, 60])
def test_train_batch(pictures: int) -> None:
    images = [(torch.randn(3, 16, 16), i % 2) for i in range(pictures)]
    config = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    for mixup in (0.0, 0.8):
        figure = plot_train_batch(images, HOSTILE[:2], config, Objective(2, mixup=mixup).targets)
        assert _image(figure).width == 1100
        assert len(_colors(figure)) > 20


@pytest.mark.parametrize("suggestion", [1e-3, None])
def test_lr_finder(suggestion: float | None) -> None:
    rates = tuple(10.0**k for k in range(-6, 1))
    result = LRFinderResult(rates, (2.0, 2.0, 1.9, 1.2, 1.0, 2.0, 40.0), suggestion and rates[3], "it is flat")
    assert _image(plot_lr_finder(result)).size == (550, 320)
    assert _cold(plot_lr_finder(result))
    nothing = plot_lr_finder(LRFinderResult((), (), None, "the loss diverges at once"))
    assert "the loss diverges at once" in nothing.axes[0].get_title(loc="left")
    assert _image(nothing).size == (550, 320)


def test_pictures_leave_places_empty() -> None:
    panel = Panel(Image.new("RGB", (80, 40), (20, 40, 200)), "kathak, 80%", "true class: $x$\nfile.jpg")
    figure = plot_pictures([[panel, None, panel], [panel]], "Top losses")
    assert [bool(axis.images) for axis in figure.axes] == [True, False, True, True, False, False]
    assert _cold(figure)
