"""Model folders, wrong and hostile ones, too, as every command and app.py open them."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_folder.folder import LEARNED, ModelFolderError, learned_pictures, open_model_folder, picture_digest
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


def test_a_run_stands_for_the_model_folder_in_it(run_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    folder = open_model_folder(str(run_folder))
    assert (folder.name, folder.path) == (str(run_folder), model_folder)
    # A model folder's own config.json comes first.
    nested = shutil.copytree(model_folder, tmp_path / "nested")
    shutil.copytree(model_folder, nested / "model")
    assert open_model_folder(str(nested)).path == nested
    (tmp_path / "run" / "model").mkdir(parents=True)
    with pytest.raises(ModelFolderError, match=r"run is no model folder: it has no config.json"):
        open_model_folder(str(tmp_path / "run"))


def test_learned_pictures_are_known_by_whoever_has_them(model_folder: Path, tmp_path: Path) -> None:
    folder = open_model_folder(str(shutil.copytree(model_folder, tmp_path / "model")))
    assert len(learned_pictures(folder)) == 48
    one = hashlib.sha256(b"a picture").hexdigest()
    (folder.path / LEARNED).write_text(f"{picture_digest(one)}\n")
    assert learned_pictures(folder) == {hashlib.sha256(one.encode()).hexdigest()[:16]}
    (folder.path / LEARNED).write_bytes(b"\xff\n")
    with pytest.raises(ModelFolderError, match=r"has a damaged training_pictures.txt: lines of 16 hex digits"):
        learned_pictures(folder)
    (folder.path / LEARNED).unlink()
    assert learned_pictures(folder) == set()


def test_nothing_pickled_and_no_remote_code() -> None:
    parts = (ROOT / part for part in ("files", "hub", "model_folder", "train", "dataset_card"))
    files = [ROOT / "app.py", *(path for part in parts for path in sorted(part.rglob("*.py")))]
    assert len(files) > 40
    for file in files:
        # Tensors alone come out of `torch.load` with `weights_only`.
        text = re.sub(r"torch\.load\([^()]*(\([^()]*\))?[^()]*weights_only=True", "", file.read_text(encoding="utf-8"))
        for word in ("torch.load(", "import pickle", "joblib", "trust_remote_code", "eval("):
            assert word not in text.replace(".eval(", ""), f"{word} in {file}"
