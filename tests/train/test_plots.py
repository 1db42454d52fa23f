from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from train.report.plots import captions, plot_confusion_matrix, plot_per_class, plot_reliability, plot_risk_coverage

# What is a formula to matplotlib, what its font has no letters for, and what is long.
HOSTILE = ["$\\frac{kathak$", "ओडिसी", "a dance with a name that nobody can remember " * 4]


def _colors(path: Path) -> set[Any]:
    with Image.open(path) as image:
        return {color for _, color in image.convert("RGB").getcolors(1 << 24)}


def _warm(colors: set[Any]) -> bool:
    return any(red > blue + 60 for red, _, blue in colors)


def _cold(colors: set[Any]) -> bool:
    return any(blue > red + 60 for red, _, blue in colors)


def test_captions_are_short_and_have_letters_that_the_font_has() -> None:
    assert captions(["kathak", *HOSTILE]) == ["kathak", HOSTILE[0], "class 2", "a dance with a name that no…"]


@pytest.mark.parametrize("names", [["bharatanatyam", "kathak", "odissi"], HOSTILE])
def test_a_confusion_matrix_shows_right_answers_in_blue_and_wrong_ones_in_orange(
    tmp_path: Path, names: list[str]
) -> None:
    counts = np.array([[5, 1, 0], [0, 0, 0], [2, 0, 3]])
    plot_confusion_matrix(tmp_path / "figures" / "matrix.png", counts, names, "80 % right")
    colors = _colors(tmp_path / "figures" / "matrix.png")
    assert _warm(colors)
    assert _cold(colors)
    plot_confusion_matrix(tmp_path / "right.png", np.diag([5, 0, 3]), names, "all right")
    assert not _warm(_colors(tmp_path / "right.png"))


def test_a_confusion_matrix_of_many_classes_stays_a_picture(tmp_path: Path) -> None:
    counts = np.eye(300, dtype=int)
    plot_confusion_matrix(tmp_path / "matrix.png", counts, [f"class {n}" for n in range(300)], "all right")
    with Image.open(tmp_path / "matrix.png") as image:
        assert image.width < 10_000


def test_classes_with_intervals(tmp_path: Path) -> None:
    row = {"pictures": 5, "recall": 0.8, "recall_interval": (0.38, 0.96), "precision": 0.0}
    empty = {"pictures": 0, "recall": 0.0, "recall_interval": (0.0, 1.0), "precision": 0.0}
    heights = []
    for names in (HOSTILE[:1], HOSTILE):
        plot_per_class(tmp_path / "bars.png", {**dict.fromkeys(names, row), "none": empty}, "Each class")
        with Image.open(tmp_path / "bars.png") as image:
            heights.append(image.height)
    # A class without a picture has no line.
    assert heights[1] - heights[0] == pytest.approx(2 * 0.36 * 200, abs=2)


def _bins(accuracy: float) -> list[dict[str, Any]]:
    bins = [{"low": n / 10, "high": (n + 1) / 10, "pictures": n, "confidence": n / 10 + 0.05} for n in (4, 7, 9)]
    return [{**row, "accuracy": accuracy, "accuracy_interval": (0.2, 0.9)} for row in bins]


def test_reliability_before_calibration_is_orange(tmp_path: Path) -> None:
    plot_reliability(tmp_path / "both.png", _bins(0.7), _bins(0.4), "Reliability")
    plot_reliability(tmp_path / "one.png", _bins(0.7), [], "Reliability")
    assert _warm(_colors(tmp_path / "both.png"))
    assert not _warm(_colors(tmp_path / "one.png"))
    assert _cold(_colors(tmp_path / "one.png"))


@pytest.mark.parametrize("count", [1, 3, 100])
def test_risk_and_coverage_with_the_chosen_threshold(tmp_path: Path, count: int) -> None:
    points = [
        {"coverage": (n + 1) / count, "accuracy": 1 - n / 2 / count, "accuracy_interval": (0.4, 1.0)}
        for n in range(count)
    ]
    plot_risk_coverage(tmp_path / "with.png", points, {"coverage": 0.8, "accuracy": 0.9}, "Right")
    plot_risk_coverage(tmp_path / "without.png", points, None, "Right")
    assert _warm(_colors(tmp_path / "with.png"))
    assert not _warm(_colors(tmp_path / "without.png"))
