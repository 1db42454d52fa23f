"""Stage 1 on cached features."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT
from train.finetune import fit
from train.fitting.frozen import FrozenBackbone
from train.fitting.recipe import Recipe
from train.plan import Stage
from train.running import keeper
from train.settings import load_settings

DEBUG = ROOT / "recipes" / "debug.yaml"
WORDS = ("feature_views=3", "freeze_epochs=20", "epochs=1", "drop_rate=0.2")


def _fit(dataset: Path, output: Path, *words: str) -> Path:
    fit(load_settings(Recipe, DEBUG, [f"dataset={dataset}", f"output_dir={output}", *WORDS, *words]))
    return output


@pytest.fixture(scope="module")
def cached_run(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _fit(dataset_folder, tmp_path_factory.mktemp("cached") / "run")


def _records(run: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def _assert_equal(one: Path, other: Path) -> None:
    first, second = (load_file(run / "model" / "model.safetensors") for run in (one, other))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert _records(one) == _records(other)


def test_a_line_of_metrics_per_pass_and_no_features_left_over(cached_run: Path) -> None:
    assert [(record["stage"], record["epoch"]) for record in _records(cached_run)] == [
        *((1, epoch) for epoch in range(1, 21)),
        (2, 1),
    ]
    assert not (cached_run / "features").exists()


def test_the_classifier_learns_from_the_passes(cached_run: Path) -> None:
    passes = _records(cached_run)[:20]
    assert passes[-1]["train_loss"] < passes[0]["train_loss"]
    first = load_file(cached_run / "checkpoints" / "stage1-epoch020.safetensors")
    assert first["optimizer.0.exp_avg"].shape == first["model.fc.weight"].shape
    # Weight and bias, and nothing of the backbone.
    assert {name.split(".")[1] for name in first if name.startswith("optimizer.")} == {"0", "1"}


def test_each_view_is_looked_at_once_whatever_the_number_of_passes(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    features = FrozenBackbone.features

    def count(self: FrozenBackbone, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return features(self, images)

    monkeypatch.setattr(FrozenBackbone, "features", count)
    _fit(dataset_folder, tmp_path / "run", "epochs=0")
    # The two are what the halves are tried on.
    assert sum(seen) == 2 + 3 * 48 + 8


@pytest.mark.parametrize("last", ["stage1-epoch004", "stage1-epoch020"])
def test_a_resumed_run_ends_as_the_uninterrupted_one(
    cached_run: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    save = keeper.save_checkpoint

    def stop_after(folder: Path, checkpoint: object) -> Path:
        path = save(folder, checkpoint)
        if path.stem == last:
            raise KeyboardInterrupt
        return path

    monkeypatch.setattr(keeper, "save_checkpoint", stop_after)
    with pytest.raises(KeyboardInterrupt):
        _fit(dataset_folder, tmp_path / "run")
    monkeypatch.undo()
    _fit(dataset_folder, tmp_path / "run", "resume_from_checkpoint=true")
    _assert_equal(tmp_path / "run", cached_run)
    assert not (tmp_path / "run" / "features").exists()


def test_a_run_stopped_while_it_looks_at_the_views_ends_as_the_uninterrupted_one(
    cached_run: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, calls = FrozenBackbone.features, iter(range(20))

    def stop(self: FrozenBackbone, images: torch.Tensor) -> torch.Tensor:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return features(self, images)

    monkeypatch.setattr(FrozenBackbone, "features", stop)
    with pytest.raises(KeyboardInterrupt):
        _fit(dataset_folder, tmp_path / "run")
    monkeypatch.undo()
    _fit(dataset_folder, tmp_path / "run", "resume_from_checkpoint=true", "num_workers=2")
    _assert_equal(tmp_path / "run", cached_run)


def test_two_processes_do_what_one_does(cached_run: Path, dataset_folder: Path, tmp_path: Path) -> None:
    words = [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'two'}", *WORDS, "drop_rate=0", "epochs=0"]
    launch = [
        "--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no",
        "--main_process_port=0",
    ]  # fmt: skip
    command = [sys.executable, "-m", "accelerate.commands.launch", *launch, "-m", "train", "fit", str(DEBUG), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    one = _records(_fit(dataset_folder, tmp_path / "one", "drop_rate=0", "epochs=0"))
    two = _records(tmp_path / "two")
    assert len(one) == len(two) == 20
    for first, second in zip(one, two, strict=True):
        assert second == pytest.approx(first, abs=1e-3)


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [(1, [1]), (4, [1, 2, 3, 4]), (25, [3, 6, 9, 12, 15, 18, 21, 24, 25]), (100, [*range(10, 101, 10)])],
)
def test_ten_of_many_passes_are_kept(epochs: int, kept: list[int]) -> None:
    stage = Stage(1, epochs, 1e-2, 1.0, frozen=True, views=2)
    assert [epoch for epoch in range(1, epochs + 1) if stage.keeps(epoch)] == kept
    assert all(Stage(1, epochs, 1e-2, 1.0, frozen=True).keeps(epoch) for epoch in range(1, epochs + 1))
