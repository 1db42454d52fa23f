import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from files.errors import UserError
from tests.conftest import ROOT
from train.data import DatasetError, fingerprint, load_images


def _save(folder: Path, features: dict[str, object], rows: int = 4) -> str:
    picture = np.zeros((40, 40, 3), np.uint8)
    makers = {Image: lambda i: picture, ClassLabel: lambda i: i % 2, Value: lambda i: "text"}
    columns = {name: [makers[type(kind)](i) for i in range(rows)] for name, kind in features.items()}
    if len(features.get("only", ClassLabel(names=["a", "b"])).names) == 1:
        columns["only"] = [0] * rows
    folder.mkdir()
    Dataset.from_dict(columns, features=Features(features)).to_parquet(folder / "train.parquet")
    return str(folder)


def test_columns_are_found_by_their_type(tmp_path: Path) -> None:
    name = _save(tmp_path / "d", {"img": Image(), "dance": ClassLabel(names=["kathak", "odissi"])})
    images = load_images(name)
    assert images.label_names == ["kathak", "odissi"]
    assert images.split("train")[1]["label"] == 1
    assert images.split("train")[0]["image"].mode == "RGB"
    assert not images.drawings


def test_drawings_are_known_from_the_card(dataset_folder: Path) -> None:
    assert load_images(str(dataset_folder)).drawings


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            {"text": Value("string"), "label": ClassLabel(names=["a", "b"])},
            r"image column: it has text \(Value\), label",
        ),
        ({"image": Image(), "name": Value("string")}, r"class labels \(ClassLabel\): it has image \(Image\), name"),
        ({"image": Image(), "only": ClassLabel(names=["a"])}, r"one class only \(a\)"),
    ],
)
def test_columns_that_are_missing_are_named(tmp_path: Path, features: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_images(_save(tmp_path / "d", features))


def test_a_name_that_is_nowhere() -> None:
    with pytest.raises(DatasetError, match="is neither a folder nor a Hub id"):
        load_images("/no/such/folder")
    with pytest.raises(DatasetError, match="no/such is no folder here and could not be loaded from the Hub"):
        load_images("no/such")


def test_a_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no dataset"):
        load_images(str(tmp_path))


def test_a_card_edited_by_hand(dataset_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(dataset_folder, tmp_path / "dances")
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card.replace("pretty_name:", "pretty_name: ["))
    with pytest.raises(DatasetError, match=r"has a README\.md whose YAML block can't be read"):
        load_images(str(folder))


def test_a_split_that_is_missing(dataset_folder: Path) -> None:
    with pytest.raises(DatasetError, match="has no split 'valid': it has train, validation, test"):
        load_images(str(dataset_folder)).split("valid")


def test_the_fingerprint_follows_pictures_and_labels(dataset_folder: Path) -> None:
    images = load_images(str(dataset_folder))
    rows = images.split("test")
    assert fingerprint(rows) == fingerprint(rows)
    assert fingerprint(rows) != fingerprint(rows.select(range(len(rows) - 1)))
    bare = rows.remove_columns("sha256")
    assert fingerprint(bare) != fingerprint(bare.select(range(1, len(rows))))


def test_a_folder_by_its_relative_name_is_asked_about_nowhere_else(
    tmp_path: Path, save_image: Callable[..., Path]
) -> None:
    for number, dance in enumerate(["kathak", "kathak", "odissi", "odissi"]):
        save_image(f"dances/{dance}/{number}.png", seed=number)
    code = """
from train.data import load_images
print(load_images("dances").label_names)
"""
    with socket.create_server(("127.0.0.1", 0)) as hub:
        hub.setblocking(False)
        environment = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.getsockname()[1]}", "HF_HUB_OFFLINE": "0"}
        answer = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert answer.stdout == "['kathak', 'odissi']\n", answer.stderr
        with pytest.raises(BlockingIOError, match="unavailable"):
            hub.accept()


def test_a_path_that_datasets_takes_for_a_pattern_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x [v2]").mkdir()
    name = _save(tmp_path / "x [v2]" / "d", {"img": Image(), "dance": ClassLabel(names=["kathak", "odissi"])})
    with pytest.raises(UserError, match=r"has \[ in its path, .* use a folder whose path has none of \* \? \[ ::"):
        load_images(name)


def test_a_cache_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    name = _save(tmp_path / "d", {"img": Image(), "dance": ClassLabel(names=["kathak", "odissi"])})
    (tmp_path / "file").touch()
    code = f"from train.data import load_images; load_images({name!r})"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "HF_HOME": str(tmp_path / "file" / "hf")},
        capture_output=True,
        text=True,
    )
    said = f"{name} can't be loaded: {tmp_path / 'file'} is a file, and not a folder: choose another path"
    assert answer.stderr.splitlines()[-1].endswith(f"{said} (HF_HOME says where)")
