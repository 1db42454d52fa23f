from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from train.augmentation import Augmentation, Augmenter, square_transform
from train.data import load_images, read_image
from train.features import Features, ViewedImages, cache_features, views_of
from train.loaders import TrainingImages, eval_transform
from train.model import FrozenBackbone, build_model, model_data_config
from train.stopping import StopRequest

SIZE = 32


@pytest.fixture
def backbone() -> FrozenBackbone:
    torch.manual_seed(5)
    return FrozenBackbone(build_model("test_resnet", 8, SIZE, False, None, 0.0), 0.0, (3, SIZE, SIZE))


@pytest.fixture
def cache(dataset_folder: Path, tmp_path: Path) -> Callable[..., Features]:
    rows = load_images(str(dataset_folder)).split("train")

    def make(backbone: FrozenBackbone, views: int = 4, num_workers: int = 0, batch_size: int = 8) -> Features:
        return cache_features(
            Accelerator(cpu=True), backbone, _augmenter(backbone), _images(rows, backbone, views), views, batch_size,
            num_workers, tmp_path / "features" / "train", StopRequest(),
        )  # fmt: skip

    return make


def _augmenter(backbone: FrozenBackbone) -> Augmenter:
    return Augmenter(model_data_config(backbone.model, SIZE, "squash"))


def _images(rows: Any, backbone: FrozenBackbone, views: int) -> ViewedImages:
    config = model_data_config(backbone.model, SIZE, "squash")
    images = TrainingImages(rows, square_transform(config, 40), partial(Augmentation().draw, "squash"), seed=8)
    return ViewedImages(eval_transform(config), images, max(0, views - 2))


def _views(images: ViewedImages, backbone: FrozenBackbone, index: int) -> torch.Tensor:
    return views_of(_augmenter(backbone), *(part[None] for part in images[index][0]))[0]


def test_views_are_plain_then_mirrored_then_all_different(dataset_folder: Path, backbone: FrozenBackbone) -> None:
    rows = load_images(str(dataset_folder)).split("train")
    views = _views(_images(rows, backbone, 5), backbone, 3)
    assert views.shape == (5, 3, SIZE, SIZE)
    plain = eval_transform(model_data_config(backbone.model, SIZE, "squash"))(read_image(rows, 3))
    assert torch.equal(views[0], plain)
    assert torch.equal(views[1], plain.flip(-1))
    assert len({view.numpy().tobytes() for view in views}) == 5
    assert _views(_images(rows, backbone, 1), backbone, 3).shape == (2, 3, SIZE, SIZE)


def test_features_are_what_the_classifier_sees_of_each_view(
    dataset_folder: Path, backbone: FrozenBackbone, cache: Callable[..., Features]
) -> None:
    features = cache(backbone)
    rows = load_images(str(dataset_folder)).split("train")
    images = _images(rows, backbone, 4)
    assert features.values.shape == (len(rows), 4, backbone.num_features)
    assert len(features) == 4 * len(rows)
    with torch.inference_mode():
        expected = backbone.features(_views(images, backbone, 7))
    torch.testing.assert_close(torch.tensor(features.values[7]), expected)
    values, labels = features.__getitems__([28, 31, 32])
    assert np.array_equal(values[0], features.values[7, 0])
    assert np.array_equal(values[1], features.values[7, 3])
    assert np.array_equal(values[2], features.values[8, 0])
    assert labels.tolist() == [rows["label"][7], rows["label"][7], rows["label"][8]]


def test_features_depend_neither_on_workers_nor_on_chance_elsewhere(
    backbone: FrozenBackbone, cache: Callable[..., Features], tmp_path: Path
) -> None:
    first = np.array(cache(backbone).values)
    next((tmp_path / "features").glob("train-*.npy")).unlink()
    torch.manual_seed(77)
    assert np.array_equal(cache(backbone, num_workers=2).values, first)


def test_a_shuffled_epoch_has_every_view_once(backbone: FrozenBackbone, cache: Callable[..., Features]) -> None:
    features = cache(backbone, views=2)
    loader = features.loader(batch_size=8, seed=8)
    seen = torch.cat([values for values, _ in loader])
    assert len(seen) == len(features) == 96
    assert not np.array_equal(seen, features.values.reshape(96, -1))
    rows = {row.tobytes() for row in features.values.reshape(96, -1)}
    assert {row.numpy().tobytes() for row in seen} == rows
    ordered = torch.cat([values for values, _ in features.loader(batch_size=7)])
    assert np.array_equal(ordered, features.values.reshape(96, -1))


def test_the_spread_is_the_power_of_two_next_to_the_standard_deviation(tmp_path: Path) -> None:
    deviations = np.array([0.01, 0.9, 5.7, 1000, 0])
    values = np.random.default_rng(0).normal(3, deviations, (5000, 2, 5)).astype(np.float32)
    np.save(tmp_path / "f.npy", values)
    spread = Features(tmp_path / "f.npy", [0] * 5000).spread()
    # Of 0.01, 0.9, 5.7 and 1000 by hand; what never changes is divided by 1.
    assert spread.tolist() == [2**-7, 1, 8, 1024, 1]
    assert spread.dtype == torch.float32


def test_what_an_interrupted_run_has_left_is_taken(backbone: FrozenBackbone, cache: Callable[..., Features]) -> None:
    cache(backbone)
    backbone.model.forward_features = None  # whoever asks it now fails
    assert len(cache(backbone)) == 192


def test_other_weights_have_other_features(
    backbone: FrozenBackbone, cache: Callable[..., Features], tmp_path: Path
) -> None:
    former = np.array(cache(backbone, views=1).values)
    with torch.no_grad():
        backbone.model.get_classifier().weight.add_(1)
    cache(backbone, views=1)
    assert len(list((tmp_path / "features").iterdir())) == 1
    with torch.no_grad():
        backbone.model.conv1[0].weight.add_(1)
    assert not np.array_equal(cache(backbone, views=1).values, former)


def test_half_a_file_is_none(
    backbone: FrozenBackbone, cache: Callable[..., Features], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = np.array(cache(backbone).values)
    next((tmp_path / "features").iterdir()).unlink()
    compute, calls = backbone.features, iter(range(3))

    def stop_in_the_middle(images: torch.Tensor) -> torch.Tensor:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return compute(images)

    monkeypatch.setattr(backbone, "features", stop_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        cache(backbone)
    assert list((tmp_path / "features").iterdir()) == []
    monkeypatch.undo()
    assert np.array_equal(cache(backbone).values, straight)
    assert [path.suffix for path in (tmp_path / "features").iterdir()] == [".npy"]
