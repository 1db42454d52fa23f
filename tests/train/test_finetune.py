import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
import torch
from safetensors.torch import load_file

from train.finetune import fit
from train.fitting.loop import DivergedError
from train.fitting.recipe import Recipe
from train.settings import load_settings

DEBUG = Path(__file__).parents[2] / "recipes" / "debug.yaml"


def _recipe(dataset: Path, output: Path, *words: str) -> Recipe:
    return load_settings(Recipe, DEBUG, [f"dataset={dataset}", f"output_dir={output}", *words])


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def _assert_equal(one: Path, other: Path) -> None:
    first, second = _weights(one), _weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_run_folder_holds_what_it_should(run_folder: Path) -> None:
    files = {path.relative_to(run_folder).as_posix() for path in run_folder.rglob("*") if path.is_file()}
    dances = json.loads((run_folder / "model" / "config.json").read_text())["label_names"]
    assert files == {
        "recipe.yaml",
        "metrics.jsonl",
        "checkpoints/best.safetensors",
        "checkpoints/stage2-epoch001.safetensors",
        "checkpoints/stage2-epoch002.safetensors",
        "figures/train_batch.png",
        "figures/training.png",
        "model/README.md",
        "model/config.json",
        "model/model.safetensors",
        "model/recipe.yaml",
        "model/metrics.json",
        "model/predictions.parquet",
        "model/figures/training.png",
        "model/figures/confusion_matrix_test.png",
        "model/examples/examples.json",
        *(f"model/examples/{dance}.jpg" for dance in dances),
    }


def test_a_line_of_metrics_per_epoch(run_folder: Path) -> None:
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["epoch"]) for line in lines] == [(1, 1), (2, 1), (2, 2)]
    for line in lines:
        assert 0 <= line["validation_accuracy"] <= 1
        assert line["validation_loss"] > 0


def test_one_seed_one_model_to_the_bit(run_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    fit(_recipe(dataset_folder, tmp_path / "again", "num_workers=2"))
    _assert_equal(tmp_path / "again", run_folder)
    fit(_recipe(dataset_folder, tmp_path / "other", "seed=9"))
    first, second = _weights(run_folder), _weights(tmp_path / "other")
    assert not torch.equal(first["conv1.0.weight"], second["conv1.0.weight"])


@pytest.mark.parametrize("last", ["stage1-epoch001", "stage2-epoch001", "stage2-epoch002"])
def test_a_resumed_run_ends_as_the_uninterrupted_one(
    run_folder: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    from train import stages

    save = stages.save_checkpoint

    def stop_after(folder: Path, checkpoint: object) -> Path:
        path = save(folder, checkpoint)
        if path.stem == last:
            raise KeyboardInterrupt
        return path

    monkeypatch.setattr(stages, "save_checkpoint", stop_after)
    with pytest.raises(KeyboardInterrupt):
        fit(_recipe(dataset_folder, tmp_path / "run"))
    monkeypatch.undo()
    fit(_recipe(dataset_folder, tmp_path / "run", "resume_from_checkpoint=true"))
    _assert_equal(tmp_path / "run", run_folder)
    keys = ("stage", "epoch", "train_loss", "validation_loss")
    lines = [
        [tuple(json.loads(line)[key] for key in keys) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (tmp_path / "run", run_folder)
    ]
    assert lines[0] == lines[1]


def test_the_frozen_stage_moves_only_the_classifier(dataset_folder: Path, tmp_path: Path) -> None:
    fit(_recipe(dataset_folder, tmp_path / "one", "epochs=0", "freeze_epochs=1"))
    fit(_recipe(dataset_folder, tmp_path / "two", "epochs=0", "freeze_epochs=3"))
    one, two = _weights(tmp_path / "one"), _weights(tmp_path / "two")
    assert {name for name in one if not torch.equal(one[name], two[name])} == {"fc.weight", "fc.bias"}


def test_a_diverging_loss_says_what_to_lower(dataset_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"loss became (nan|inf) \(stage 1, epoch 1/1, step \d+.*lower max_lr"):
        fit(_recipe(dataset_folder, tmp_path / "run", "freeze_max_lr=1e30"))


class TestBadInput:
    def test_a_folder_that_holds_another_run(
        self, refused: Callable[..., str], run_folder: Path, dataset_folder: Path
    ) -> None:
        words = ["train", "fit", DEBUG, f"dataset={dataset_folder}", f"output_dir={run_folder}"]
        before = (run_folder / "model" / "model.safetensors").stat().st_mtime_ns
        assert "holds a run: continue it with resume_from_checkpoint=true" in refused(*words)
        message = refused(*words, "resume_from_checkpoint=true", "epochs=7", "max_lr=1")
        assert "another recipe (epochs: 2 there, 7 now; max_lr: 0.001 there, 1.0 now)" in message
        assert (run_folder / "model" / "model.safetensors").stat().st_mtime_ns == before

    def test_a_folder_with_something_else(
        self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "thesis.txt").touch()
        message = refused("train", "fit", DEBUG, f"dataset={dataset_folder}", f"output_dir={tmp_path}")
        assert "exists and is no run: choose another output_dir" in message

    def test_a_dance_missing_from_a_split(
        self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "lacking"
        folder.mkdir()
        for split, rows in datasets.load_dataset(str(dataset_folder)).items():
            rows.filter(lambda row: row["label"] != 2).to_parquet(folder / f"{split}.parquet")
        message = refused("train", "fit", DEBUG, f"dataset={folder}", f"output_dir={tmp_path / 'run'}")
        assert "has no picture of kathakali in train" in message

    def test_fp16_without_a_gpu(self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path) -> None:
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
        words = [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", "mixed_precision=fp16"]
        assert "mixed_precision=fp16 needs a GPU" in refused("train", "fit", DEBUG, *words)

    def test_faults_of_a_recipe_come_together(self, refused: Callable[..., str]) -> None:
        message = refused("train", "fit", DEBUG, "epoch=1", "seed=x")
        for fault in ("epoch: unknown key", "seed=x: input should be a valid integer", "dataset: missing"):
            assert fault in message
