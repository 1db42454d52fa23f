"""Batches of pictures, and where they fit, pictures that are decoded once and held on the device."""

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import datasets
import numpy as np
import psutil
import torch
from accelerate import Accelerator
from PIL import Image
from timm.data import create_transform
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from files.errors import first_line
from train.augmentation import Augmenter
from train.data import DatasetError
from train.model import final_linears
from train.processes import agree, stoppable
from train.stopping import StopRequest


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


Transform = Callable[[Image.Image], torch.Tensor]


def eval_transform(data_config: dict[str, Any]) -> Transform:
    """Returns timm's evaluation transform: what every loader of the model folder applies, too.

    Args:
        data_config: `input_size`, `interpolation`, `crop_pct`, `crop_mode`, `mean`, `std`, as timm has them.

    Returns:
        RGB picture -> float32 of shape `input_size`, normalised.
    """
    return create_transform(**data_config, is_training=False)


def pixel_transform(data_config: dict[str, Any]) -> Callable[[Image.Image], torch.Tensor]:
    """Returns what `eval_transform` does to a picture before it makes floats of it and normalises them.

    Args:
        data_config: As for `eval_transform`.

    Returns:
        RGB picture -> uint8 of shape (height, width, 3).
    """
    # timm's own loader leaves normalising to the batch, too.
    to_square = create_transform(**data_config, is_training=False, use_prefetcher=True)

    def transform(image: Image.Image) -> torch.Tensor:
        return to_square(image).permute(1, 2, 0)

    return transform


class FromPixels(nn.Module):
    """A model that takes pixels, and does with them, to the bit, what `eval_transform` does at its end."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: nn.Module, data_config: dict[str, Any]) -> None:
        """Wraps a model, whose weights are put into the layout of what comes: colours innermost.

        Args:
            model: Takes float32 of shape (batch, 3, height, width).
            data_config: `mean` and `std` are those of pixels from 0 to 1.
        """
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(data_config[name]).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns the model's answer to uint8 pixels of shape (batch, height, width, 3)."""
        images = pixels.permute(0, 3, 1, 2).float()
        return self.model(images.div_(255).sub_(self.mean).div_(self.std))


class WithFeatures(nn.Module):
    """A model that gives its logits and, behind them, what its classifier sees of a picture."""

    def __init__(self, model: Any) -> None:
        """Wraps a timm model for which `gives_features` holds."""
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns logits and features, of shape (batch, classes + features)."""
        maps = self.model.forward_features(images)
        return torch.cat([self.model.forward_head(maps), self.model.forward_head(maps, pre_logits=True)], 1)


@torch.inference_mode()
def gives_features(model: Any, input_size: Sequence[int]) -> bool:
    """Tells whether a timm model's answer is what its head makes of one vector of features, by trying on noise.

    Args:
        model: In evaluation mode.
        input_size: Channels, height and width of a picture.
    """
    noise = torch.rand(1, *input_size, generator=torch.Generator().manual_seed(0))
    noise = noise.to(next(model.parameters()).device)
    try:
        both, logits = WithFeatures(model)(noise), model(noise)
    # Whatever a module says of an input that is not made for it.
    except (RuntimeError, IndexError, TypeError, AttributeError, NotImplementedError):
        return False
    width = logits.shape[1]
    return (
        both.ndim == 2
        and any(linear.weight.shape[1] == both.shape[1] - width for linear in final_linears(model))
        and torch.allclose(both[:, :width], logits, 1e-3, 1e-4)
    )


class WithMirrorImage(nn.Module):
    """A model that looks at a picture and at its mirror image."""

    def __init__(self, model: nn.Module, num_classes: int) -> None:
        """Wraps a model that gives logits of shape (batch, classes), and maybe features behind them."""
        super().__init__()
        self.model, self.num_classes = model, num_classes

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns logits of shape (batch, classes): their softmax is the mean of both views' probabilities.

        The logarithm of the sum of their exponentials, which softmax does not see, is the mean of both, too. Features
        behind them are those of the picture itself.
        """
        both = torch.stack([self.model(view).float() for view in (images, images.flip(-1))])
        logits, features = both[..., : self.num_classes], both[0, :, self.num_classes :]
        mean = logits.log_softmax(-1).logsumexp(0) - math.log(2)
        return torch.cat([mean + logits.logsumexp(-1, keepdim=True).mean(0), features], 1)


# From a picture's aspect and a seed to what happens to it, float32 of shape (15,).
Draw = Callable[[float, int], torch.Tensor]


class TransformedImages(Dataset[tuple[torch.Tensor, int]]):
    """A split as tensors, for judging."""

    def __init__(self, rows: datasets.Dataset, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        """Wraps `rows`, whose pictures `transform` turns into tensors."""
        self.rows, self.transform = rows, transform

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Returns a picture as `transform` gives it, and its label.

        Raises:
            DatasetError: It can't be decoded.
        """
        row = read_row(self.rows, index)
        return self.transform(row["image"]), row["label"]


class TrainingImages(Dataset[tuple[tuple[torch.Tensor, torch.Tensor], int]]):
    """A split for an `Augmenter`; what is random about picture `i` in epoch `e` depends on (seed, e, i) alone.

    So a run is the same to the bit whatever the number of workers or processes, and wherever it is resumed.
    """

    def __init__(
        self, rows: datasets.Dataset, square: Callable[[Image.Image], torch.Tensor], draw: Draw, seed: int
    ) -> None:
        """Wraps `rows`, whose pictures `square` turns into uint8 of shape (3, side, side)."""
        self.rows, self.square, self.draw, self.seed, self.epoch = rows, square, draw, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's loader at the start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[tuple[torch.Tensor, torch.Tensor], int]:
        """Returns a picture's square with what happens to it, and its label.

        Raises:
            DatasetError: It can't be decoded.
        """
        square, aspect, label = self.read(index)
        return (square, self.changes(aspect, index)), label

    def read(self, index: int) -> tuple[torch.Tensor, float, int]:
        """Returns a picture's square, its width over its height as it was, and its label.

        Raises:
            DatasetError: It can't be decoded.
        """
        image, label = self.image(index)
        return self.square(image), image.width / image.height, label

    def image(self, index: int) -> tuple[Image.Image, int]:
        """Returns a picture, decoded, and its label.

        Raises:
            DatasetError: It can't be decoded.
        """
        row = read_row(self.rows, index)
        return row["image"], row["label"]

    def changes(self, aspect: float, index: int, view: int = 0) -> torch.Tensor:
        """Draws what happens to a picture in this epoch, in one of several views."""
        return self.draw(aspect, hash_seed(self.seed, self.epoch, index, view))


def read_row(rows: datasets.Dataset, index: int) -> dict[str, Any]:
    """Returns a row, its picture decoded.

    Raises:
        DatasetError: It can't be; names the split, the row and, where there is one, its sha256.
    """
    try:
        row: dict[str, Any] = rows[index]
        if row["image"] is None:
            raise OSError("there is none")
    except (OSError, SyntaxError, ValueError) as error:
        sha256 = rows.select_columns(["sha256"])[index]["sha256"] if "sha256" in rows.column_names else ""
        raise unreadable(f"row {index} of {rows.split}{sha256 and f', sha256 {sha256}'}", error) from None
    return row


def unreadable(which: str, error: Exception) -> DatasetError:
    """Returns the error that a picture can't be decoded."""
    return DatasetError(f"the picture of {which} can't be read ({first_line(error)}): remove it and build again")


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
