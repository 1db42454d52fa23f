"""In which order pictures come; all randomness follows from seeds that are mixed here."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler


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


def spread(length: int, count: int) -> list[int]:
    """Returns at most `count` indices below `length`, evenly far from each other."""
    return np.unique(np.linspace(0, length - 1, count).astype(int)).tolist()
