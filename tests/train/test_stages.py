"""Stage 1 on cached features."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from tests.conftest import ROOT, wait_for
from tests.train.conftest import interrupted_after, load_flat
from train.checkpoint import Checkpoint
from train.data import load_images
from train.evaluate import Evaluation, evaluate
from train.features import Features
from train.fit import fit
from train.model import FrozenBackbone
from train.optim import Answer, Objective
from train.recipe import Recipe, load_settings
from train.stopping import Stopped
from train.trainer import Stage, Trainer, stages

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
    first = load_flat(cached_run / "checkpoints" / "stage1-epoch020.pt")
    assert first["optimizer.0.exp_avg"].shape == first["model.fc.weight"].shape
    # Weight and bias, and nothing of the backbone.
    assert {name.split(".")[1] for name in first if name.startswith("optimizer.")} == {"0", "1"}


def test_it_ends_where_logistic_regression_does(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    words = ("epochs=0", "drop_rate=0", "freeze_epochs=300", "freeze_max_lr=3e-2", "feature_l2=100")
    run = _fit(dataset_folder, tmp_path / "run", *words)
    [file] = (run / "features").glob("train-*.npy")
    features = Features(file, load_images(str(dataset_folder)).split("train")["label"])
    rows, spread = features.values.reshape(len(features), -1), features.spread().numpy()
    model = LogisticRegression(C=1 / 100, max_iter=5000).fit(rows / spread, features.labels.repeat_interleave(3))
    weights = load_file(run / "model" / "model.safetensors")
    # What is published is calibrated: one number divides all logits.
    ours = rows @ weights["fc.weight"].numpy().T + weights["fc.bias"].numpy()
    theirs = model.decision_function(rows / spread)
    ours, theirs = (logits - logits.mean(1, keepdims=True) for logits in (ours, theirs))
    temperature = (ours * theirs).sum() / (ours * ours).sum()
    assert np.linalg.norm(temperature * ours - theirs) < 0.15 * np.linalg.norm(theirs)


def test_of_passes_the_last_is_kept(dataset_folder: Path, tmp_path: Path) -> None:
    run = _fit(dataset_folder, tmp_path / "run", "epochs=0", "patience=1")
    assert _validated(run / "model") == (1, 20)
    assert [record["candidate"] for record in _records(run)] == [False] * 19 + [True]


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
    # In the trial, and before the views, the halves are tried on two pictures; a step of the trial has two, one eight.
    assert sum(seen) == 2 + 2 + 8 + 2 + 3 * 48 + 8


@pytest.mark.parametrize("last", ["stage1-epoch004", "stage1-epoch020"])
def test_a_resumed_run_ends_as_the_uninterrupted_one(
    cached_run: Path, dataset_folder: Path, tmp_path: Path, last: str
) -> None:
    # Before the last of them, passes are saved when it is time only: here, before every step.
    with interrupted_after(last):
        _fit(dataset_folder, tmp_path / "run", "checkpoint_minutes=1e-9")
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


EVERY_OPTION = (
    "ema_decay=0.9", "gradient_accumulation_steps=4", "class_balance=sampling", "mixup=0.4", "cutmix=1",
    "max_grad_norm=1", "channels_last=true", "label_smoothing=0.1", "wise_ft=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def every_option(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _fit(dataset_folder, tmp_path_factory.mktemp("options") / "run", *EVERY_OPTION)


def test_the_average_is_what_is_validated_and_kept(every_option: Path, dataset_folder: Path) -> None:
    [best] = [
        record
        for record in _records(every_option)
        if (record["stage"], record["epoch"]) == _validated(every_option / "model")
    ]
    judged = Evaluation(
        dataset=str(dataset_folder), split="validation", num_workers=0, output_dir=every_option / "judged"
    )
    metrics = evaluate(str(every_option / "model"), judged)
    assert metrics["calibrated_from"]["nll"] == pytest.approx(best["validation_loss"], abs=1e-4)


def _validated(model: Path) -> tuple[int, int]:
    validation = json.loads((model / "config.json").read_text())["validation"]
    return validation["stage"], validation["epoch"]


def _assert_goes_on(run: Path, newest: str, dataset: Path, straight: Path) -> None:
    """A run by EVERY_OPTION is stopped here by a signal, and then ends as the uninterrupted one."""
    with pytest.raises(Stopped, match="143"):
        _fit(dataset, run, *EVERY_OPTION)
    checkpoint = Checkpoint.newest(run / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.name == newest
    _fit(dataset, run, *EVERY_OPTION, "resume_from_checkpoint=true")
    _assert_equal(run, straight)


# Six batches make two steps, of a pass, which has all views of a picture in a batch, and of pictures.
@pytest.mark.parametrize(
    ("batch", "newest"),
    [(6 * 6 + 2, "stage1-epoch007-batch000004"), (6 * 20 + 1, "stage2-epoch001-batch000004")],
)
def test_a_signal_within_a_step_waits_for_its_end(
    every_option: Path,
    dataset_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
    newest: str,
) -> None:
    call, calls = Objective.__call__, itertools.count(1)

    def signalled(self: Objective, *words: Any) -> Answer:
        if next(calls) == batch:
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, *words)

    monkeypatch.setattr(Objective, "__call__", signalled)
    _assert_goes_on(tmp_path / "run", newest, dataset_folder, every_option)


def test_a_signal_after_a_pass_that_is_not_kept_costs_nothing(
    every_option: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Trainer.log_epoch

    def signalled(self: Trainer) -> None:
        if len(self.history.records) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        log(self)

    monkeypatch.setattr(Trainer, "log_epoch", signalled)
    _assert_goes_on(tmp_path / "run", "stage1-epoch007", dataset_folder, every_option)


LAUNCH = [
    "--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no",
    "--main_process_port=0",
]  # fmt: skip


def _launch(dataset: Path, output: Path, *words: str) -> subprocess.Popen[str]:
    words = (f"dataset={dataset}", f"output_dir={output}", *WORDS, "drop_rate=0", "epochs=0", *words)
    command = [sys.executable, "-m", "accelerate.commands.launch", *LAUNCH, "-m", "train", "fit", str(DEBUG), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )


@pytest.fixture(scope="module")
def two(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cached stage of two processes."""
    run = tmp_path_factory.mktemp("two") / "run"
    process = _launch(dataset_folder, run)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return run


def test_two_processes_do_what_one_does(two: Path, dataset_folder: Path, tmp_path: Path) -> None:
    one = _records(_fit(dataset_folder, tmp_path / "one", "drop_rate=0", "epochs=0"))
    both = _records(two)
    assert len(one) == len(both) == 20
    for first, second in zip(one, both, strict=True):
        assert second == pytest.approx(first, abs=1e-3)


def test_two_processes_of_which_one_is_killed_end_as_if_none_had_been(
    two: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = _launch(dataset_folder, run, "checkpoint_minutes=0.0003")
    wait_for(lambda: any((run / "checkpoints").glob("stage1-*")), 120)
    for worker in psutil.Process(process.pid).children():
        if worker.environ().get("LOCAL_RANK") == "0":
            worker.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "[rank" not in err
    process = _launch(dataset_folder, run, "resume_from_checkpoint=true")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    _assert_equal(run, two)
    assert not (run / "features").exists()


@pytest.mark.parametrize(
    ("epochs", "printed"),
    [(1, [1]), (4, [1, 2, 3, 4]), (23, [5, 10, 15, 20, 23]), (100, [*range(20, 101, 20)])],
)
def test_five_of_many_passes_are_printed(epochs: int, printed: list[int]) -> None:
    stage = Stage(1, epochs, 1e-2, 1.0, True, (64,), views=2)
    assert [epoch for epoch in range(1, epochs + 1) if stage.is_printed(epoch)] == printed
    assert all(Stage(1, epochs, 1e-2, 1.0, True, (64,)).is_printed(epoch) for epoch in range(1, epochs + 1))


@pytest.mark.parametrize(
    ("epochs", "min_steps", "expected"), [(12, 0, 12), (12, 400, 40), (50, 400, 50), (12, 401, 41), (0, 400, 0)]
)
def test_few_pictures_get_more_epochs(epochs: int, min_steps: int, expected: int) -> None:
    recipe = Recipe(dataset="dances", output_dir=Path("run"), freeze_epochs=1, epochs=epochs, min_steps=min_steps)
    assert sum(stage.epochs for stage in stages(recipe, steps_per_epoch=10) if stage.number == 2) == expected


def test_a_run_has_the_steps_that_it_was_given(dataset_folder: Path, tmp_path: Path) -> None:
    # 48 pictures in batches of 8, two batches a step: three steps an epoch.
    words = ["freeze_epochs=0", "epochs=1", "min_steps=7", "batch_size=8", "gradient_accumulation_steps=2"]
    recipe = load_settings(
        Recipe,
        ROOT / "recipes" / "debug.yaml",
        [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", *words],
    )
    with interrupted_after("stage2-epoch002"):
        fit(recipe)
    run = fit(recipe.model_copy(update={"resume_from_checkpoint": True}))
    assert [record.steps for record in run.history.records] == [3, 3, 3]
    assert "1 epoch of everything, and more until there were 7 steps" in (run.model / "README.md").read_text()
