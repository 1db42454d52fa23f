import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from dataset_card.build import build
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
        "data.json",
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
    from train.running import keeper

    save = keeper.save_checkpoint

    def stop_after(folder: Path, checkpoint: object) -> Path:
        path = save(folder, checkpoint)
        if path.stem == last:
            raise KeyboardInterrupt
        return path

    monkeypatch.setattr(keeper, "save_checkpoint", stop_after)
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


def test_a_damaged_checkpoint_costs_an_epoch_and_no_bit(
    run_folder: Path, dataset_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run")
    shutil.rmtree(run / "model")
    last = run / "checkpoints" / "stage2-epoch002.safetensors"
    content = bytearray(last.read_bytes())
    content[-1000] ^= 1
    last.write_bytes(content)
    fit(_recipe(dataset_folder, run, "resume_from_checkpoint=true"))
    _assert_equal(run, run_folder)
    assert "its checksum is wrong): going on from the one before it, stage2-epoch001" in caplog.text


def test_the_best_epoch_is_kept_and_not_the_last(dataset_folder: Path, tmp_path: Path) -> None:
    # The rate is far too high after the first epoch, so that later ones are worse or no better.
    run = fit(_recipe(dataset_folder, tmp_path / "run", "freeze_epochs=3", "epochs=0", "freeze_max_lr=30", "seed=3"))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    best = max(lines, key=lambda line: (line["validation_accuracy"], -line["validation_loss"]))
    assert best["epoch"] != 3
    config = json.loads((run.model / "config.json").read_text())
    assert config["validation"] == {"stage": 1, "epoch": best["epoch"], "accuracy": best["validation_accuracy"]}
    kept = load_file(run.best)
    last = load_file(run.checkpoints / "stage1-epoch003.safetensors")
    assert torch.equal(_weights(tmp_path / "run")["fc.weight"], kept["fc.weight"])
    assert not torch.equal(kept["fc.weight"], last["model.fc.weight"])


@pytest.fixture(scope="module")
def plain_loss(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The validation loss of one epoch without any of the settings below."""
    return _one_epoch(dataset_folder, tmp_path_factory.mktemp("plain") / "run")


def _one_epoch(dataset_folder: Path, output: Path, *words: str) -> float:
    run = fit(_recipe(dataset_folder, output, "freeze_epochs=0", "epochs=1", *words))
    return json.loads(run.metrics.read_text())["validation_loss"]


@pytest.mark.parametrize(
    "word",
    [
        "label_smoothing=0.3", "lr_mult=0.9", "weight_decay=0.5", "drop_rate=0.5", "min_scale=0.9", "crop_mode=squash",
        "pct_start=0.5", "div_factor=5", "final_div_factor=2",
    ],
)  # fmt: skip
def test_every_setting_acts(plain_loss: float, dataset_folder: Path, tmp_path: Path, word: str) -> None:
    assert _one_epoch(dataset_folder, tmp_path / "run", word) != plain_loss


def test_a_run_goes_on_without_its_first_weights(dataset_folder: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    words = (f"weights={weights}", "epochs=1")
    fit(_recipe(dataset_folder, tmp_path / "run", *words))
    before = _weights(tmp_path / "run")
    weights.unlink()
    fit(_recipe(dataset_folder, tmp_path / "run", *words, "resume_from_checkpoint=true"))
    assert all(torch.equal(before[name], tensor) for name, tensor in _weights(tmp_path / "run").items())


def test_an_image_folder_will_do(photos: Path, tmp_path: Path) -> None:
    for split, numbers in (("train", range(6)), ("validation", (6, 7))):
        for dance in ("kathak", "odissi"):
            for number in numbers:
                target = tmp_path / "images" / split / dance / f"{number}.jpg"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(photos / dance / f"{dance}-{number:03d}.jpg", target)
    run = fit(_recipe(tmp_path / "images", tmp_path / "run", "batch_size=4"))
    config = json.loads((run.model / "config.json").read_text())
    assert config["label_names"] == ["kathak", "odissi"]
    assert config["training_data"]["licenses"] == {"unknown": 12}


def test_the_frozen_stage_moves_only_the_classifier(dataset_folder: Path, tmp_path: Path) -> None:
    fit(_recipe(dataset_folder, tmp_path / "one", "epochs=0", "freeze_epochs=1"))
    fit(_recipe(dataset_folder, tmp_path / "two", "epochs=0", "freeze_epochs=3"))
    one, two = _weights(tmp_path / "one"), _weights(tmp_path / "two")
    assert {name for name in one if not torch.equal(one[name], two[name])} == {"fc.weight", "fc.bias"}


def test_a_diverging_loss_says_what_to_lower(dataset_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DivergedError,
        match=r"loss became (nan|inf) \(stage 1, epoch 1/1, step \d, learning rates .* to .*\): lower max_lr",
    ):
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

    def test_a_run_on_data_that_changed(
        self, refused: Callable[..., str], photos: Path, dataset_folder: Path, run_folder: Path, tmp_path: Path
    ) -> None:
        run = shutil.copytree(run_folder, tmp_path / "run")
        build(photos, tmp_path / "dances", seed=77)
        words = ["train", "fit", DEBUG, f"output_dir={run}", "resume_from_checkpoint=true"]
        before = (run / "model" / "config.json").read_bytes()
        assert "a run on other pictures: the dataset has changed since" in refused(
            *words, f"dataset={tmp_path / 'dances'}"
        )
        assert (run / "model" / "config.json").read_bytes() == before

    def test_a_run_on_other_labels(
        self, refused: Callable[..., str], dataset_folder: Path, run_folder: Path, tmp_path: Path
    ) -> None:
        run, folder = shutil.copytree(run_folder, tmp_path / "run"), tmp_path / "renamed"
        folder.mkdir()
        for split, rows in datasets.load_dataset(str(dataset_folder)).items():
            names = [*rows.features["label"].names[:-1], "tango"]
            rows.cast_column("label", datasets.ClassLabel(names=names)).to_parquet(folder / f"{split}.parquet")
        words = [f"dataset={folder}", f"output_dir={run}", "resume_from_checkpoint=true"]
        message = refused("train", "fit", DEBUG, *words)
        assert re.search(r"a run on other labels \(bharatanatyam, .* there, .* tango now\): choose another", message)

    def test_rows_without_a_label(self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path) -> None:
        folder = tmp_path / "unlabelled"
        folder.mkdir()
        for split, rows in datasets.load_dataset(str(dataset_folder)).items():
            rows.map(lambda row, i: {"label": -1 if i < 2 else row["label"]}, with_indices=True).to_parquet(
                folder / f"{split}.parquet"
            )
        message = refused("train", "fit", DEBUG, f"dataset={folder}", f"output_dir={tmp_path / 'run'}")
        assert "2 of 48 rows of" in message
        assert "train, have no label: remove them" in message
        assert not (tmp_path / "run").exists()

    def test_a_picture_that_is_damaged(
        self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "damaged"
        folder.mkdir()
        for split, rows in datasets.load_dataset(str(dataset_folder)).items():
            raw = rows.cast_column("image", datasets.Image(decode=False)).to_list()
            if split == "train":
                raw[5]["image"]["bytes"] = raw[5]["image"]["bytes"][:500]
                sha256 = raw[5]["sha256"]
            datasets.Dataset.from_list(raw, features=rows.features).to_parquet(folder / f"{split}.parquet")
        for workers in (0, 2):
            words = [f"dataset={folder}", f"output_dir={tmp_path / str(workers)}", f"num_workers={workers}"]
            message = refused("train", "fit", DEBUG, *words)
            assert f"the picture of row 5 of train, sha256 {sha256} can't be read" in message
            assert message.endswith("remove it and build again")
            assert len(message.splitlines()) == 1

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
