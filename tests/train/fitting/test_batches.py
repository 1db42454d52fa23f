from collections import Counter
from pathlib import Path

import pytest
import torch

from train.fitting.batches import BalancedSampler, EpochSampler, TransformedImages, make_loader
from train.fitting.data import load_images
from train.fitting.transforms import Augmentation, eval_transform, train_transform

CONFIG = {
    "input_size": (3, 32, 32), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center",
    "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("num_workers", [0, 2])
def test_chance_depends_on_seed_epoch_and_picture_alone(dataset_folder: Path, num_workers: int) -> None:
    rows = load_images(str(dataset_folder)).split("train")
    images = TransformedImages(rows, train_transform(CONFIG, Augmentation()), seed=8)
    loader = make_loader(images, 8, num_workers, shuffle=False)
    torch.manual_seed(1)
    first = torch.cat([batch for batch, _ in loader])
    torch.manual_seed(2)
    torch.testing.assert_close(torch.stack([images[i][0] for i in range(len(images))]), first, rtol=0, atol=0)
    images.set_epoch(1)
    assert not torch.equal(images[0][0], first[0])


def test_reading_a_picture_leaves_the_random_state_alone(dataset_folder: Path) -> None:
    images = TransformedImages(
        load_images(str(dataset_folder)).split("train"), train_transform(CONFIG, Augmentation()), seed=8
    )
    before = torch.random.get_rng_state()
    images[0]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_epoch_has_its_own_order() -> None:
    sampler = EpochSampler(50, seed=8)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    assert Counter(orders[0]) == Counter(range(50))


def test_the_evaluation_transform_is_the_one_of_timm(dataset_folder: Path) -> None:
    image = load_images(str(dataset_folder)).split("test")[0]["image"]
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
    images = TransformedImages(rows, eval_transform(CONFIG), seed=8)
    assert [len(labels) for _, labels in make_loader(images, 4, 0, shuffle=True)] == [4, 4]
    assert [len(labels) for _, labels in make_loader(images, 4, 0, shuffle=False)] == [4, 4, 2]
    assert [len(labels) for _, labels in make_loader(images, 16, 0, shuffle=True)] == [10]
