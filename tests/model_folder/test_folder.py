"""Wrong and hostile model folders: `evaluate` and app.py open every one of them through this door."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_folder.folder import ModelFolderError, open_model_folder
from tests.conftest import ROOT


def _names(config: dict[str, Any]) -> list[str]:
    return config["label_names"]


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "labels missing": (lambda c: _names(c).pop(), "num_classes is 8 and there are 7 label_names"),
    "labels and count off": (lambda c: (_names(c).pop(), c.update(num_classes=7)), "no weights for 7 classes"),
    "labels alike": (lambda c: _names(c).__setitem__(0, _names(c)[1]), "8 label_names, some perhaps alike"),
    "labels no list": (lambda c: c.update(label_names={"0": "kathak"}), "must be a list of names"),
    "endless label": (lambda c: _names(c).__setitem__(0, "x" * 10_000), "of at most 200 characters"),
    "one class": (lambda c: c.update(label_names=["kathak"], num_classes=1), "2 to 10,000 different ones"),
    "absurd size": (lambda c: c["pretrained_cfg"].update(input_size=[3, 100_000, 100_000]), "16 to 1024 is allowed"),
    "size no numbers": (lambda c: c["pretrained_cfg"].update(input_size="big"), "input_size is big"),
    "unknown architecture": (lambda c: c.update(architecture="evilnet"), "timm has no architecture 'evilnet'"),
    "code for an architecture": (lambda c: c.update(architecture={"a": 1}), "timm has no architecture"),
    "no architecture": (lambda c: c.pop("architecture"), "no usable config.json (KeyError: 'architecture')"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_config_is_refused_clearly(model_folder: Path, tmp_path: Path, fault: str) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    change, message = FAULTS[fault]
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFolderError) as error:
        open_model_folder(str(folder))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", b"{", "no usable config.json (JSONDecodeError"),
        ("config.json", b"[]", "no usable config.json (TypeError"),
        ("model.safetensors", b"\x80\x04K\x01.", "model.safetensors is damaged"),
        ("model.safetensors", None, "it has no model.safetensors"),
    ],
)
def test_damaged_files(model_folder: Path, tmp_path: Path, file: str, content: bytes | None, message: str) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ModelFolderError) as error:
        open_model_folder(str(folder))
    assert message in str(error.value)


def test_a_good_folder_is_opened(model_folder: Path) -> None:
    folder = open_model_folder(str(model_folder))
    assert folder.path == model_folder
    assert len(folder.label_names) == 8


def test_nothing_pickled_and_no_remote_code() -> None:
    parts = (ROOT / part for part in ("files", "hub", "model_folder", "train", "dataset_card"))
    files = [ROOT / "app.py", *(path for part in parts for path in sorted(part.rglob("*.py")))]
    assert len(files) > 40
    for file in files:
        text = file.read_text(encoding="utf-8")
        for word in ("torch.load", "torch.save", "import pickle", "joblib", "trust_remote_code", "eval("):
            assert word not in text.replace(".eval(", ""), f"{word} in {file}"
