import json
import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest
import timm
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from transformers.utils import logging as transformers_logging

from model_folder.folder import ModelFolder, open_model_folder
from train.data import load_images
from train.export.model_folder import drop_model_args
from train.export.onnx_graph import write_onnx
from train.export.self_check import SelfCheckError, check_loaders, check_onnx
from train.model import model_data_config


def _check(folder: Path, original: Path, dataset_folder: Path) -> None:
    model = timm.create_model(f"local-dir:{original}", pretrained=True)
    check_loaders(folder, model, timm.data.resolve_model_data_config(model), load_images(str(dataset_folder)))


def test_every_loader_agrees(model_folder: Path, dataset_folder: Path) -> None:
    before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    _check(model_folder, model_folder, dataset_folder)
    # Nothing of how quiet it was is left behind.
    assert (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()) == before


def test_no_pickle_is_written(model_folder: Path) -> None:
    suffixes = {path.suffix for path in model_folder.rglob("*") if path.is_file()}
    plain = {".html", ".json", ".jpg", ".md", ".onnx", ".parquet", ".png", ".safetensors", ".txt", ".yaml"}
    assert suffixes == plain | {".zip"}
    # A checkpoint of torch is a zip, too.
    [packed] = model_folder.rglob("*.zip")
    with ZipFile(packed) as file:
        assert {Path(name).suffix for name in file.namelist()} == {".jpg", ".json"}


def test_a_classifier_that_normalises_first(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    model = timm.create_model("repvit_m0_9", num_classes=8).eval()
    data_config, images = model_data_config(model, 64, "squash"), load_images(str(dataset_folder))
    config = {"label_names": images.label_names}
    save_for_hf(model, str(tmp_path), model_config=config, safe_serialization=True, data_config=data_config)
    drop_model_args(tmp_path / "config.json")
    write_onnx(tmp_path / "model.onnx", model, data_config, config)
    check_loaders(tmp_path, model, data_config, images)
    check_onnx(open_model_folder(str(tmp_path)), model, data_config, images)


@pytest.mark.parametrize("fault", ["weights", "label order", "mean", "model_args"])
def test_each_difference_is_noticed(model_folder: Path, dataset_folder: Path, tmp_path: Path, fault: str) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    if fault == "weights":
        state = load_file(folder / "model.safetensors")
        save_file(
            {**state, "fc.bias": state["fc.bias"] + 0.01 * state["fc.bias"].new_tensor(range(8))},
            folder / "model.safetensors",
        )
    elif fault == "label order":
        config["label_names"].reverse()
    elif fault == "mean":
        config["pretrained_cfg"]["mean"] = [0.4, 0.5, 0.5]
    else:
        config["model_args"] = {"num_classes": 8}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises((SelfCheckError, TypeError)):
        _check(folder, model_folder, dataset_folder)


def _check_onnx(folder: Path, dataset_folder: Path, **preparation: object) -> None:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    data_config = {**timm.data.resolve_model_data_config(model), **preparation}
    written = ModelFolder(str(folder), folder, json.loads((folder / "config.json").read_text()))
    check_onnx(written, model, data_config, load_images(str(dataset_folder)))


def test_model_onnx_agrees(model_folder: Path, dataset_folder: Path) -> None:
    _check_onnx(model_folder, dataset_folder)


@pytest.mark.parametrize("crop_mode", ["center", "border"])
def test_model_onnx_agrees_in_every_crop_mode(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, crop_mode: str
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    data_config = {**timm.data.resolve_model_data_config(model), "crop_mode": crop_mode}
    config = json.loads((folder / "config.json").read_text())
    write_onnx(folder / "model.onnx", model, data_config, {"label_names": config["label_names"]})
    _check_onnx(folder, dataset_folder, crop_mode=crop_mode)


@pytest.mark.parametrize("fault", ["weights", "mean", "label order"])
def test_each_difference_of_model_onnx_is_noticed(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, fault: str
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    preparation, said = {}, "model.onnx gives other probabilities"
    if fault == "weights":
        state = load_file(folder / "model.safetensors")
        state["fc.bias"] += 0.02 * state["fc.bias"].new_tensor(range(8))
        save_file(state, folder / "model.safetensors")
    elif fault == "mean":
        preparation = {"mean": (0.9, 0.9, 0.9), "std": (0.05, 0.05, 0.05)}
    else:
        config = json.loads((folder / "config.json").read_text())
        config["label_names"].reverse()
        (folder / "config.json").write_text(json.dumps(config))
        said = "has other label_names than config.json"
    with pytest.raises(SelfCheckError, match=said):
        _check_onnx(folder, dataset_folder, **preparation)
