from pathlib import Path

import pytest
import torch
from PIL import Image

from train.history import EpochRecord, Progress
from train.lr_finder import LRFinderResult
from train.optim import Objective
from train.report.plots import plot_lr_finder, plot_train_batch, plot_training


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20
        return image.size


@pytest.mark.parametrize("stages", [[1], [2], [1, 2]])
def test_training(tmp_path: Path, stages: list[int]) -> None:
    progress = Progress()
    for stage in stages:
        for epoch in (1, 2):
            # Passes over cached features have other numbers of steps.
            steps = 2 * stage
            record = EpochRecord(stage, epoch, 1 / epoch, 0.5, 1.0, 0.4, 1e-2, 1.0, steps)
            progress.add(record, [1.0, 0.9] * stage, [1e-3, 1e-2] * stage, [0.95, 0.85] * stage)
    plot_training(tmp_path / "figures" / "training.png", progress)
    assert _size(tmp_path / "figures" / "training.png") == (2200, 600)


@pytest.mark.parametrize("pictures", [1, 5, 24, 60])
def test_train_batch(tmp_path: Path, pictures: int) -> None:
    images = [(torch.randn(3, 16, 16), i % 2) for i in range(pictures)]
    config = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    for mixup in (0.0, 0.8):
        plot_train_batch(
            tmp_path / "batch.png", images, ["$\\frac{kathak$", "ओडिसी"], config, Objective(2, mixup=mixup).targets
        )
        assert _size(tmp_path / "batch.png")[0] == 2200


@pytest.mark.parametrize("suggestion", [1e-3, None])
def test_lr_finder(tmp_path: Path, suggestion: float | None) -> None:
    rates = tuple(10.0**k for k in range(-6, 1))
    result = LRFinderResult(rates, (2.0, 2.0, 1.9, 1.2, 1.0, 2.0, 40.0), suggestion and rates[3], "it is flat")
    plot_lr_finder(tmp_path / "lr.png", result)
    assert _size(tmp_path / "lr.png") == (1100, 640)
    plot_lr_finder(tmp_path / "none.png", LRFinderResult((), (), None, "the loss diverges at once"))
    assert (tmp_path / "none.png").exists()
