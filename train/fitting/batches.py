"""Batches of tensors whose randomness follows from (seed, epoch, picture) alone."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import datasets
import torch
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
            DatasetError: It can't be decoded; names the row.
        """
        try:
            row: dict[str, Any] = self.rows[index]
            if row["image"] is None:
                raise OSError("there is none")
        except (OSError, SyntaxError, ValueError) as error:
            raise DatasetError(
                f"the picture of row {index} can't be read ({first_line(error)}): remove it and build again"
            ) from None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash_seed(self.seed, self.epoch, index))
            return self.transform(row["image"]), row["label"]


class EpochSampler(Sampler[int]):
    """A permutation per epoch that depends on (seed, epoch) alone."""

    def __init__(self, length: int, seed: int) -> None:
        """Samples every index below `length` once per epoch."""
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of indices per epoch."""
        return self.length

    def __iter__(self) -> Iterator[int]:
        """Yields the epoch's permutation."""
        generator = torch.Generator().manual_seed(hash_seed(self.seed, self.epoch))
        yield from torch.randperm(self.length, generator=generator).tolist()


class BalancedSampler(EpochSampler):
    """As many indices per epoch, in which every class comes equally often: rare ones repeat, frequent ones rest."""

    def __init__(self, labels: Sequence[int], seed: int) -> None:
        """Samples indices of `labels`."""
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
        yield from torch.cat(chosen)[order].tolist()


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
    sampler: Sampler[int] | None = None
    if shuffle:
        labels = list(images.rows["label"])
        sampler = BalancedSampler(labels, images.seed) if balanced else EpochSampler(len(labels), images.seed)
    return DataLoader(
        images,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        drop_last=shuffle and len(images) >= batch_size,
    )
