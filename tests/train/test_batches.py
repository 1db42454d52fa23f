from collections import Counter
from functools import partial
from pathlib import Path

import datasets
import psutil
import pytest
import torch
from accelerate import Accelerator

from train.augmentation import Augmentation, Augmenter, square_transform
from train.data import DatasetError, load_images, read_image
from train.loaders import (
    BalancedSampler,
    EpochSampler,
    PictureBatches,
    TrainingImages,
    TransformedImages,
    eval_transform,
    make_loader,
    spread,
)
from train.stopping import Stopped, StopRequest

CONFIG = {
    "input_size": (3, 32, 32), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center",
    "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
}  # fmt: skip


def _images(dataset_folder: Path, min_scale: float = 0.4) -> TrainingImages:
    rows = load_images(str(dataset_folder)).split("train")
    draw = partial(Augmentation(min_scale=min_scale).draw, "center")
    return TrainingImages(rows, square_transform(CONFIG, 40), draw, seed=8)


def _batches(images: TrainingImages, num_workers: int = 0) -> PictureBatches:
    loader = make_loader(images, 8, num_workers, EpochSampler(len(images), seed=8))
    return PictureBatches(Accelerator(cpu=True), loader, Augmenter(CONFIG))


def _epoch(of: PictureBatches, epoch_seed: int, done: int = 0) -> tuple[torch.Tensor, list[int]]:
    of.start(epoch_seed, done)
    pictures, labels = zip(*of, strict=True)
    return torch.cat(pictures), torch.cat(labels).tolist()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_chance_depends_on_seed_epoch_and_picture_alone(dataset_folder: Path, num_workers: int) -> None:
    images = _images(dataset_folder)
    loader = make_loader(images, 8, num_workers)
    torch.manual_seed(1)
    first = torch.cat([changes for (_, changes), _ in loader])
    torch.manual_seed(2)
    assert torch.equal(torch.stack([images[i][0][1] for i in range(len(images))]), first)
    images.set_epoch(1)
    assert not torch.equal(images[0][0][1], first[0])


def test_reading_a_picture_leaves_the_random_state_alone(dataset_folder: Path) -> None:
    images = _images(dataset_folder)
    before = torch.random.get_rng_state()
    images[0]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_two_epochs_show_a_picture_alike(dataset_folder: Path) -> None:
    of = _batches(_images(dataset_folder))
    first, again, other = (_epoch(of, seed) for seed in (5, 5, 6))
    assert first[1] == again[1]
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


class TestHolding:
    @pytest.mark.parametrize("num_workers", [0, 2])
    def test_what_is_held_is_the_same_to_the_bit(self, dataset_folder: Path, num_workers: int) -> None:
        of = _batches(_images(dataset_folder), num_workers)
        before = [_epoch(of, 1), _epoch(of, 2, done=3)]
        of.hold(StopRequest())
        assert of.squares is not None
        after = [_epoch(of, 1), _epoch(of, 2, done=3)]
        for (pictures, labels), (held, held_labels) in zip(before, after, strict=True):
            assert torch.equal(pictures, held)
            assert labels == held_labels

    def test_nothing_is_decoded_afterwards(self, dataset_folder: Path) -> None:
        images = _images(dataset_folder)
        of = _batches(images)
        of.hold(StopRequest())
        images.square = None  # type: ignore[assignment]
        assert len(_epoch(of, 1)[1]) == len(of) * 8
        of.hold(StopRequest())

    def test_what_takes_too_much_memory_is_not_held(
        self, dataset_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        of = _batches(_images(dataset_folder))
        needed = len(of.images) * 3 * 40 * 40
        monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 4 * needed - 1}))
        of.hold(StopRequest())
        assert of.squares is None
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
        monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 8 * needed - 1}))
        of.hold(StopRequest())
        assert of.squares is None
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
        of.hold(StopRequest())
        assert of.squares is not None

    def test_a_signal_ends_it(self, dataset_folder: Path) -> None:
        with pytest.raises(Stopped, match="130"):
            _batches(_images(dataset_folder)).hold(StopRequest(number=2))

    def test_a_picture_that_cannot_be_decoded_is_named(self, dataset_folder: Path) -> None:
        images = _images(dataset_folder)
        raw = images.rows.to_list()
        raw[5]["image"]["bytes"] = b"no picture"
        of = _batches(images)
        images.rows = datasets.Dataset.from_list(raw, features=images.rows.features, split=images.rows.split)
        with pytest.raises(DatasetError, match=r"row 5 of train, sha256 [0-9a-f]{64} can't be read"):
            of.hold(StopRequest())


def test_a_sample_is_spread_over_the_split(dataset_folder: Path) -> None:
    batches = _batches(_images(dataset_folder))
    sample = batches.sample(24)
    every_second = [*range(0, 46, 2), 47]
    assert spread(48, 24) == pytest.approx(every_second, abs=1)
    assert [label for _, label in sample] == [batches.images[index][1] for index in spread(48, 24)]
    assert sample[0][0].shape == (3, 32, 32)
    assert spread(5, 24) == [0, 1, 2, 3, 4]


def test_pictures_of_another_size_can_be_made_of_the_same_squares(dataset_folder: Path) -> None:
    of = _batches(_images(dataset_folder))
    of.augmenter.side = 24
    assert _epoch(of, 1)[0].shape[1:] == (3, 24, 24)


def test_every_epoch_has_its_own_order() -> None:
    sampler = EpochSampler(50, seed=8)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    assert Counter(orders[0]) == Counter(range(50))


def test_the_evaluation_transform_is_the_one_of_timm(dataset_folder: Path) -> None:
    image = read_image(load_images(str(dataset_folder)).split("test"), 0)
    tensor = eval_transform(CONFIG)(image)
    assert tensor.shape == (3, 32, 32)
    assert tensor.dtype == torch.float32


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
    seen = Counter(orders[0])
    assert {seen[index] for index in range(20)} == {0, 1}
    assert {seen[index] for index in range(20, 28)} == {1, 2}
    assert [seen[28], seen[29]] == [5, 5]


def test_a_shuffled_loader_drops_a_short_last_batch_unless_it_is_the_only_one(dataset_folder: Path) -> None:
    rows = load_images(str(dataset_folder)).split("train").select(range(10))
    images, sampler = TransformedImages(rows, eval_transform(CONFIG)), EpochSampler(10, seed=8)
    assert [len(labels) for _, labels in make_loader(images, 4, 0, sampler)] == [4, 4]
    assert [len(labels) for _, labels in make_loader(images, 4, 0)] == [4, 4, 2]
    assert [len(labels) for _, labels in make_loader(images, 16, 0, sampler)] == [10]
