from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from train.data import LabelledImages, load_images, read_image
from train.features import STRENGTHS, USUAL, Features, ViewedImages, cached_features, choose_l2
from train.loaders import PictureBatches, TrainImages, eval_transform, make_train_batches, make_valid_batches
from train.model import FrozenBackbone, build_model, model_data_config
from train.recipe import Recipe
from train.stopping import Stopped, StopRequest

SIZE = 32


@pytest.fixture
def backbone() -> FrozenBackbone:
    torch.manual_seed(5)
    return FrozenBackbone(build_model("test_resnet", 8, SIZE, False, None, 0.0), 0.0, (3, SIZE, SIZE))


@pytest.fixture(scope="module")
def images(dataset_folder: Path) -> LabelledImages:
    return load_images(str(dataset_folder))


@pytest.fixture
def cache(images: LabelledImages, tmp_path: Path) -> Callable[..., Features]:
    """Computes the features of train below `tmp_path`, and checks those of validation."""

    def make(backbone: FrozenBackbone, stop: StopRequest | None = None, **settings: Any) -> Features:
        recipe = _recipe(**settings)
        train, valid = cached_features(
            Accelerator(cpu=True), backbone, *_batches(images, backbone, recipe), recipe, tmp_path / "features",
            stop or StopRequest(),
        )  # fmt: skip
        assert valid.values.shape == (8, 1, backbone.num_features)
        assert valid.labels.tolist() == list(images.split("validation")["label"])
        return train

    return make


def _recipe(**settings: Any) -> Recipe:
    usual = {"image_size": SIZE, "crop_mode": "squash", "feature_views": 4, "batch_size": 8, "num_workers": 0}
    return Recipe(dataset="dances", output_dir=Path("run"), **{**usual, **settings})


def _batches(
    images: LabelledImages, backbone: FrozenBackbone, recipe: Recipe
) -> tuple[PictureBatches, PictureBatches]:
    config = model_data_config(backbone.model, SIZE, "squash")
    train = make_train_batches(recipe, Accelerator(cpu=True), images, config)
    assert isinstance(train, PictureBatches)
    return train, make_valid_batches(recipe, Accelerator(cpu=True), images, config)


def _views(images: LabelledImages, backbone: FrozenBackbone, index: int, count: int = 4) -> torch.Tensor:
    """Returns what the backbone sees of a training picture, float32 of shape (count, 3, SIZE, SIZE)."""
    train, valid = _batches(images, backbone, _recipe())
    assert isinstance(train.images, TrainImages)
    plain = type(valid.images)(train.images.rows, valid.images.transform)
    return train.normalize(ViewedImages(plain, train.images, count)[index])


def test_views_are_plain_then_mirrored_then_all_different(images: LabelledImages, backbone: FrozenBackbone) -> None:
    views = _views(images, backbone, 3, 5)
    assert views.shape == (5, 3, SIZE, SIZE)
    transform = eval_transform(model_data_config(backbone.model, SIZE, "squash"))
    plain = transform(read_image(images.split("train"), 3))
    assert torch.equal(views[0], plain)
    assert torch.equal(views[1], plain.flip(-1))
    assert len({view.numpy().tobytes() for view in views}) == 5
    for count in (1, 2):
        assert torch.equal(_views(images, backbone, 3, count), views[:count])


def test_features_are_what_the_classifier_sees_of_each_view(
    images: LabelledImages, backbone: FrozenBackbone, cache: Callable[..., Features]
) -> None:
    features, rows = cache(backbone), images.split("train")
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


def test_features_depend_neither_on_spawned_workers_nor_on_what_is_random_elsewhere(
    backbone: FrozenBackbone, cache: Callable[..., Features], tmp_path: Path, spawn: None
) -> None:
    first = np.array(cache(backbone).values)
    for file in (tmp_path / "features").iterdir():
        file.unlink()
    torch.manual_seed(77)
    assert np.array_equal(cache(backbone, num_workers=1).values, first)


def test_a_shuffled_epoch_has_every_view_once(backbone: FrozenBackbone, cache: Callable[..., Features]) -> None:
    features = cache(backbone, feature_views=2)
    loader = features.loader(batch_size=8, seed=8)
    epoch = torch.cat([values for values, _ in loader])
    assert len(epoch) == len(features) == 96
    assert not np.array_equal(epoch, features.values.reshape(96, -1))
    rows = {row.tobytes() for row in features.values.reshape(96, -1)}
    assert {row.numpy().tobytes() for row in epoch} == rows
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
    previous = np.array(cache(backbone, feature_views=1).values)
    with torch.no_grad():
        backbone.model.get_classifier().weight.add_(1)
    cache(backbone, feature_views=1)
    assert len(list((tmp_path / "features").iterdir())) == 2
    with torch.no_grad():
        backbone.model.conv1[0].weight.add_(1)
    assert not np.array_equal(cache(backbone, feature_views=1).values, previous)


def test_half_a_file_is_none(
    backbone: FrozenBackbone, cache: Callable[..., Features], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = np.array(cache(backbone).values)
    for file in (tmp_path / "features").iterdir():
        file.unlink()
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
    assert [path.suffix for path in (tmp_path / "features").iterdir()] == [".npy", ".npy"]


def test_a_signal_ends_it(backbone: FrozenBackbone, cache: Callable[..., Features], tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="143"):
        cache(backbone, StopRequest(number=15))
    assert list((tmp_path / "features").iterdir()) == []


def _features(folder: Path, values: np.ndarray, labels: np.ndarray) -> Features:
    np.save(folder / "f.npy", values.astype(np.float32))
    return Features(folder / "f.npy", labels.tolist())


def _alone(number: int) -> list[str]:
    return [str(index) for index in range(number)]


def test_noise_is_held_back_and_what_tells_apart_is_let_through(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 4
    noise = rng.normal(size=(160, 2, 40))
    assert choose_l2(_features(tmp_path, noise, labels), _alone(160), 8) == max(STRENGTHS)
    clear = noise.copy()
    clear[:, :, :4] += 8 * np.eye(4)[labels][:, None]
    assert choose_l2(_features(tmp_path, clear, labels), _alone(160), 8) <= 10


def test_near_duplicates_give_no_confidence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Forty pictures of noise, each there eight times: known by heart where copies part.
    values = np.repeat(rng.normal(size=(40, 1, 60)), 8, axis=0)
    labels = np.repeat(np.arange(40) % 4, 8)
    features = _features(tmp_path, values, labels)
    assert choose_l2(features, _alone(320), 8) <= 30
    assert choose_l2(features, [str(index // 8) for index in range(320)], 8) >= 300


def test_the_size_of_a_feature_does_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 4
    values = rng.normal(size=(160, 1, 12)) + 1.5 * np.eye(12)[labels][:, None]
    chosen = {choose_l2(_features(tmp_path, size * values, labels), _alone(160), 8) for size in (2**-10, 1, 2**10)}
    assert len(chosen) == 1


@pytest.mark.parametrize("rare", [1, 2])
def test_a_class_too_rare_for_folds(tmp_path: Path, rare: int) -> None:
    labels = np.array([0] * 30 + [1] * rare)
    values = np.random.default_rng(0).normal(size=(len(labels), 1, 3))
    assert choose_l2(_features(tmp_path, values, labels), ["of one group"] * len(labels), 8) == USUAL
