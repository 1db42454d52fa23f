"""Batches of pictures, and where they fit, pictures that are decoded once and held on the device."""

import os
from collections.abc import Iterator
from typing import Any

import psutil
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from train.fitting.augment import Augmenter
from train.fitting.pictures import TrainingImages
from train.fitting.sampling import EpochSampler, spread
from train.running.processes import agree
from train.running.stopping import StopRequest
from train.running.watching import stoppable

# Of the device's free memory: the rest is for the model's activations.
_MOST = 0.25


def make_loader(
    images: Any, batch_size: int, num_workers: int, sampler: EpochSampler | None = None
) -> DataLoader[Any]:
    """Returns batches of what `images` gives; in order, or as a sampler says.

    A sampled loader drops the last, short batch, unless it is the only one: BatchNorm can't learn from a batch of one.
    """
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        drop_last=sampler is not None and len(images) >= batch_size,
    )


class EpochBatches:
    """A split's batches in a new order every epoch, from any batch on; what is done is not even decoded."""

    def __init__(self, accelerator: Accelerator, loader: DataLoader[Any]) -> None:
        """Shares the batches of a loader with an `EpochSampler` out among the accelerator's processes."""
        self.images: Any = loader.dataset
        self.sampler: Any = loader.sampler
        self.batch_size: Any = loader.batch_size
        self.loader = accelerator.prepare(loader)

    def start(self, epoch_seed: int, done: int) -> None:
        """Makes the next iteration the epoch of this seed, without its first `done` batches."""
        # accelerate tells the sampler or the dataset, not both.
        self.loader.set_epoch(epoch_seed)
        self.images.set_epoch(epoch_seed)
        self.sampler.start = done * self.batch_size

    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yields (images or their features, labels), this process's part of each batch, on its device."""
        return iter(self.loader)


class PictureBatches(EpochBatches):
    """Training pictures, changed in batches on the device.

    Attributes:
        augmenter: Its `side` may be changed between epochs.
    """

    def __init__(self, accelerator: Accelerator, loader: DataLoader[Any], augmenter: Augmenter) -> None:
        """Takes a loader of `TrainingImages`."""
        super().__init__(accelerator, loader)
        self.accelerator, self.augmenter, self.num_workers = accelerator, augmenter, loader.num_workers
        self.squares: torch.Tensor | None = None

    def hold(self, stop: StopRequest) -> None:
        """Decodes all pictures once and keeps them on the device, in every process, where they fit; else does nothing.

        Raises:
            DatasetError: One can't be decoded.
            Stopped: A signal has asked for it.
        """
        if self.squares is not None:
            return
        device = self.accelerator.device
        (first, _), _ = self.images[0]
        if agree(int(len(self.images) * first.nbytes > _MOST * _free_memory(self.accelerator))):
            return
        squares = torch.empty((len(self.images), *first.shape), dtype=first.dtype, device=device)
        aspects: list[float] = []
        loader = stoppable(make_loader(_Undrawn(self.images), self.batch_size, self.num_workers), stop)
        with tqdm(total=len(squares), desc="decoding", unit="picture", disable=not self.accelerator.is_main_process,
                  leave=False, delay=1) as bar:  # fmt: skip
            for some, shapes in loader:
                squares[len(aspects) : len(aspects) + len(some)] = some.to(device)
                aspects += shapes.tolist()
                bar.update(len(some))
        self.squares = squares
        held = _Held(self.images, aspects)
        self.loader = self.accelerator.prepare(make_loader(held, self.batch_size, 0, self.sampler))

    def sample(self, count: int) -> list[tuple[torch.Tensor, int]]:
        """Returns changed pictures to look at, spread over the split whatever its order: (picture, label)."""
        chosen = [self.images[index] for index in spread(len(self.images), count)]
        return augmented(self.augmenter, chosen, self.accelerator.device)

    def __iter__(self) -> Iterator[Any]:
        """Yields (images, labels), this process's part of each batch, on its device."""
        for (pictures, changes), labels in self.loader:
            squares = pictures if self.squares is None else self.squares[pictures]
            yield self.augmenter(squares, changes), labels


def augmented(
    augmenter: Augmenter, items: list[tuple[tuple[torch.Tensor, torch.Tensor], int]], device: torch.device
) -> list[tuple[torch.Tensor, int]]:
    """Returns what a model would see of some training pictures, in main memory, each with its label."""
    squares, changes = (torch.stack([item[0][part] for item in items]).to(device) for part in (0, 1))
    return list(zip(augmenter(squares, changes).cpu(), [label for _, label in items], strict=True))


class _Undrawn(Dataset[tuple[torch.Tensor, float]]):
    """The squares of training pictures and their aspects, without anything random."""

    def __init__(self, images: TrainingImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        square, shape, _ = self.images.read(index)
        return square, shape


class _Held(Dataset[tuple[tuple[int, torch.Tensor], int]]):
    """Training pictures that lie decoded elsewhere: the place of each there, what happens to it, and its label."""

    def __init__(self, images: TrainingImages, aspects: list[float]) -> None:
        self.images, self.aspects, self.labels = images, aspects, list(images.rows["label"])

    def set_epoch(self, epoch: int) -> None:
        self.images.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[tuple[int, torch.Tensor], int]:
        return (index, self.images.changes(self.aspects[index], index)), self.labels[index]


def _free_memory(accelerator: Accelerator) -> float:
    """Returns the bytes that are free for this process, on its device."""
    if accelerator.device.type == "cuda":
        return torch.cuda.mem_get_info(accelerator.device)[0]
    return psutil.virtual_memory().available / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
