import dataclasses
import io
import json
import logging
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from sklearn.metrics.pairwise import cosine_distances
from torch import nn

from model_folder.reference_pictures import LIST
from train.data import LabelledImages, load_images, read_image
from train.export.reference import Reference, choose_rows, look_at_training_pictures, write_reference
from train.loaders import eval_transform
from train.model import model_data_config


def test_of_many_pictures_every_class_keeps_as_many() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [3000, 40, 700]))
    rows = choose_rows(labels, 600)
    assert len(set(rows.tolist())) == 600
    assert Counter(labels[rows].tolist()) == {1: 40, 0: 280, 2: 280}
    assert (rows == choose_rows(labels, 600)).all()
    assert (choose_rows(labels, 10_000) == np.arange(3740)).all()


@pytest.fixture
def images(dataset_folder: Path) -> LabelledImages:
    return load_images(str(dataset_folder))


@pytest.fixture
def model() -> timm.models.ResNet:
    return timm.create_model("test_resnet", num_classes=8)


@pytest.mark.parametrize(
    ("counts", "k"),
    [([30, 34, 50], 17), ([4, 4, 4], 5), ([1, 1], 2), ([200, 300], 20), ([1, 30, 31], 15)],
)
def test_half_as_many_neighbours_count_as_a_class_has_pictures(counts: list[int], k: int) -> None:
    entries = [{"label": str(label)} for label, count in enumerate(counts) for _ in range(count)]
    features = np.ones((len(entries), 4), np.float16) / 2
    assert Reference(features, entries, {}).as_others_read_it().k == k


def test_features_are_those_of_the_plain_pictures(images: LabelledImages, model: timm.models.ResNet) -> None:
    data_config = model_data_config(model, 64, "squash")
    reference = look_at_training_pictures(model, data_config, images)
    assert reference is not None
    assert (reference.features.dtype, reference.features.shape) == (np.float16, (48, model.num_features))
    rows = images.splits["train"]
    picture = eval_transform(data_config)(read_image(rows, 17)).unsqueeze(0)
    expected = model.forward_head(model.forward_features(picture), pre_logits=True).detach().numpy()
    assert cosine_distances(expected, reference.features[17:18].astype(np.float32)) < 1e-5
    assert np.linalg.norm(reference.features.astype(np.float32), axis=1) == pytest.approx(1, abs=1e-3)
    assert reference.entries[17]["sha256"] == rows[17]["sha256"]
    assert reference.entries[17]["label"] == images.label_names[rows[17]["label"]]


def test_only_what_a_licence_lets_be_shared_is_copied_and_named(
    images: LabelledImages, model: timm.models.ResNet, tmp_path: Path
) -> None:
    train = images.splits["train"].select(range(5))
    train = train.remove_columns(["license", "author"])
    train = train.add_column("license", ["cc-by-sa-4.0", "unknown", "cc-by-nd-4.0", "cc-by-4.0", "cc0-1.0"])
    train = train.add_column("author", ["Asha", "Bela", "Chitra", "", ""])
    some = dataclasses.replace(images, splits={**images.splits, "train": train})
    reference = look_at_training_pictures(model, model_data_config(model, 64, "squash"), some)
    assert reference is not None
    write_reference(tmp_path, reference)
    with zipfile.ZipFile(tmp_path / "reference_pictures.zip") as archive:
        told = json.loads(archive.read(LIST))
        assert [(entry["file"], entry["author"]) for entry in told] == [
            ("0000.jpg", "Asha"),
            (None, ""),
            (None, ""),
            (None, ""),
            ("0004.jpg", ""),
        ]
        assert archive.namelist() == [LIST, "0000.jpg", "0004.jpg"]
        with Image.open(io.BytesIO(archive.read("0004.jpg"))) as picture:
            assert max(picture.size) == 160
            assert not picture.getexif()
    before = (tmp_path / "reference_pictures.zip").read_bytes()
    write_reference(tmp_path, reference)
    assert (tmp_path / "reference_pictures.zip").read_bytes() == before


def test_streams_and_odd_heads_go_without(
    images: LabelledImages, model: timm.models.ResNet, caplog: pytest.LogCaptureFixture
) -> None:
    data_config = model_data_config(model, 64, "squash")
    stream = images.splits["train"].to_iterable_dataset()
    with caplog.at_level(logging.WARNING):
        assert look_at_training_pictures(model, data_config, dataclasses.replace(images, stream=stream)) is None
        odd = timm.create_model("test_resnet", num_classes=8)
        odd.fc = nn.Sequential(nn.Linear(odd.num_features, 16), nn.GLU())
        assert look_at_training_pictures(odd, data_config, images) is None
    assert "the training pictures are streamed: this model" in caplog.text
    assert "this architecture has no linear classifier" in caplog.text


def test_a_dataset_without_names_and_licences_has_labels_alone(
    images: LabelledImages, model: timm.models.ResNet
) -> None:
    bare = images.splits["train"].select_columns(["image", "label"])
    some = dataclasses.replace(images, splits={**images.splits, "train": bare})
    reference = look_at_training_pictures(model, model_data_config(model, 64, "squash"), some)
    assert reference is not None
    assert reference.jpegs == {}
    assert {(entry["sha256"], entry["file"]) for entry in reference.entries} == {("", None)}
    assert len({entry["label"] for entry in reference.entries}) == 8
