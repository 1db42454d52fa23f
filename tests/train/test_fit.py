import itertools
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import pipeline

from dataset_card.build import build
from demo.models.model import load_model
from model_folder.folder import learned_pictures, open_model_folder, picture_digest
from tests.train.conftest import interrupted_after, load_flat
from train.checkpoint import Checkpoint, load
from train.data import load_images, read_image
from train.evaluate import Evaluation, evaluate
from train.export import int8
from train.export.card import render_card
from train.fit import fit
from train.optim import Answer, Objective
from train.recipe import Recipe, load_settings
from train.run_folder import RunFolderError
from train.stopping import Stopped
from train.trainer import DivergedError

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
    judged = ("confusion_matrix", "per_class", "reliability", "risk_coverage")
    assert files == {
        "recipe.yaml",
        "data.json",
        "system.json",
        "metrics.jsonl",
        "checkpoints/best.pt",
        "checkpoints/stage2-epoch001.pt",
        "checkpoints/stage2-epoch002.pt",
        "figures/train_batch.png",
        "figures/training.png",
        "model/README.md",
        "model/config.json",
        "model/model.safetensors",
        "model/formats.json",
        "model/model.onnx",
        "model/reference_features.safetensors",
        "model/reference_pictures.zip",
        "model/training_pictures.txt",
        "model/recipe.yaml",
        "model/system.json",
        "model/metrics.json",
        "model/predictions.parquet",
        "model/figures/training.png",
        *(f"model/figures/{name}_test.png" for name in judged),
        "model/report/index.html",
        "model/report/credits.json",
        "model/report/grad_cam_test.jpg",
        "model/report/top_losses_test.jpg",
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
    run_folder: Path, dataset_folder: Path, tmp_path: Path, last: str
) -> None:
    with interrupted_after(last):
        fit(_recipe(dataset_folder, tmp_path / "run"))
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
    last = run / "checkpoints" / "stage2-epoch002.pt"
    content = bytearray(last.read_bytes())
    content[-1000] ^= 1
    last.write_bytes(content)
    fit(_recipe(dataset_folder, run, "resume_from_checkpoint=true"))
    _assert_equal(run, run_folder)
    assert "its checksum is wrong): going on from the one before it, stage2-epoch001" in caplog.text


def test_with_patience_the_best_epoch_is_kept_and_not_the_last(dataset_folder: Path, tmp_path: Path) -> None:
    # The rate is far too high after the first epoch, so that later ones are worse or no better.
    words = ("freeze_epochs=3", "epochs=0", "freeze_max_lr=30", "seed=6", "patience=3")
    run = fit(_recipe(dataset_folder, tmp_path / "run", *words))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    best = max(lines, key=lambda line: (line["validation_accuracy"], -line["validation_loss"]))
    assert best["epoch"] != 3
    config = json.loads((run.model / "config.json").read_text())
    assert config["validation"] == {"stage": 1, "epoch": best["epoch"], "accuracy": best["validation_accuracy"]}
    kept = load(run.best)
    last = load_flat(run.checkpoints / "stage1-epoch003.pt")
    calibrated = kept["fc.weight"] / config["calibration"]["temperature"]
    assert torch.equal(_weights(tmp_path / "run")["fc.weight"], calibrated)
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
        "pct_start=0.5", "div_factor=5", "final_div_factor=2", "max_rotate=45", "max_zoom=2", "max_warp=0.6",
        "p_affine=0", "max_lighting=0.6", "p_lighting=0", "random_erasing=1", "image_sizes=32", "mixup=0.4",
        "cutmix=1", "class_balance=sampling", "gradient_accumulation_steps=2", "max_grad_norm=0.1", "ema_decay=0.9",
    ],
)  # fmt: skip
def test_every_setting_acts(plain_loss: float, dataset_folder: Path, tmp_path: Path, word: str) -> None:
    assert _one_epoch(dataset_folder, tmp_path / "run", word) != plain_loss


ALL_AT_ONCE = (
    "freeze_epochs=1", "epochs=3", "ema_decay=0.9", "gradient_accumulation_steps=4", "mixup=0.4", "cutmix=1",
    "random_erasing=0.5", "class_balance=sampling", "max_grad_norm=1", "drop_rate=0.2", "channels_last=true",
    "image_sizes=32,48,64", "label_smoothing=0.1", "wise_ft=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def all_at_once(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(_recipe(dataset_folder, tmp_path_factory.mktemp("all") / "run", *ALL_AT_ONCE)).path


@pytest.mark.parametrize("last", ["stage1-epoch001", "stage2-epoch002"])
def test_a_run_with_every_option_resumes_to_the_bit(
    all_at_once: Path, dataset_folder: Path, tmp_path: Path, last: str
) -> None:
    with interrupted_after(last):
        fit(_recipe(dataset_folder, tmp_path / "run", *ALL_AT_ONCE))
    fit(_recipe(dataset_folder, tmp_path / "run", *ALL_AT_ONCE, "resume_from_checkpoint=true", "num_workers=2"))
    _assert_equal(tmp_path / "run", all_at_once)
    # Weights, their average and the optimizer's moments after the last epoch, whichever epoch is kept.
    one, other = (load_flat(run / "checkpoints" / "stage2-epoch003.pt") for run in (tmp_path / "run", all_at_once))
    assert one.keys() == other.keys()
    assert {name.partition(".")[0] for name in one} == {"model", "ema", "start", "optimizer"}
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_signal_within_a_step_of_several_batches_waits_for_its_end(
    all_at_once: Path, dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, calls = Objective.__call__, itertools.count(1)

    def signalled(self: Objective, *words: Any) -> Answer:
        # Stage 1 and the first epoch of stage 2 have six batches each; this is the second one after these.
        if next(calls) == 14:
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, *words)

    monkeypatch.setattr(Objective, "__call__", signalled)
    with pytest.raises(Stopped, match="143"):
        fit(_recipe(dataset_folder, tmp_path / "run", *ALL_AT_ONCE))
    monkeypatch.undo()
    newest = Checkpoint.newest(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert newest.name == "stage2-epoch002-batch000004"
    fit(_recipe(dataset_folder, tmp_path / "run", *ALL_AT_ONCE, "resume_from_checkpoint=true"))
    _assert_equal(tmp_path / "run", all_at_once)
    ends = [Checkpoint.newest(run / "checkpoints") for run in (tmp_path / "run", all_at_once)]
    assert ends[0].history.losses == ends[1].history.losses
    assert all(torch.equal(tensor, ends[1].ema[name]) for name, tensor in ends[0].ema.items())


def test_accumulated_batches_are_one_step(all_at_once: Path) -> None:
    checkpoint = Checkpoint.newest(all_at_once / "checkpoints")
    assert checkpoint is not None
    # 48 pictures in batches of 8: of six batches, four make a step and the two that are left another.
    assert len(checkpoint.history.losses) == 2 * (1 + 3)
    rates = checkpoint.history.rates
    # Each cycle ends where it should, at its last step.
    assert rates[-1] == pytest.approx(1e-3 / 25 / 1e4)
    assert max(rates[2:]) == pytest.approx(1e-3)


def test_the_average_is_what_is_validated_and_kept(dataset_folder: Path, tmp_path: Path) -> None:
    run = fit(_recipe(dataset_folder, tmp_path / "run", "freeze_epochs=0", "epochs=1", "ema_decay=0.9"))
    checkpoint = Checkpoint.newest(run.checkpoints)
    assert checkpoint is not None
    [record] = checkpoint.history.records
    assert checkpoint.ema.keys() == checkpoint.model.keys()
    assert not torch.equal(checkpoint.ema["fc.weight"], checkpoint.model["fc.weight"])
    for kept in (load(run.best), _weights(run.path)):
        # The classifier that is published is calibrated.
        same = {name for name, tensor in kept.items() if torch.equal(tensor, checkpoint.ema[name])}
        assert kept.keys() - same <= {"fc.weight", "fc.bias"}
    words = {"dataset": str(dataset_folder), "split": "validation", "output_dir": tmp_path / "judged"}
    metrics = evaluate(str(run.model), Evaluation(**words, num_workers=0))
    assert metrics["accuracy"] == record.validation_accuracy
    assert metrics["calibrated_from"]["nll"] == pytest.approx(record.validation_loss, abs=1e-6)


def test_half_way_from_what_stage_2_began_with_is_what_is_validated_and_kept(
    dataset_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    words = (f"init_from={model_folder}", "freeze_epochs=0", "epochs=1", "wise_ft=0.25")
    run = fit(_recipe(dataset_folder, tmp_path / "run", *words))
    checkpoint = Checkpoint.newest(run.checkpoints)
    assert checkpoint is not None
    kept = load(run.best)
    former = load_file(model_folder / "model.safetensors")
    for name, weights in kept.items():
        if weights.is_floating_point():
            assert torch.equal(checkpoint.start[name], former[name])
            assert not torch.equal(checkpoint.model[name], former[name])
            # Averaged weights have statistics of their own.
            if "running" not in name:
                assert torch.allclose(weights, 0.75 * former[name] + 0.25 * checkpoint.model[name], atol=1e-7)
    words = {"dataset": str(dataset_folder), "split": "validation", "output_dir": tmp_path / "judged"}
    metrics = evaluate(str(run.model), Evaluation(**words, num_workers=0))
    assert metrics["accuracy"] == checkpoint.history.records[0].validation_accuracy


def test_until_stage_2_has_begun_it_may_still_be_chosen_to_go_half_way(dataset_folder: Path, tmp_path: Path) -> None:
    fit(_recipe(dataset_folder, tmp_path / "run", "freeze_epochs=1", "epochs=0"))
    words = ("freeze_epochs=1", "epochs=1", "resume_from_checkpoint=true")
    run = fit(_recipe(dataset_folder, tmp_path / "run", *words, "wise_ft=0.5"))
    checkpoint = Checkpoint.newest(run.checkpoints)
    assert checkpoint is not None
    assert checkpoint.start
    with pytest.raises(RunFolderError, match=r"another recipe \(wise_ft: 0\.5 there, 0\.25 now\)"):
        fit(_recipe(dataset_folder, tmp_path / "run", *words, "wise_ft=0.25"))


def test_weights_of_rare_classes(dataset_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "uneven"
    folder.mkdir()
    for split, rows in datasets.load_dataset(str(dataset_folder)).items():
        kept = [i for i, label in enumerate(rows["label"]) if label or i % 2 or split != "train"]
        rows.select(kept).to_parquet(folder / f"{split}.parquet")
    losses = [
        _one_epoch(folder, tmp_path / str(i), *words) for i, words in enumerate([(), ("class_balance=weights",)])
    ]
    assert losses[0] != losses[1]


def test_a_stage_ends_when_patience_does(dataset_folder: Path, tmp_path: Path) -> None:
    # At such a rate nothing gets better after the first epochs.
    words = ("freeze_epochs=6", "epochs=1", "freeze_max_lr=30", "seed=2", "patience=1")
    run = fit(_recipe(dataset_folder, tmp_path / "run", *words))
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert 2 <= sum(line["stage"] == 1 for line in lines) < 6
    assert sum(line["stage"] == 2 for line in lines) == 1
    before = run.metrics.read_bytes()
    fit(_recipe(dataset_folder, tmp_path / "run", *words, "resume_from_checkpoint=true"))
    assert run.metrics.read_bytes() == before


@pytest.mark.parametrize("architecture", ["resnet34", "test_vit", "test_convnext", "test_efficientnet"])
def test_any_architecture_of_timm(dataset_folder: Path, tmp_path: Path, architecture: str) -> None:
    # Ends with the proof that every loader reads the model folder.
    run = fit(_recipe(dataset_folder, tmp_path / "run", f"architecture={architecture}", "epochs=1", "lr_mult=0.7"))
    config = json.loads((run.model / "config.json").read_text())
    assert (config["architecture"], config["pretrained_cfg"]["input_size"]) == (architecture, [3, 64, 64])
    first = load_flat(run.checkpoints / "stage1-epoch001.pt")
    second = load_flat(run.checkpoints / "stage2-epoch001.pt")
    moments = [name for name in first if name.endswith(".exp_avg")]
    # Frozen, the classifier's weight and bias learn; then everything does.
    assert len(moments) == 2
    moved = {name for name in first if name.startswith("model.") and not torch.equal(first[name], second[name])}
    assert len(moved) > 20


def test_a_run_writes_a_quantised_model_that_passes_and_tells_of_every_file(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Eight pictures; whether they pass is tested with the bounds.
    monkeypatch.setattr(int8, "SAME_ANSWER", 0)
    monkeypatch.setattr(int8, "LARGEST_SHIFT", 1)
    model = fit(_recipe(dataset_folder, tmp_path / "run")).model
    page = load_model(str(model))
    assert page.answer(Image.new("RGB", (80, 60), "red")).probs.sum() == pytest.approx(1, abs=1e-5)
    told = json.loads((model / "formats.json").read_text())
    assert list(told["files"]) == ["model.safetensors", "model.onnx", "model.int8.onnx"]
    for file, of in told["files"].items():
        assert of == {"bytes": (model / file).stat().st_size}
    assert told["files"]["model.int8.onnx"]["bytes"] < 0.4 * told["files"]["model.onnx"]["bytes"]
    card = (model / "README.md").read_text()
    rows = re.findall(r"\n\| `(\S+)` \| ([0-9.]+) \|", card)
    assert [file for file, _ in rows] == list(told["files"])
    assert f"To {8 * told['int8']['same_answer']:.0f} of 8 validation pictures it gave the same answer" in card
    # What is no more there is not told of.
    (model / "model.int8.onnx").unlink()
    assert "model.int8.onnx" not in render_card(model)
    (model / "formats.json").unlink()
    assert "Files that answer" not in render_card(model)
    # The same command once more finds nothing left to train, and makes the model folder anew.
    fit(_recipe(dataset_folder, tmp_path / "run", "resume_from_checkpoint=true"))
    assert {"model.int8.onnx", "formats.json"} <= {path.name for path in model.iterdir()}


def test_pictures_are_prepared_as_the_architecture_has_it_wherever_it_answers(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_FORMAT", "float")
    recipe = _recipe(dataset_folder, tmp_path / "run", "architecture=tf_efficientnet_lite0", "freeze_epochs=0")
    folder = str(fit(recipe).model)
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())["pretrained_cfg"]
    # Those of a ResNet34 are 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225.
    assert (config["mean"], config["std"]) == ([0.5] * 3, [0.5] * 3)
    image = read_image(load_images(str(dataset_folder)).split("test"), 0)
    # As torchvision: the shorter side becomes 64, then the middle is cut out.
    scale = 64 / min(image.size)
    whole = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = round((whole.width - 64) / 2), round((whole.height - 64) / 2)
    square = whole.crop((left, top, left + 64, top + 64))
    pixels = (torch.tensor(np.array(square)) / 255 - 0.5) / 0.5
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.inference_mode():
        expected = model(pixels.movedim(2, 0)[None]).softmax(1)[0].numpy()
    classify = pipeline("image-classification", model=folder)
    loaded = {answer["label"]: answer["score"] for answer in classify(image, top_k=8)}
    page = load_model(folder)
    assert (Path(folder) / "model.onnx").exists()
    for probs in (np.array([loaded[name] for name in page.label_names]), page.answer(image).probs):
        assert np.abs(probs - expected).max() < 0.01
    assert expected.max() - expected.min() > 0.05


def test_an_architecture_of_one_size_refuses_others(
    refused: Callable[..., str], dataset_folder: Path, tmp_path: Path
) -> None:
    words = [
        f"dataset={dataset_folder}",
        f"output_dir={tmp_path / 'run'}",
        "architecture=test_vit",
        "image_sizes=32,64",
    ]
    assert "test_vit sees pictures of one size only" in refused("train", "fit", DEBUG, *words)
    assert not (tmp_path / "run").exists()


def test_compiled_it_learns_the_same(plain_loss: float, dataset_folder: Path, tmp_path: Path) -> None:
    graphs = []

    def run_as_it_is(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    # The real one takes a minute for what this test needs to see.
    usual = torch.compiler.get_default_backend()
    torch.compiler.set_default_backend(run_as_it_is)
    try:
        loss = _one_epoch(dataset_folder, tmp_path / "run", "compile=true")
    finally:
        torch.compiler.set_default_backend(usual)
        torch.compiler.reset()
    assert graphs
    assert loss == pytest.approx(plain_loss, abs=1e-4)


def test_system_facts_lie_beside_the_weights(run_folder: Path) -> None:
    [facts] = json.loads((run_folder / "model" / "system.json").read_text())
    assert facts["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert facts["device"].startswith("cpu (")
    assert (facts["processes"], facts["mixed_precision"], facts["channels_last"]) == (1, "no", False)
    assert facts["commit"] is None or len(facts["commit"].split()[0]) == 40


class TestFormerModel:
    def _dataset(self, dataset_folder: Path, target: Path, names: list[str], new: list[str] | None = None) -> Path:
        """Keeps the classes of these names, in this order, called `new`."""
        target.mkdir()
        for split, rows in datasets.load_dataset(str(dataset_folder)).items():
            old = rows.features["label"].names
            kept = rows.select([i for i, label in enumerate(rows["label"]) if old[label] in names])
            labels = [names.index(old[label]) for label in kept["label"]]
            feature = datasets.ClassLabel(names=new or names)
            kept = kept.remove_columns("label").add_column("label", labels).cast_column("label", feature)
            kept.to_parquet(target / f"{split}.parquet")
        return target

    def test_rows_of_the_classifier_follow_the_names(
        self, dataset_folder: Path, model_folder: Path, tmp_path: Path
    ) -> None:
        names = ["odissi", "kathak", "manipuri"]
        dataset = self._dataset(dataset_folder, tmp_path / "three", names)
        # So small a rate leaves the weights as they were.
        words = (f"init_from={model_folder}", "freeze_epochs=1", "epochs=0", "freeze_max_lr=1e-12", "weight_decay=0")
        fit(_recipe(dataset, tmp_path / "run", *words))
        former, now = load_file(model_folder / "model.safetensors"), _weights(tmp_path / "run")
        known = json.loads((model_folder / "config.json").read_text())["label_names"]
        rows = [known.index(name) for name in names]
        config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
        for name in ("fc.weight", "fc.bias"):
            plain = config["calibration"]["temperature"] * now[name]
            torch.testing.assert_close(plain, former[name][rows], atol=1e-7, rtol=0)
        assert torch.equal(now["layer1.0.conv1.weight"], former["layer1.0.conv1.weight"])
        card = (tmp_path / "run" / "model" / "README.md").read_text()
        assert "test_resnet from a previous model of its author's" in card

    def test_a_run_goes_on_without_looking_at_the_former_weights_again(
        self, dataset_folder: Path, model_folder: Path, tmp_path: Path
    ) -> None:
        former = shutil.copytree(model_folder, tmp_path / "former")
        words = (f"init_from={former}", "epochs=1")
        fit(_recipe(dataset_folder, tmp_path / "run", *words))
        before = _weights(tmp_path / "run")
        shutil.move(former, tmp_path / "moved")
        words = (f"init_from={tmp_path / 'moved'}", "epochs=1", "resume_from_checkpoint=true")
        fit(_recipe(dataset_folder, tmp_path / "run", *words))
        assert all(torch.equal(before[name], tensor) for name, tensor in _weights(tmp_path / "run").items())

    def test_classes_that_it_does_not_know(
        self, refused: Callable[..., str], dataset_folder: Path, model_folder: Path, tmp_path: Path
    ) -> None:
        dataset = self._dataset(dataset_folder, tmp_path / "new", ["odissi", "kathak"], ["odissi", "tango"])
        words = [f"dataset={dataset}", f"output_dir={tmp_path / 'run'}", f"init_from={model_folder}"]
        message = refused("train", "fit", DEBUG, *words)
        assert "does not know tango: it knows bharatanatyam" in message
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("word", "message"),
        [
            ("architecture=resnet18", "is a test_resnet and the recipe says resnet18: set architecture=test_resnet"),
            ("init_from=/no/where", "/no/where is neither a folder nor a Hub id"),
        ],
    )
    def test_models_that_do_not_fit(
        self,
        refused: Callable[..., str],
        dataset_folder: Path,
        model_folder: Path,
        tmp_path: Path,
        word: str,
        message: str,
    ) -> None:
        words = [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", f"init_from={model_folder}", word]
        assert message in refused("train", "fit", DEBUG, *words)
        assert not (tmp_path / "run").exists()


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
        match=r"loss became (nan|inf) \(stage 1, epoch 1/1, step \d, learning rate .*\): lower max_lr",
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

    def test_compiling_without_a_compiler(
        self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CXX", "no-such-compiler")
        words = [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", "compile=true"]
        message = refused("train", "fit", DEBUG, *words)
        assert "compile=true needs a C++ compiler and no-such-compiler is not found" in message

    def test_faults_of_a_recipe_come_together(self, refused: Callable[..., str]) -> None:
        message = refused("train", "fit", DEBUG, "epoch=1", "seed=x")
        for fault in ("epoch: unknown key", "seed=x: input should be a valid integer", "dataset: missing"):
            assert fault in message


def test_pictures_that_the_previous_model_learned_are_counted(
    run_folder: Path, dataset_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    splits = datasets.load_dataset(str(dataset_folder))
    # What was learned then is tested now; this time, only the pictures of validation are learned.
    for name, rows in {
        "train": splits["validation"],
        "validation": splits["validation"],
        "test": splits["train"].select(range(5)),
    }.items():
        rows.to_parquet(tmp_path / "dances" / f"{name}.parquet")
    words = (f"init_from={run_folder}", "freeze_epochs=0", "epochs=1")
    result = fit(_recipe(tmp_path / "dances", tmp_path / "run", *words))
    assert "5 of the 5 pictures in test are among those that init_from=" in caplog.text
    before, after = (learned_pictures(open_model_folder(str(folder))) for folder in (run_folder, result.model))
    assert len(before) == 48
    assert after == before | {picture_digest(sha256) for sha256 in splits["validation"]["sha256"]}
    assert result.table["epoch"].tolist() == [1]
    assert result.plot_training()._repr_png_().startswith(b"\x89PNG")
