import multiprocessing
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from train.data import DatasetError, LabelledImages, load_images, read_image
from train.loaders import (
    BalancedSampler,
    EpochSampler,
    PictureBatches,
    PixelCache,
    TransformedImages,
    eval_transform,
    evenly_spaced,
    make_loader,
    make_train_batches,
    make_valid_batches,
    pixel_transform,
)
from train.predict import FromPixels
from train.recipe import Recipe
from train.stopping import Stopped, StopRequest

CONFIG = {
    "input_size": (3, 32, 32), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center",
    "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
}  # fmt: skip


@pytest.fixture(scope="module")
def images(dataset_folder: Path) -> LabelledImages:
    return load_images(str(dataset_folder))


def _recipe(**settings: Any) -> Recipe:
    usual = {"image_size": 32, "min_scale": 0.4, "batch_size": 8, "num_workers": 0}
    return Recipe(dataset="dances", output_dir=Path("run"), **{**usual, **settings})


def _train(images: LabelledImages, **settings: Any) -> PictureBatches:
    batches = make_train_batches(_recipe(**settings), Accelerator(cpu=True), images, CONFIG)
    assert isinstance(batches, PictureBatches)
    return batches


def _valid(images: LabelledImages, **settings: Any) -> PictureBatches:
    return make_valid_batches(_recipe(**settings), Accelerator(cpu=True), images, CONFIG)


def _epoch(batches: PictureBatches, epoch_seed: int, done: int = 0) -> tuple[torch.Tensor, list[int]]:
    batches.start(epoch_seed, done)
    return _all(batches)


def _all(batches: Any) -> tuple[torch.Tensor, list[int]]:
    pictures, labels = zip(*batches, strict=True)
    return torch.cat(pictures), torch.cat(labels).tolist()


def _damage(images: LabelledImages, split: str, index: int) -> LabelledImages:
    rows = images.split(split)
    records = rows.cast_column("image", type(rows.features["image"])(decode=False)).to_list()
    records[index]["image"]["bytes"] = b"no picture"
    damaged = type(rows).from_list(records, features=rows.features, split=rows.split)
    return LabelledImages("dances", "Dances", None, images.label_names, {**images.splits, split: damaged}, False)


class TestTraining:
    def test_a_batch_is_float_normalised_and_in_the_layout_of_the_model(self, images: LabelledImages) -> None:
        for channels_last in (False, True):
            batches = _train(images, channels_last=channels_last)
            batches.start(1, 0)
            pictures, labels = next(iter(batches))
            assert (pictures.shape, pictures.dtype) == ((8, 3, 32, 32), torch.float32)
            assert (labels.shape, labels.dtype) == ((8,), torch.int64)
            assert pictures.is_contiguous(memory_format=torch.channels_last) == channels_last
            # The darkest and the lightest that a picture can be.
            assert float(pictures.min()) >= -0.486 / 0.229
            assert float(pictures.max()) <= (1 - 0.405) / 0.225

    @pytest.mark.parametrize("num_workers", [1, 2])
    def test_workers_change_nothing_and_go_on_from_epoch_to_epoch(
        self, images: LabelledImages, num_workers: int
    ) -> None:
        alone, batches = _train(images), _train(images, num_workers=num_workers)
        processes = set()
        for seed, done in ((5, 0), (6, 2), (5, 0)):
            pictures, labels = _epoch(alone, seed, done)
            # An epoch that is given up leaves nothing behind.
            batches.start(9, 0)
            next(iter(batches))
            torch.rand(3)
            from_workers, same_labels = _epoch(batches, seed, done)
            assert torch.equal(pictures, from_workers)
            assert labels == same_labels
            processes.add(tuple(child.pid for child in multiprocessing.active_children()))
        assert len(processes) == 1

    def test_no_two_epochs_show_a_picture_alike(self, images: LabelledImages) -> None:
        batches = _train(images)
        first, again, other = (_epoch(batches, seed) for seed in (5, 5, 6))
        assert first[1] == again[1]
        assert torch.equal(first[0], again[0])
        assert not torch.equal(first[0], other[0])
        batches.start(5, 0)
        once = batches.images[0][0]
        batches.start(6, 0)
        assert not torch.equal(batches.images[0][0], once)

    def test_reading_a_picture_leaves_the_random_state_alone(self, images: LabelledImages) -> None:
        before = torch.random.get_rng_state()
        _train(images).sample(2)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_pictures_of_another_size_reach_workers_that_run(self, images: LabelledImages) -> None:
        batches = _train(images, num_workers=1, image_sizes=(40, 32))
        assert _epoch(batches, 1)[0].shape[1:] == (3, 32, 32)
        batches.resize(40)
        assert _epoch(batches, 1)[0].shape[1:] == (3, 40, 40)

    def test_a_sample_is_spread_over_the_split(self, images: LabelledImages) -> None:
        batches = _train(images)
        sample = batches.sample(24)
        every_second = [*range(0, 46, 2), 47]
        assert evenly_spaced(48, 24) == pytest.approx(every_second, abs=1)
        assert [label for _, label in sample] == [batches.images.labels[index] for index in evenly_spaced(48, 24)]
        assert (sample[0][0].shape, sample[0][0].dtype) == ((3, 32, 32), torch.float32)
        assert evenly_spaced(5, 24) == [0, 1, 2, 3, 4]


class TestCache:
    @pytest.mark.parametrize("num_workers", [0, 2])
    @pytest.mark.parametrize("make", [_train, _valid])
    def test_what_comes_of_cached_pictures_is_the_same_to_the_bit(
        self, images: LabelledImages, make: Any, num_workers: int
    ) -> None:
        batches = make(images, num_workers=num_workers)
        runs = []
        for _ in range(2):
            if make is _train:
                runs.append([_epoch(batches, 1), _epoch(batches, 2, done=3)])
            else:
                runs.append([_all(batches)])
            batches.cache(StopRequest())
            assert batches.images.cache is not None
        for (pictures, labels), (cached, cached_labels) in zip(*runs, strict=True):
            assert torch.equal(pictures, cached)
            assert labels == cached_labels

    def test_nothing_is_decoded_afterwards(self, images: LabelledImages) -> None:
        for batches in (_train(images), _valid(images)):
            batches.cache(StopRequest())
            batches.images.transform = None
            assert len(_all(batches)[1]) > 0
            batches.cache(StopRequest())

    def test_pictures_keep_their_shapes_in_one_tensor(self) -> None:
        rng = np.random.default_rng(0)
        pictures = [torch.from_numpy(rng.integers(0, 256, (*size, 3), np.uint8)) for size in ((4, 9), (1, 1), (7, 2))]
        cache = PixelCache(list(pictures))
        assert cache.pixels.shape == (3 * (36 + 1 + 14),)
        assert all(torch.equal(cache[index], picture) for index, picture in enumerate(pictures))

    def test_what_takes_too_much_memory_is_not_cached(
        self, images: LabelledImages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batches = _train(images)
        needed = len(batches.images) * np.mean(
            [batches.images.pixels(index).nbytes for index in evenly_spaced(48, 16)]
        )
        for available, processes, fits in (
            (4 * needed - 4, 1, False),
            (8 * needed - 8, 2, False),
            (5 * needed, 1, True),
        ):
            memory = type("Memory", (), {"available": available})
            monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
            monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
            batches.cache(StopRequest())
            assert (batches.images.cache is not None) == fits

    def test_a_signal_ends_it(self, images: LabelledImages) -> None:
        with pytest.raises(Stopped, match="130"):
            _train(images).cache(StopRequest(number=2))

    @pytest.mark.parametrize("index", [0, 5])
    def test_a_picture_that_cannot_be_decoded_is_named(self, images: LabelledImages, index: int) -> None:
        for split, make in (("train", _train), ("validation", _valid)):
            batches = make(_damage(images, split, index), num_workers=2)
            named = rf"row {index} of {split}, sha256 [0-9a-f]{{64}} can't be read"
            with pytest.raises(DatasetError, match=named):
                batches.cache(StopRequest())
            with pytest.raises(DatasetError, match=named):
                _all(make(_damage(images, split, index)))


class TestValidation:
    def test_pictures_are_those_of_timm_to_the_bit(self, images: LabelledImages) -> None:
        rows, transform = images.split("validation"), eval_transform(CONFIG)
        expected = torch.stack([transform(read_image(rows, index)) for index in range(len(rows))])
        for _ in range(2):
            pictures, labels = _all(_valid(images, batch_size=3))
            assert torch.equal(pictures, expected)
            assert labels == list(rows["label"])


class _HeavyModules(Dataset[list[str]]):
    """Which of these a worker process has loaded."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> list[str]:
        return sorted({"gradio", "onnxruntime", "matplotlib", "sklearn", "transformers"} & sys.modules.keys())


class TestSpawnedProcesses:
    def test_training_and_validation(self, images: LabelledImages, spawn: None) -> None:
        alone, batches = _train(images), _train(images, num_workers=1)
        batches.cache(StopRequest())
        for seed in (1, 2):
            assert torch.equal(_epoch(alone, seed)[0], _epoch(batches, seed)[0])
        assert torch.equal(_all(_valid(images))[0], _all(_valid(images, num_workers=1))[0])

    def test_evaluation(self, model_folder: Path, dataset_folder: Path, tmp_path: Path, spawn: None) -> None:
        from train.evaluate import Evaluation, evaluate

        settings = {"dataset": str(dataset_folder), "split": "validation", "output_dir": tmp_path}
        spawned = evaluate(str(model_folder), Evaluation(**settings, num_workers=1))
        assert spawned == evaluate(str(model_folder), Evaluation(**settings, num_workers=0))

    def test_workers_load_nothing_that_they_do_not_need(self, spawn: None) -> None:
        assert list(DataLoader(_HeavyModules(), num_workers=1, collate_fn=list)) == [[[]]]


def test_every_epoch_has_its_own_order() -> None:
    sampler = EpochSampler(50, seed=8)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    assert Counter(orders[0]) == Counter(range(50))


def test_balanced_sampling_shows_every_class_equally_often() -> None:
    labels = [0] * 20 + [1] * 8 + [2] * 2
    sampler = BalancedSampler(labels, seed=8)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    assert Counter(labels[index] for index in orders[0]) == {0: 10, 1: 10, 2: 10}
    # Each picture once before any comes again.
    counts = Counter(orders[0])
    assert {counts[index] for index in range(20)} == {0, 1}
    assert {counts[index] for index in range(20, 28)} == {1, 2}
    assert [counts[28], counts[29]] == [5, 5]


def test_a_shuffled_loader_drops_a_short_last_batch_unless_it_is_the_only_one(images: LabelledImages) -> None:
    rows = images.split("train").select(range(10))
    pictures, sampler = TransformedImages(rows, pixel_transform(CONFIG)), EpochSampler(10, seed=8)
    assert [len(labels) for _, labels in make_loader(pictures, 4, 0, sampler)] == [4, 4]
    assert [len(labels) for _, labels in make_loader(pictures, 4, 0)] == [4, 4, 2]
    assert [len(labels) for _, labels in make_loader(pictures, 16, 0, sampler)] == [10]


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(90, 61), (40, 64), (224, 300)])
def test_a_model_of_pixels_sees_the_same_bits_as_with_the_plain_transform(
    crop_mode: str, size: tuple[int, int]
) -> None:
    data_config = {**CONFIG, "input_size": (3, 64, 64), "crop_pct": 0.9, "crop_mode": crop_mode}
    noise = np.random.default_rng(0).integers(0, 256, (2, size[1], size[0], 3), np.uint8)
    pictures = [Image.fromarray(values) for values in noise]
    pixels = torch.stack([pixel_transform(data_config)(picture) for picture in pictures])
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (2, 64, 64, 3))
    seen = FromPixels(nn.Identity(), data_config)(pixels)
    assert seen.is_contiguous(memory_format=torch.channels_last)
    expected = torch.stack([eval_transform(data_config)(picture) for picture in pictures])
    assert torch.equal(seen, expected)
