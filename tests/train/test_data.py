import io
import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import ExifTags, Image
from torch.utils.data import DataLoader

from files.errors import UserError
from pictures.decoding import decode
from tests.conftest import ROOT
from train.data import (
    DatasetError,
    fingerprint,
    groups_of,
    image_bytes,
    learned_pictures_digest,
    load_images,
    load_to_judge,
    picture_names,
    read_image,
)


@pytest.fixture
def photographs(tmp_path: Path, save_image: Callable[..., Path]) -> Path:
    """Forty pictures of two classes; the first two of each are the same file twice."""
    for label, dance in enumerate(["kathak", "odissi"]):
        for number in range(20):
            save_image(f"photographs/{dance}/{number:02d}.jpg", seed=100 * label + max(1, number))
    return tmp_path / "photographs"


def test_drawings_are_known_from_the_card(dataset_folder: Path) -> None:
    assert load_images(str(dataset_folder)).drawings


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
    rows = load_images(str(dataset_folder)).split("test")
    assert fingerprint(rows) == fingerprint(rows)
    assert fingerprint(rows) != fingerprint(rows.select(range(len(rows) - 1)))
    bare = rows.remove_columns("sha256")
    assert fingerprint(bare) != fingerprint(bare.select(range(1, len(rows))))


def test_pictures_are_named_by_their_column_or_their_bytes(photographs: Path, dataset_folder: Path) -> None:
    rows = load_images(str(photographs), validation=0).split("train")
    files = sorted(photographs.rglob("*.jpg"))
    assert picture_names(rows) == [sha256(file.read_bytes()).hexdigest() for file in files]
    named = load_images(str(dataset_folder)).split("test")
    assert picture_names(named) == list(named["sha256"])
    gaps = named.remove_columns("sha256").add_column("sha256", [None, *named["sha256"][1:]])
    assert picture_names(gaps)[1:] == named["sha256"][1:]
    assert picture_names(gaps)[0] == sha256(image_bytes(named[0]["image"])).hexdigest()
    assert picture_names(named.remove_columns(["image", "sha256"])) == [""] * len(named)
    assert picture_names(Dataset.from_dict({"image": [None]})) == [""]


def test_who_has_a_picture_finds_it_in_the_digest(dataset_folder: Path) -> None:
    rows = load_images(str(dataset_folder)).split("test")
    digest = learned_pictures_digest(rows)
    assert sha256(rows[0]["sha256"].encode()).hexdigest()[:16] in digest
    assert len(digest) == len(rows)
    assert learned_pictures_digest(rows.remove_columns(["image", "sha256"])) == set()


def test_a_picture_without_a_group_is_alone() -> None:
    assert groups_of(Dataset.from_dict({"group": ["a", None, "a", None]})) == ["a", "alone 1", "a", "alone 3"]
    assert groups_of(Dataset.from_dict({"label": [1]})) is None


def _encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _odd_pictures() -> dict[str, bytes]:
    """Pictures that Pillow alone shows otherwise than a browser does, or the page."""
    rng = np.random.default_rng(8)
    levels = rng.integers(0, 256, (40, 48, 4), np.uint8)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    return {
        "rgba.png": _encoded(Image.fromarray(levels), "PNG"),
        "la.png": _encoded(Image.merge("LA", Image.fromarray(levels).split()[2:]), "PNG"),
        "16-bit.png": _encoded(Image.fromarray(rng.integers(0, 65536, (40, 48), np.uint16)), "PNG"),
        "float.tiff": _encoded(Image.fromarray(rng.random((40, 48), np.float32)), "TIFF"),
        "cmyk.jpg": _encoded(Image.fromarray(levels, "CMYK"), "JPEG"),
        "turned.jpg": _encoded(Image.fromarray(levels[..., :3]), "JPEG", exif=turned),
    }


def test_training_sees_a_picture_as_the_page_does(tmp_path: Path) -> None:
    pictures = _odd_pictures()
    for label in ("kathak", "odissi"):
        (tmp_path / label).mkdir()
        for name, content in pictures.items():
            (tmp_path / label / name).write_bytes(content)
    rows = load_images(str(tmp_path), validation=0).split("train")
    for index, name in enumerate(2 * sorted(pictures)):
        expected = decode(pictures[name]).image
        seen = read_image(rows, index)
        assert (seen.mode, seen.size) == ("RGB", expected.size), name
        assert np.array_equal(seen, expected), name


def test_a_training_picture_may_be_decoded_smaller(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    for label in ("kathak", "odissi"):
        save_image(f"{label}/large.jpg", size=(960, 640))
    rows = load_images(str(tmp_path), validation=0).split("train")
    assert read_image(rows, 0).size == (960, 640)
    assert read_image(rows, 0, enough=160).size == (240, 160)


@pytest.mark.parametrize("content", [b"no picture", b""])
def test_a_picture_that_can_not_be_decoded_is_named(photographs: Path, content: bytes) -> None:
    rows = load_images(str(photographs)).split("train")
    Path(rows[3]["image"]["path"]).write_bytes(content)
    with pytest.raises(DatasetError, match=r"the picture of row 3 of train, sha256 [0-9a-f]{64} can't be read \("):
        read_image(rows, 3)
    with pytest.raises(DatasetError, match=r"the picture of row 0 of the dataset can't be read \(there is none\)"):
        read_image(Dataset.from_dict({"image": [None]}, split=None), 0)


class _Pixels(torch.utils.data.Dataset[int]):
    def __init__(self, rows: Dataset) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> int:
        return int(np.asarray(read_image(self.rows, index), np.int64).sum())


def test_rows_go_to_processes_that_are_spawned(photographs: Path, dataset_folder: Path) -> None:
    for folder in (photographs, dataset_folder):
        pixels = _Pixels(load_images(str(folder)).split("validation"))
        loader = DataLoader(pixels, num_workers=1, multiprocessing_context="spawn")
        assert [int(batch) for batch in loader] == [pixels[index] for index in range(len(pixels))]


def test_validation_is_drawn_from_train_where_there_is_none(
    photographs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = load_images(str(photographs), validation=0.25)
    assert (
        f"{photographs} has no validation split: 10 of 40 training pictures (25 %), drawn by group with seed 8, take "
        "its place"
    ) in caplog.messages
    assert images.validation_drawn == {"share": 0.25, "seed": 8}
    train, validation = images.split("train"), images.split("validation")
    assert Counter(validation["label"]) == {0: 5, 1: 5}
    assert set(picture_names(train)) | set(picture_names(validation)) == set(
        picture_names(load_images(str(photographs), validation=0).split("train"))
    )
    # The same bytes are one group.
    assert not set(picture_names(train)) & set(picture_names(validation))
    again, other = (load_images(str(photographs), validation=0.25, seed=seed) for seed in (8, 9))
    assert fingerprint(again.split("train")) == fingerprint(train)
    assert fingerprint(other.split("train")) != fingerprint(train)


def test_the_test_split_has_no_part_in_the_draw(dataset_folder: Path, tmp_path: Path) -> None:
    source = load_images(str(dataset_folder))
    for split in ("train", "test"):
        source.split(split).to_parquet(tmp_path / f"{split}.parquet")
    images = load_images(str(tmp_path))
    assert list(images.splits) == ["train", "test", "validation"]
    assert fingerprint(images.split("test")) == fingerprint(source.split("test"))
    groups = [set(groups_of(images.split(split)) or ()) for split in ("train", "validation")]
    assert not groups[0] & groups[1]
    assert load_images(str(dataset_folder)).validation_drawn is None


def test_a_class_of_one_picture_can_not_be_in_both(photographs: Path) -> None:
    for file in list((photographs / "odissi").iterdir())[1:]:
        file.unlink()
    with pytest.raises(
        DatasetError, match="has no validation split, and odissi has too few different pictures to learn from"
    ):
        load_images(str(photographs))


def test_a_model_is_judged_on_the_validation_pictures_that_were_drawn_for_it(photographs: Path) -> None:
    trained = load_images(str(photographs), validation=0.3, seed=5)
    data = {"name": trained.title, "validation_drawn": trained.validation_drawn}
    judged = load_to_judge(str(photographs), "validation", {"training_data": data})
    assert fingerprint(judged.split("validation")) == fingerprint(trained.split("validation"))
    assert "validation" not in load_to_judge(str(photographs), "train", {"training_data": {}}).splits
    with pytest.raises(DatasetError, match="has no split 'validation': it has train"):
        load_to_judge(str(photographs), "validation", {}).split("validation")


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


def test_without_network_datasets_and_weights_fail_at_once(tmp_path: Path) -> None:
    code = """
import time
from huggingface_hub import constants
from train.data import load_images
from train.model import build_model
start = time.monotonic()
for load in (
    lambda: load_images("user/dances"),
    lambda: load_images("user/dances", streaming=True),
    lambda: build_model("resnet18", 2, 64, True, None, 0.0),
):
    try:
        load()
    except ValueError as error:
        print(error)
print(time.monotonic() - start < 10, constants.HF_HUB_OFFLINE)
"""
    # Nothing listens there.
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    *datasets, weights, quick = answer.stdout.splitlines()
    assert len(datasets) == 2, answer.stderr
    for message in datasets:
        assert message.startswith("user/dances is no folder here and could not be loaded from the Hub (Couldn't reach")
        assert message.endswith("check the name, the network and your token, or give a folder")
    assert weights.startswith("the pretrained weights of resnet18 can't be fetched (")
    assert "give model.safetensors of huggingface.co/timm/resnet18.a1_in1k with weights=FILE, or train" in weights
    assert quick == "True False"
    assert "Retrying" not in answer.stderr


def test_a_path_that_datasets_takes_for_a_pattern_is_refused(dataset_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(dataset_folder, tmp_path / "x [v2]" / "dances")
    with pytest.raises(UserError, match=r"has \[ in its path, .* use a folder whose path has none of \* \? \[ ::"):
        load_images(str(folder))


def test_a_cache_that_may_not_be_written_is_named(dataset_folder: Path, tmp_path: Path) -> None:
    name = str(dataset_folder)
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
