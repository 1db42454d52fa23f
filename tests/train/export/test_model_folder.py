import dataclasses
import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import timm
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PilImage
from safetensors.torch import load_file, save_file

from model_folder.folder import learned_pictures, open_model_folder, picture_digest
from train.abstention import SCORE
from train.calibration import calibrate
from train.data import LabelledImages, learned_pictures_digest, load_images, read_image
from train.export.card import render_card
from train.export.int8 import SPLIT, Answers, compare
from train.export.model_folder import drop_model_args, keep_results, write_examples
from train.loaders import eval_transform
from train.metrics import compute_metrics
from train.predict import predict_alone
from train.predictions import PredictionsError
from train.run_folder import RunFolder

FEATURES = {"image": Image(decode=False), "label": ClassLabel(names=["kathak", "odissi"]), "license": Value("string")}


def _images(licenses: list[str], features: dict[str, object] = FEATURES) -> LabelledImages:
    columns = {
        "image": [np.full((900, 700, 3), i, np.uint8) for i in range(len(licenses))],
        "label": [i % 2 for i in range(len(licenses))],
        "license": licenses,
    }
    rows = Dataset.from_dict({name: columns[name] for name in features}, features=Features(features))
    if "image" in features:
        rows = rows.cast_column("image", Image(decode=False))
    return LabelledImages(
        "dances", "Dances", None, ["kathak", "odissi"], {"validation": rows, "test": rows}, drawings=False
    )


def test_config_says_what_the_model_learned_from(model_folder: Path, dataset_folder: Path) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    assert "model_args" not in config
    assert config["label_names"] == load_images(str(dataset_folder)).label_names
    assert config["training_data"]["drawings"] is True
    assert config["training_data"]["pictures"] == 48
    assert config["training_data"]["validation_drawn"] is None
    assert config["pretrained_cfg"]["input_size"] == [3, 64, 64]


def test_the_training_pictures_are_listed_by_digest(model_folder: Path, dataset_folder: Path) -> None:
    rows = load_images(str(dataset_folder)).split("train")
    listed = (model_folder / "training_pictures.txt").read_text().splitlines()
    assert listed == sorted(listed)
    assert set(listed) == {picture_digest(sha256) for sha256 in rows["sha256"]} == learned_pictures_digest(rows)
    assert learned_pictures(open_model_folder(str(model_folder))) == learned_pictures_digest(rows)
    # Without names, the pictures themselves are hashed; a stream has neither.
    assert learned_pictures_digest(rows.remove_columns("sha256")) == learned_pictures_digest(rows)
    assert learned_pictures_digest(rows.remove_columns(["sha256", "image"])) == set()


def test_results_of_the_same_model_survive_it_and_those_of_another_do_not(
    model_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def kept(change: str) -> set[str]:
        """Returns what is added to a new folder that differs from the earlier one in something."""
        caplog.clear()
        draft = Path(shutil.copytree(model_folder, tmp_path / change))
        for name in ("report", "figures"):
            shutil.rmtree(draft / name)
        for name in ("metrics.json", "predictions.parquet"):
            (draft / name).unlink()
        (draft / "figures").mkdir()
        if change == "weights":
            state = load_file(draft / "model.safetensors")
            save_file({**state, "fc.bias": state["fc.bias"] + 1}, draft / "model.safetensors")
        if change == "threshold":
            config = json.loads((draft / "config.json").read_text())
            config["reject_threshold"]["value"] = 0.123
            (draft / "config.json").write_text(json.dumps(config))
        before = {path.name for path in draft.rglob("*")}
        keep_results(model_folder, draft)
        return {path.name for path in draft.rglob("*")} - before

    assert kept("nothing") >= {"metrics.json", "predictions.parquet", "index.html", "confusion_matrix_test.png"}
    assert caplog.messages == []
    assert kept("threshold") == {"predictions.parquet"}
    assert "evaluate again, with reuse_predictions=true" in caplog.text
    assert kept("weights") == set()
    assert "are not those of this one and are removed: evaluate it again" in caplog.text


def test_the_card_says_how_validation_came_about(model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    assert "has no validation split" not in render_card(folder)
    config = json.loads((folder / "config.json").read_text())
    config["training_data"]["validation_drawn"] = {"share": 0.15, "seed": 8}
    (folder / "config.json").write_text(json.dumps(config))
    assert "15 % of its training pictures, drawn by group with seed 8,\ntook its place" in render_card(folder)


def test_the_weights_are_calibrated_and_the_config_says_by_what(
    run_folder: Path, model_folder: Path, dataset_folder: Path
) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    stated = config["calibration"]
    assert (stated["split"], stated["pictures"]) == ("validation", 8)
    assert 0.25 <= stated["temperature"] <= 8
    best = RunFolder(run_folder).load_best()
    published = load_file(model_folder / "model.safetensors")
    for name, tensor in published.items():
        by = stated["temperature"] if name.startswith("fc.") else 1
        torch.testing.assert_close(tensor.float(), best[name].float() / by)
    model = timm.create_model(f"local-dir:{model_folder}", pretrained=True)
    rows = load_images(str(dataset_folder)).split("validation")
    data_config = timm.data.resolve_model_data_config(model)
    answers = predict_alone(model, data_config, rows, config["label_names"], "Predicting")
    metrics = compute_metrics(answers, temperature=stated["temperature"])
    assert metrics["nll"] == pytest.approx(stated["nll_after"], abs=1e-4)
    assert metrics["calibrated_from"]["nll"] == pytest.approx(stated["nll_before"], abs=1e-4)
    assert metrics["ece"] == pytest.approx(stated["ece_after"], abs=1e-4)
    assert metrics["nll"] <= metrics["calibrated_from"]["nll"]


def test_eight_pictures_promise_nothing_and_half_is_stated(model_folder: Path) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    reject = config["reject_threshold"]
    assert (reject["score"], reject["value"], reject["promised"]) == (SCORE, 0.5, False)
    assert (reject["target_accuracy"], reject["split"]) == (0.95, "validation")
    assert (reject["pictures"], reject["groups"]) == (8, 8)
    assert reject["reason"] == "too few pictures to promise 95 % (even 8 of 8 right promise 75 % at most)"
    card = (model_folder / "README.md").read_text()
    assert "Below a probability of 0.500 it should be read as “not sure”" in card
    assert f"No accuracy is promised there: {reject['reason']}." in card


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        (
            {"reject_threshold": {"value": 0.62, "promised": True, "reason": None, "accuracy": 0.97, "groups": 120}},
            [
                "Of answers to pictures like these at least 95 % are right, with 90 % confidence",
                "over\n120 groups of near-",
            ],
        ),
        ({"calibration": {"bound": None}}, ["Its probabilities are calibrated: its logits are divided by"]),
        (
            {"calibration": {"bound": "lowest", "temperature": 1.0}},
            ["are not calibrated: the 8 validation pictures ask for a temperature beyond the lowest"],
        ),
        # As earlier versions wrote it where they found no threshold.
        ({"reject_threshold": {"value": None}}, ["Below a probability of 0.500", "No accuracy is promised there.\n"]),
    ],
)
def test_the_card_says_what_is_promised_and_whether_it_is_calibrated(
    model_folder: Path, tmp_path: Path, changes: dict, sentences: list[str]
) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    for key, values in changes.items():
        config[key] |= values
    (tmp_path / "config.json").write_text(json.dumps(config))
    shutil.copy(model_folder / "recipe.yaml", tmp_path)
    card = render_card(tmp_path)
    for sentence in sentences:
        assert sentence in card


def test_the_card_bounds_the_answers_that_int8_changes(model_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "recipe.yaml", "formats.json", "model.onnx"):
        shutil.copy(model_folder / name, tmp_path)
    (tmp_path / "model.int8.onnx").touch()
    labels = np.arange(46) % 4
    same = Answers(np.eye(4)[labels], None)
    formats = json.loads((tmp_path / "formats.json").read_text())
    formats["files"]["model.int8.onnx"] = formats["files"]["model.onnx"]
    formats["int8"] = {
        "attempt": "",
        "calibrated_on": 64,
        "split": SPLIT,
        **compare(same, same, labels, None, None).as_record(),
    }
    (tmp_path / "formats.json").write_text(json.dumps(formats))
    card = render_card(tmp_path)
    assert (
        "To 46 of 46 validation pictures it gave the same answer as `model.onnx`: at most 6.3 % of answers change"
        in card
    )


def test_a_model_that_gives_no_numbers_is_not_published(dataset_folder: Path) -> None:
    images = load_images(str(dataset_folder))
    model = timm.create_model("test_resnet", num_classes=len(images.label_names))
    torch.nn.init.constant_(model.fc.weight, float("nan"))
    data_config = {**timm.data.resolve_model_data_config(model), "input_size": (3, 32, 32)}
    with pytest.raises(PredictionsError, match=r"validation: no numbers .* for 8 of 8 pictures, first for row 0, sha"):
        calibrate(model, data_config, images, 0.95)


def test_a_good_model_gets_a_threshold(dataset_folder: Path) -> None:
    images = load_images(str(dataset_folder))
    rows = images.split("validation")
    many = datasets.concatenate_datasets([rows] * 4)
    model = timm.create_model("test_resnet", num_classes=len(images.label_names)).eval()
    data_config = {**timm.data.resolve_model_data_config(model), "input_size": (3, 32, 32)}
    features = predict_features(model, data_config, rows)
    # A classifier that knows these eight pictures by heart, and is far too sure of them.
    with torch.no_grad():
        centred = features - features.mean(0)
        model.fc.weight.copy_((30 * torch.linalg.pinv(centred) @ torch.eye(8)[torch.tensor(rows["label"])]).T)
        model.fc.bias.copy_(-model.fc.weight @ features.mean(0))
    before = model.fc.weight.clone()
    calibrated = calibrate(model, data_config, dataclasses.replace(images, splits={"validation": many}), 0.9)
    assert calibrated["calibration"]["temperature"] == 1
    assert calibrated["calibration"]["bound"] == "lowest"
    torch.testing.assert_close(model.fc.weight.data, before)
    assert all(parameter.is_contiguous() for parameter in model.parameters())
    reject = calibrated["reject_threshold"]
    assert (reject["pictures"], reject["answered"], reject["accuracy"], reject["coverage"]) == (32, 32, 1, 1)
    # Copies are no further witnesses.
    assert (reject["groups"], reject["promised"], reject["value"]) == (8, False, 0.5)
    apart = many.remove_columns("group").add_column("group", [str(number) for number in range(32)])
    reject = calibrate(model, data_config, dataclasses.replace(images, splits={"validation": apart}), 0.9)[
        "reject_threshold"
    ]
    assert (reject["groups"], reject["promised"], reject["target_accuracy"]) == (32, True, 0.9)
    assert 0 < reject["value"] < 1


def predict_features(model: torch.nn.Module, data_config: dict, rows: datasets.Dataset) -> torch.Tensor:
    transform = eval_transform(data_config)
    with torch.inference_mode():
        images = torch.stack([transform(read_image(rows, index)) for index in range(len(rows))])
        return model.forward_head(model.forward_features(images), pre_logits=True).clone()


def test_model_args_are_dropped_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"architecture": "resnet34", "model_args": {"num_classes": 8}, "label_names": ["ಕಥಕ್"]}')
    drop_model_args(path)
    assert json.loads(path.read_text()) == {"architecture": "resnet34", "label_names": ["ಕಥಕ್"]}
    path.write_text('{"model_args": {"num_classes": 8, "img_size": 64}}')
    drop_model_args(path)
    assert json.loads(path.read_text()) == {"model_args": {"img_size": 64}}


def test_one_example_per_class_with_its_licence(tmp_path: Path) -> None:
    written = write_examples(tmp_path / "examples", _images(["unknown", "cc0-1.0", "cc-by-4.0", "cc0-1.0"]))
    assert [path.name for path in written] == ["odissi.jpg", "kathak.jpg"]
    entries = json.loads((tmp_path / "examples" / "examples.json").read_text())
    assert [(e["file"], e["license"]) for e in entries] == [("kathak.jpg", "cc-by-4.0"), ("odissi.jpg", "cc0-1.0")]
    with PilImage.open(tmp_path / "examples" / "kathak.jpg") as image:
        assert image.size == (498, 640)


def test_no_two_examples_are_called_alike_and_none_leaves_the_folder(tmp_path: Path) -> None:
    features = {**FEATURES, "label": ClassLabel(names=["../a/b", "..-a:b"])}
    images = dataclasses.replace(_images(["cc0-1.0"] * 2, features), label_names=["../a/b", "..-a:b"])
    written = write_examples(tmp_path / "examples", images)
    assert [path.name for path in written] == ["-a-b.jpg", "--a-b.jpg"]
    assert {path.parent for path in tmp_path.rglob("*.jpg")} == {tmp_path / "examples"}
    images = dataclasses.replace(images, label_names=["a.b", "a:b"])
    assert [path.name for path in write_examples(tmp_path / "more", images)] == ["a-b.jpg", "a-b-1.jpg"]


def test_pictures_without_a_known_licence_stay_behind(tmp_path: Path) -> None:
    assert write_examples(tmp_path / "one", _images(["unknown", "", "other", "unknown"])) == []
    bare = {name: kind for name, kind in FEATURES.items() if name != "license"}
    assert write_examples(tmp_path / "two", _images(["cc0-1.0"] * 2, bare)) == []
    assert list(tmp_path.iterdir()) == []
