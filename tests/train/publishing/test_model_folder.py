import dataclasses
import json
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PilImage

from train.fitting.data import LabelledImages, load_images
from train.publishing.model_folder import drop_model_args, write_examples

FEATURES = {"image": Image(), "label": ClassLabel(names=["kathak", "odissi"]), "license": Value("string")}


def _images(licenses: list[str], features: dict[str, object] = FEATURES) -> LabelledImages:
    columns = {
        "image": [np.full((900, 700, 3), i, np.uint8) for i in range(len(licenses))],
        "label": [i % 2 for i in range(len(licenses))],
        "license": licenses,
    }
    rows = Dataset.from_dict({name: columns[name] for name in features}, features=Features(features))
    return LabelledImages(
        "dances", "Dances", None, ["kathak", "odissi"], {"validation": rows, "test": rows}, drawings=False
    )


def test_config_says_what_the_model_learned_from(model_folder: Path, dataset_folder: Path) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    assert "model_args" not in config
    assert config["label_names"] == load_images(str(dataset_folder)).label_names
    assert config["training_data"]["drawings"] is True
    assert config["training_data"]["pictures"] == 48
    assert config["pretrained_cfg"]["input_size"] == [3, 64, 64]


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
