import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from train.data import EmptySplitError, as_numbered, fingerprint, load_images, split_for_model
from train.evaluate import Evaluation, evaluate
from train.loaders import eval_transform
from train.predict import load_model


def test_metrics_and_predictions_agree(model_folder: Path) -> None:
    metrics = json.loads((model_folder / "metrics.json").read_text())["test"]
    table = pq.read_table(model_folder / "predictions.parquet").to_pydict()
    assert list(table) == ["sha256", "split", "label", "logits", "probs", "loss", "distances", "nearest"]
    names = json.loads((model_folder / "config.json").read_text())["label_names"]
    answers = [names[int(np.argmax(probs))] for probs in table["probs"]]
    right = sum(answer == label for answer, label in zip(answers, table["label"], strict=True))
    assert len(set(table["sha256"])) == metrics["pictures"] == len(answers)
    assert metrics["accuracy"] == right / len(answers)
    low, high = metrics["accuracy_interval"]
    assert low <= metrics["accuracy"] <= high
    np.testing.assert_allclose([sum(probs) for probs in table["probs"]], 1)


def test_the_mirror_image_counts_as_much_as_the_picture(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    metrics = evaluate(
        str(model_folder),
        Evaluation(dataset=str(dataset_folder), num_workers=0, tta=True, output_dir=tmp_path / "out"),
    )
    assert metrics["tta"] is True
    model, _ = load_model(str(model_folder))
    transform = eval_transform(timm.data.resolve_model_data_config(model))
    rows = load_images(str(dataset_folder)).split("test")
    with torch.inference_mode():
        views = torch.stack([transform(row["image"]) for row in rows])
        both = torch.stack([model(views), model(views.flip(3))])
    mean = both.softmax(2).mean(0)
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    np.testing.assert_allclose(table["probs"], mean.numpy(), atol=1e-5)
    energy = torch.tensor(table["logits"]).logsumexp(1)
    np.testing.assert_allclose(energy.numpy(), both.logsumexp(2).mean(0).numpy(), atol=1e-4)
    assert json.loads((model_folder / "metrics.json").read_text())["test"]["tta"] is False


def test_another_split_is_added(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    for _ in range(2):
        evaluate(str(folder), Evaluation(dataset=str(dataset_folder), split="validation", num_workers=0))
    assert set(json.loads((folder / "metrics.json").read_text())) == {"test", "validation"}
    splits = pq.read_table(folder / "predictions.parquet")["split"].to_pylist()
    assert {split: splits.count(split) for split in set(splits)} == {"test": 8, "validation": 8}


def test_the_card_says_how_good_it_is_and_that_it_knows_drawings(model_folder: Path) -> None:
    card = ModelCard.load(model_folder / "README.md")
    metrics = json.loads((model_folder / "metrics.json").read_text())["test"]
    assert card.data.library_name == "timm"
    assert "drawings" in card.data.tags
    assert {r.metric_type: r.metric_value for r in card.data.eval_results}["accuracy"] == metrics["accuracy"]
    assert "This model knows drawings, not photographs" in card.text
    assert f"| accuracy | {100 * metrics['accuracy']:.1f} % |" in card.text
    assert "figures/confusion_matrix_test.png" in card.text


def test_metrics_come_from_the_predictions_that_are_there(
    model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    before = (folder / "predictions.parquet").read_bytes()
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    (folder / "metrics.json").unlink()
    # Nothing is looked at again: with other weights the same is said.
    state = load_file(folder / "model.safetensors")
    save_file({**state, "fc.weight": -state["fc.weight"]}, folder / "model.safetensors")
    again = evaluate(str(folder), Evaluation(dataset=str(dataset_folder), reuse_predictions=True))
    assert json.loads((folder / "metrics.json").read_text())["test"] == {**metrics, "date": again["date"]}
    assert (folder / "predictions.parquet").read_bytes() == before


def test_every_number_says_what_it_rests_on(model_folder: Path, dataset_folder: Path) -> None:
    metrics = json.loads((model_folder / "metrics.json").read_text())["test"]
    assert metrics["bootstrap"]["over"] == "groups of near-duplicates"
    assert metrics["bootstrap"]["groups"] <= metrics["pictures"] == 8
    assert metrics["fingerprint"] == fingerprint(load_images(str(dataset_folder)).split("test"))
    assert metrics["ece_bins"] == {"kind": "equal width", "count": 10}
    assert (metrics["reject"]["threshold"], metrics["reject"]["promised"]) == (0.5, False)
    config = json.loads((model_folder / "config.json").read_text())
    assert metrics["reject"]["reason"] == config["reject_threshold"]["reason"]
    assert metrics["calibrated_from"]["temperature"] == config["calibration"]["temperature"]
    assert metrics["others"] is None


def test_labels_in_another_order_are_renumbered(dataset_folder: Path) -> None:
    images = load_images(str(dataset_folder))
    rows = images.split("test")
    turned = images.label_names[::-1]
    renumbered = as_numbered(images, rows, turned, "m")
    names = [images.label_names[number] for number in rows["label"]]
    assert [turned[number] for number in renumbered["label"]] == names


class TestBadInput:
    def test_classes_that_the_model_does_not_know(
        self, refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "others"
        folder.mkdir()
        rows = datasets.load_dataset(str(dataset_folder), split="test")
        names = [*rows.features["label"].names[:-1], "tango"]
        rows.cast_column("label", datasets.ClassLabel(names=names)).to_parquet(folder / "test.parquet")
        message = refused("train", "evaluate", model_folder, f"dataset={folder}")
        assert "does not know (tango): it knows bharatanatyam, kathak" in message

    def test_the_run_instead_of_its_model(
        self, refused: Callable[..., str], run_folder: Path, dataset_folder: Path
    ) -> None:
        message = refused("train", "evaluate", run_folder, f"dataset={dataset_folder}")
        assert f"did you mean {run_folder / 'model'}?" in message

    def test_predictions_of_other_pictures(
        self, refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        turned = tmp_path / "turned"
        turned.mkdir()
        rows = datasets.load_dataset(str(dataset_folder), split="test")
        rows.select(range(7, -1, -1)).to_parquet(turned / "test.parquet")
        words = ["train", "evaluate", model_folder, f"dataset={turned}", "reuse_predictions=true"]
        assert "predictions.parquet, test: 8 of 8 answers are to other pictures: " in refused(*words)
        assert "has no answers on train, only on test" in refused(
            *words[:3], f"dataset={dataset_folder}", *words[4:], "split=train"
        )

    def test_a_split_without_a_picture(
        self, refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "none"
        folder.mkdir()
        rows = datasets.load_dataset(str(dataset_folder), split="test")
        rows.to_parquet(folder / "train.parquet")
        rows.select([]).to_parquet(folder / "test.parquet")
        message = refused("train", "evaluate", model_folder, f"dataset={folder}")
        assert message == f"error: {folder} has no picture in test: add some, or remove the split's files"
        images = load_images(str(dataset_folder))
        images = dataclasses.replace(images, splits={"test": images.splits["test"].select([])})
        with pytest.raises(EmptySplitError, match=r"has no picture in test: add some, or choose another split"):
            split_for_model(images, "test", {}, images.label_names, "m")

    def test_a_model_that_gives_no_numbers(
        self, refused: Callable[..., str], model_folder: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(model_folder, tmp_path / "model")
        before = {name: (folder / name).read_bytes() for name in ("predictions.parquet", "metrics.json")}
        state = load_file(folder / "model.safetensors")
        save_file({**state, "fc.bias": state["fc.bias"] * float("nan")}, folder / "model.safetensors")
        message = refused("train", "evaluate", folder, f"dataset={dataset_folder}", "num_workers=0")
        assert "no numbers (NaN or infinite) for 8 of 8 pictures, first for row 0, sha256 " in message
        assert {name: (folder / name).read_bytes() for name in before} == before

    def test_one_picture_of_each_class_is_judged_with_a_warning(
        self, model_folder: Path, dataset_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings = Evaluation(dataset=str(dataset_folder), num_workers=0, output_dir=tmp_path / "out")
        metrics = evaluate(str(model_folder), settings)
        assert "has one picture of each of 8 classes only in test: no number from so few says anything" in caplog.text
        assert all(
            row["recall_interval"][1] - row["recall_interval"][0] > 0.7 for row in metrics["per_class"].values()
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"calibration": {"temperature": 0}},
                "config.json says calibration: {'temperature': 0}: a temperature is",
            ),
            (
                {"reject_threshold": 0.4},
                "config.json has reject_threshold: 0.4: it takes score (max_probability, energy)",
            ),
        ],
    )
    def test_a_config_that_makes_no_sense(
        self,
        refused: Callable[..., str],
        model_folder: Path,
        dataset_folder: Path,
        tmp_path: Path,
        change: dict[str, object],
        message: str,
    ) -> None:
        folder = shutil.copytree(model_folder, tmp_path / "model")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        assert message in refused("train", "evaluate", folder, f"dataset={dataset_folder}")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("nobody/nothing", "the Hub does not give it: "),
            ("/no/where", "/no/where is neither a folder nor a Hub id"),
        ],
    )
    def test_a_model_that_is_nowhere(
        self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path, name: str, message: str
    ) -> None:
        words = ["train", "evaluate", name, f"dataset={dataset_folder}"]
        assert "say where the results go with output_dir=FOLDER" in refused(*words)
        assert message in refused(*words, f"output_dir={tmp_path / 'out'}")
        assert not (tmp_path / "out").exists()
