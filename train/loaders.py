"""Batches of pictures: decoded in worker processes as uint8, normalised on the device that trains.

`make_train_batches` and `make_valid_batches` are what training needs. Everything a worker process gets can be
pickled, so that it may be forked or spawned.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import psutil
import torch
from accelerate import Accelerator
from timm.data import create_transform
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2
from tqdm import tqdm

from train.augmentation import Shrink, Transform, apply_seeded, train_transform
from train.data import LabelledImages, read_image
from train.processes import agree, stoppable
from train.recipe import Recipe
from train.stopping import StopRequest

if TYPE_CHECKING:
    from train.streaming import StreamedBatches


def make_train_batches(
    recipe: Recipe, accelerator: Accelerator, images: LabelledImages, data_config: dict[str, Any]
) -> "PictureBatches | StreamedBatches":
    """Returns the training pictures in batches, in a new order every epoch, augmented as the recipe says.

    Args:
        recipe: Gives batch size, workers, augmentation and seed.
        accelerator: Its processes share the batches; each gets its part on its device.
        images: The training split, or a stream of it.
        data_config: How pictures are prepared for the model, as timm has it.

    Raises:
        DatasetError: A stream has fewer pictures than a batch.
    """
    if images.stream is not None:
        from train.streaming import StreamedBatches

        return StreamedBatches(recipe, accelerator, images, data_config)
    pictures = TrainImages(images.split("train"), recipe, data_config)
    sampler = make_sampler(pictures.labels, recipe.seed, recipe.class_balance == "sampling")
    return PictureBatches(recipe, accelerator, pictures, data_config, sampler)


def make_valid_batches(
    recipe: Recipe, accelerator: Accelerator, images: LabelledImages, data_config: dict[str, Any]
) -> "PictureBatches":
    """Returns the validation pictures in batches, in order, as every loader of the model folder prepares them.

    Args:
        recipe: Gives batch size and workers.
        accelerator: Its processes share the batches; each gets its part on its device.
        images: The validation split.
        data_config: How pictures are prepared for the model, as timm has it.
    """
    pictures = TransformedImages(images.split("validation"), pixel_transform(data_config))
    return PictureBatches(recipe, accelerator, pictures, data_config)


def hash_seed(*numbers: int) -> int:
    """Mixes numbers into one 63-bit seed, so that neighbours share nothing."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()) >> 1


class EpochSampler(Sampler[int]):
    """A permutation per epoch that depends on (seed, epoch) alone.

    Attributes:
        start: How many of its indices are left out, because they are done.
    """

    def __init__(self, length: int, seed: int) -> None:
        """Samples every index below `length` once per epoch."""
        self.length, self.seed, self.epoch, self.start = length, seed, 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of indices of a whole epoch."""
        return self.length

    def __iter__(self) -> Iterator[int]:
        """Yields the epoch's indices, from `start` on."""
        rng = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch))
        yield from self.order(rng)[self.start :].tolist()

    def order(self, rng: torch.Generator) -> torch.Tensor:
        """Samples the indices of a whole epoch, int64 of shape (length,)."""
        return torch.randperm(self.length, generator=rng)


class BalancedSampler(EpochSampler):
    """As many indices per epoch, in which every class comes equally often: rare ones repeat, frequent ones rest."""

    def __init__(self, labels: Sequence[int], seed: int) -> None:
        """Samples indices of `labels`, the classes' numbers."""
        super().__init__(len(labels), seed)
        self.labels = torch.tensor(labels)

    def order(self, rng: torch.Generator) -> torch.Tensor:
        """Samples the indices of a whole epoch, each picture of a class once before any comes again."""
        classes = [(self.labels == label).nonzero().flatten() for label in self.labels.unique()]
        share = -(-self.length // len(classes))
        chosen = []
        for members in classes:
            rounds = [members[torch.randperm(len(members), generator=rng)] for _ in range(-(-share // len(members)))]
            chosen.append(torch.cat(rounds)[:share])
        return torch.cat(chosen)[torch.randperm(share * len(classes), generator=rng)[: self.length]]


def make_sampler(labels: Sequence[int], seed: int, balanced: bool) -> EpochSampler:
    """Returns a sampler of indices of `labels`: every one once, or every class equally often."""
    return BalancedSampler(labels, seed) if balanced else EpochSampler(len(labels), seed)


def evenly_spaced(length: int, count: int) -> list[int]:
    """Returns at most `count` indices below `length`, evenly far from each other."""
    return np.unique(np.linspace(0, length - 1, count).astype(int)).tolist()


def eval_transform(data_config: dict[str, Any]) -> Transform:
    """Returns timm's evaluation transform: what every loader of the model folder applies, too.

    Args:
        data_config: `input_size`, `interpolation`, `crop_pct`, `crop_mode`, `mean`, `std`, as timm has them.

    Returns:
        RGB picture -> float32 of shape `input_size`, normalised.
    """
    return create_transform(**data_config, is_training=False)


def pixel_transform(data_config: dict[str, Any]) -> Transform:
    """Returns what `eval_transform` does to a picture before it makes floats of it and normalises them.

    Args:
        data_config: As for `eval_transform`.

    Returns:
        RGB picture -> uint8 of shape (height, width, 3).
    """
    # timm's own loader leaves normalising to the batch, too.
    return v2.Compose([create_transform(**data_config, is_training=False, use_prefetcher=True), _channels_last])


def _channels_last(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(1, 2, 0)


class PixelCache:
    """Decoded pictures of different shapes in one flat tensor.

    Forked processes read the one that is here; for spawned ones torch moves it to shared memory, where all read it.
    """

    def __init__(self, pictures: list[torch.Tensor]) -> None:
        """Takes uint8 tensors of shape (height, width, 3) out of a list, which is left empty."""
        self.shapes = torch.tensor([picture.shape for picture in pictures])
        self.ends = self.shapes.prod(1).cumsum(0)
        self.pixels = torch.empty(int(self.ends[-1]), dtype=torch.uint8)
        # From the last to the first: each is freed as it is copied, and memory holds them once.
        for end in self.ends.flip(0).tolist():
            picture = pictures.pop().flatten()
            self.pixels[end - len(picture) : end] = picture

    def __getitem__(self, index: int) -> torch.Tensor:
        """Returns a picture, uint8 of shape (height, width, 3), not copied."""
        shape, end = self.shapes[index].tolist(), int(self.ends[index])
        return self.pixels[end - math.prod(shape) : end].view(shape)


class TransformedImages(Dataset[tuple[torch.Tensor, int]]):
    """A split as uint8 pixels, for evaluation.

    Attributes:
        rows: The split.
        labels: One per picture.
        cache: The pictures, as `transform` gives them, where they have been decoded once and for all.
    """

    def __init__(self, rows: datasets.Dataset, transform: Transform, enough: int | None = None) -> None:
        """Wraps a split.

        Args:
            rows: Has `image` and `label`.
            transform: Can be pickled; RGB picture -> uint8 of shape (height, width, 3).
            enough: Pixels of a picture's shorter side that will do for it: larger ones are decoded smaller, by a
                whole factor. None decodes them at their size.
        """
        self.rows, self.transform, self.enough = rows, transform, enough
        self.labels: list[int] = list(rows["label"])
        self.cache: PixelCache | None = None

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.labels)

    def pixels(self, index: int) -> torch.Tensor:
        """Returns a picture as `transform` gives it, from the cache if it is there.

        Raises:
            DatasetError: It can't be decoded.
        """
        if self.cache is not None:
            return self.cache[index]
        return self.transform(read_image(self.rows, index, self.enough))

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Returns a picture, uint8 of shape (height, width, 3), and its label.

        Raises:
            DatasetError: It can't be decoded.
        """
        return self.pixels(index), self.labels[index]


class TrainImages(TransformedImages):
    """A split for training: what is random about a picture follows from (seed, epoch, index, view) alone.

    Attributes:
        epoch: The number that stands for the epoch, and the side of the pictures; int64 of shape (2,) in shared
            memory, where worker processes that go on from epoch to epoch see them change.
    """

    def __init__(self, rows: datasets.Dataset, recipe: Recipe, data_config: dict[str, Any]) -> None:
        """Wraps a split, to be shrunk and augmented as the recipe says."""
        shrink = Shrink(recipe, data_config)
        # Twice what is needed: a smaller decoding leaves its traces in what is shrunk further.
        super().__init__(rows, shrink, 2 * shrink.side)
        self.recipe, self.data_config = recipe, data_config
        self.epoch = torch.tensor([0, recipe.image_size]).share_memory_()
        self.augment = {
            side: train_transform(recipe, data_config, side) for side in {recipe.image_size, *recipe.image_sizes}
        }

    def augmented(self, pixels: torch.Tensor, index: int, view: int = 0) -> torch.Tensor:
        """Returns one of a picture's views in this epoch, uint8 of shape (side, side, 3).

        Args:
            pixels: The picture, from `pixels` or `transform`.
            index: Its row.
            view: Which view.
        """
        epoch, side = self.epoch.tolist()
        seed = hash_seed(self.recipe.seed, epoch, index, view)
        return apply_seeded(self.augment[side], pixels, seed)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Returns a picture, augmented, uint8 of shape (side, side, 3), and its label.

        Raises:
            DatasetError: It can't be decoded.
        """
        return self.augmented(self.pixels(index), index), self.labels[index]


def make_loader(
    images: Any,
    batch_size: int,
    num_workers: int,
    sampler: EpochSampler | None = None,
    pin_memory: bool = False,
    persistent_workers: bool = False,
) -> DataLoader[Any]:
    """Returns batches of what a dataset gives; in order, or as a sampler says.

    A sampled loader drops the last, short batch, unless it is the only one: BatchNorm can't learn from a batch of one.

    Args:
        images: The dataset.
        batch_size: Over all processes.
        num_workers: Processes that decode pictures; 0 decodes in this one.
        sampler: Says which pictures come, and in which order.
        pin_memory: Copy batches to page-locked memory, from where a GPU fetches them by itself.
        persistent_workers: Worker processes go on from epoch to epoch.
    """
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        drop_last=sampler is not None and len(images) >= batch_size,
        pin_memory=pin_memory,
        persistent_workers=persistent_workers and num_workers > 0,
    )


class EpochBatches:
    """A split's batches, in a new order every epoch, from any batch on; what is done is not even decoded."""

    def __init__(self, accelerator: Accelerator, loader: DataLoader[Any]) -> None:
        """Shares the batches of a loader out among the accelerator's processes."""
        self.accelerator = accelerator
        self.sampler: Any = loader.sampler
        self.batch_size: Any = loader.batch_size
        self.loader = accelerator.prepare(loader)

    def start(self, epoch_seed: int, done: int) -> None:
        """Makes the next iteration the epoch of this seed, without its first `done` batches."""
        self.loader.set_epoch(epoch_seed)
        self.sampler.start = done * self.batch_size

    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yields (images or their features, labels), this process's part of each batch, on its device."""
        return iter(self.loader)


# Of the free memory: the rest is for the model, and for what else runs on the machine.
_LARGEST_CACHE = 0.25
# Whose mean size is taken for that of all pictures.
_MEASURED = 16


class PictureBatches(EpochBatches):
    """Batches of pictures, for training or evaluation; they travel as uint8 and are normalised on the device."""

    def __init__(
        self,
        recipe: Recipe,
        accelerator: Accelerator,
        images: Any,
        data_config: dict[str, Any],
        sampler: EpochSampler | None = None,
    ) -> None:
        """Shares the batches of a split out among the accelerator's processes.

        Args:
            recipe: Gives batch size, workers, and the layout of images in memory.
            accelerator: Knows devices and processes.
            images: `TrainImages` with a sampler, or `TransformedImages` in order.
            data_config: `mean` and `std`, as timm has them.
            sampler: Says which pictures come in an epoch.
        """
        pin_memory = accelerator.device.type == "cuda"
        loader = make_loader(images, recipe.batch_size, recipe.num_workers, sampler, pin_memory, True)
        super().__init__(accelerator, loader)
        self.images, self.num_workers = images, recipe.num_workers
        self.normalize = Normalize(data_config, recipe.channels_last is True).to(accelerator.device)

    def start(self, epoch_seed: int, done: int) -> None:
        """Makes the next iteration the epoch of this seed, without its first `done` batches."""
        super().start(epoch_seed, done)
        self.images.epoch[0] = epoch_seed

    def resize(self, side: int) -> None:
        """Makes squares of this many pixels from the next iteration on, one of the recipe's sizes."""
        self.images.epoch[1] = side

    def sample(self, count: int) -> list[tuple[torch.Tensor, int]]:
        """Returns pictures to look at, spread over the split whatever its order.

        Returns:
            Float32 of shape (3, height, width), normalised, in main memory, and the label, of each.
        """
        pictures = (self.images[index] for index in evenly_spaced(len(self.images), count))
        device = self.accelerator.device
        return [(self.normalize(pixels[None].to(device))[0].cpu(), label) for pixels, label in pictures]

    def cache(self, stop: StopRequest) -> None:
        """Decodes all pictures once, in every process, where they fit into a quarter of its free memory.

        What comes of them afterwards is the same to the bit.

        Raises:
            DatasetError: One can't be decoded.
            Stopped: A signal has asked for it.
        """
        if self.images.cache is not None:
            return
        some = stoppable(map(self.images.pixels, evenly_spaced(len(self.images), _MEASURED)), stop)
        size = len(self.images) * np.mean([pixels.nbytes for pixels in some])
        if agree(int(size > _LARGEST_CACHE * _free_memory())):
            return
        # Pillow decodes and scales without Python's lock. Worker processes would have to send everything here.
        pool = ThreadPoolExecutor(max(1, self.num_workers))
        hidden = None if self.accelerator.is_main_process else True
        try:
            decoded = stoppable(pool.map(self.images.pixels, range(len(self.images))), stop)
            bar = tqdm(decoded, "decoding", len(self.images), False, unit="picture", disable=hidden, delay=1)
            self.images.cache = PixelCache(list(bar))
        finally:
            pool.shutdown(cancel_futures=True)
        if not isinstance(self.images, TrainImages) or self.accelerator.device.type == "cpu":
            # There is nothing left to do for worker processes, or so little that it is done sooner here: they would
            # take the model's cores, and as much memory again as it changes after they were forked.
            sampler = self.sampler if isinstance(self.images, TrainImages) else None
            self.loader = self.accelerator.prepare(make_loader(self.images, self.batch_size, 0, sampler))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields images, float32 of shape (batch, 3, height, width), and labels, int64 of shape (batch,).

        They are this process's part of each batch, on its device, normalised.

        Raises:
            DatasetError: A picture can't be decoded.
        """
        for pixels, labels in self.loader:
            yield self.normalize(pixels), labels


def _free_memory() -> float:
    """Returns the bytes of main memory that are free for this process."""
    return psutil.virtual_memory().available / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


class Normalize(nn.Module):
    """Normalises pixels to the same bits as `eval_transform`."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, data_config: dict[str, Any], channels_last: bool = True) -> None:
        """Takes `mean` and `std`, of pixels from 0 to 1, and whether colours stay innermost in memory."""
        super().__init__()
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(data_config[name]).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Turns uint8 of shape (batch, height, width, 3) into float32 of shape (batch, 3, height, width)."""
        images = pixels.permute(0, 3, 1, 2).float().div_(255).sub_(self.mean).div_(self.std)
        return images.contiguous(memory_format=self.layout)
