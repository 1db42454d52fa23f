"""Batches of tensors whose randomness follows from (seed, epoch, picture) alone."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import datasets
import torch
from accelerate import Accelerator
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler

from train.errors import first_line
from train.fitting.data import DatasetError


class TransformedImages(Dataset[tuple[torch.Tensor, int]]):
    """A split as tensors; what is random about picture `i` in epoch `e` depends on (seed, e, i) alone.

    So a run is the same to the bit whatever the number of workers or processes, and wherever it is resumed.
    """

    def __init__(self, rows: datasets.Dataset, transform: Callable[[Image.Image], torch.Tensor], seed: int) -> None:
        """Wraps `rows`, whose pictures `transform` turns into float32 tensors of shape (3, height, width)."""
        self.rows, self.transform, self.seed, self.epoch = rows, transform, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Returns a picture as float32 of shape (3, height, width), and its label.

        Raises:
            DatasetError: It can't be decoded; names the split, the row and, where there is one, its sha256.
        """
        try:
            row: dict[str, Any] = self.rows[index]
            if row["image"] is None:
                raise OSError("there is none")
        except (OSError, SyntaxError, ValueError) as error:
            named = f", sha256 {self._sha256(index)}" if "sha256" in self.rows.column_names else ""
            raise unreadable(f"row {index} of {self.rows.split}{named}", error) from None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash_seed(self.seed, self.epoch, index))
            return self.transform(row["image"]), row["label"]

    def _sha256(self, index: int) -> str:
        return self.rows.select_columns(["sha256"])[index]["sha256"]


def unreadable(which: str, error: Exception) -> DatasetError:
    """Returns the error that a picture can't be decoded."""
    return DatasetError(f"the picture of {which} can't be read ({first_line(error)}): remove it and build again")


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
        """Yields the epoch's permutation, from `start` on."""
        generator = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch))
        yield from torch.randperm(self.length, generator=generator)[self.start :].tolist()


class BalancedSampler(EpochSampler):
    """As many indices per epoch, in which every class comes equally often: rare ones repeat, frequent ones rest."""

    def __init__(self, labels: Sequence[int], seed: int) -> None:
        """Samples indices of `labels`, the classes' numbers."""
        super().__init__(len(labels), seed)
        self.labels = torch.tensor(labels)

    def __iter__(self) -> Iterator[int]:
        """Yields the epoch's indices."""
        generator = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch))
        members = [(self.labels == label).nonzero().flatten() for label in self.labels.unique()]
        share = -(-self.length // len(members))
        chosen = [
            # Each picture once before any comes again.
            torch.cat([of[torch.randperm(len(of), generator=generator)] for _ in range(-(-share // len(of)))])[:share]
            for of in members
        ]
        order = torch.randperm(share * len(members), generator=generator)[: self.length]
        yield from torch.cat(chosen)[order][self.start :].tolist()


def make_sampler(labels: Sequence[int], seed: int, balanced: bool) -> EpochSampler:
    """Returns a sampler of indices of `labels`: every one once, or every class equally often."""
    return BalancedSampler(labels, seed) if balanced else EpochSampler(len(labels), seed)


def hash_seed(*numbers: int) -> int:
    """Mixes numbers into one 63-bit seed, so that neighbours share nothing."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()) >> 1


def make_loader(
    images: TransformedImages, batch_size: int, num_workers: int, shuffle: bool, balanced: bool = False
) -> DataLoader[Any]:
    """Returns batches of (images, labels): float32 (batch, 3, height, width) and int64 (batch,).

    A shuffled loader drops the last, short batch, unless it is the only one: BatchNorm can't learn from a
    batch of one. `balanced` shows every class equally often.
    """
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=make_sampler(list(images.rows["label"]), images.seed, balanced) if shuffle else None,
        num_workers=num_workers,
        drop_last=shuffle and len(images) >= batch_size,
    )


class EpochBatches:
    """A split's batches in a new order every epoch, from any batch on; what is done is not even decoded."""

    def __init__(self, accelerator: Accelerator, loader: DataLoader[Any]) -> None:
        """Shares a shuffled loader's batches out among the accelerator's processes."""
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

    def sample(self) -> Any:
        """Returns pictures to look at: all of them, by index."""
        return self.images

    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yields (images or their features, labels), this process's part of each batch, on its device."""
        return iter(self.loader)
