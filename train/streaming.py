"""Training pictures straight from parquet shards: read as they are needed, never stored whole.

For datasets that are larger than the disk. What a stream can't do: go on within an epoch (a run is resumed at the last
whole one), sample by class, cache features or decoded pictures, or give up some pictures as validation: the dataset
needs a validation split of its own. Epochs are shuffled by shard and by a buffer, not from end to end.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import datasets
import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from files.errors import first_line
from hub.errors import CLIENT_ERRORS, redact
from train.augmentation import Shrink, apply_seeded, train_transform
from train.data import DatasetError, LabelledImages, decode_row
from train.loaders import Normalize, hash_seed
from train.recipe import Recipe
from train.stopping import StopRequest

# Pictures that a sample is chosen from.
_SAMPLE_BUFFER = 24


class StreamedImages(IterableDataset[tuple[torch.Tensor, int]]):
    """A stream of augmented pictures without end: shards differ in length, and no process may run dry first.

    What is random follows from (seed, epoch, worker, place in the stream) alone.

    Attributes:
        epoch: Stands for the epoch.
        side: Of the pictures, in pixels.
    """

    def __init__(
        self, stream: datasets.IterableDataset, recipe: Recipe, data_config: dict[str, Any], seed: int
    ) -> None:
        """Wraps a shuffled stream, to be shrunk and augmented as the recipe says."""
        # Decoded here, so that a picture that can't be is named.
        self.stream = stream.cast_column("image", datasets.Image(decode=False))
        self.recipe, self.data_config, self.seed = recipe, data_config, seed
        self.shrink = Shrink(recipe, data_config)
        self.epoch, self.side = 0, recipe.image_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        """Yields pictures, uint8 of shape (side, side, 3), and their labels.

        Raises:
            DatasetError: A picture can't be decoded, or the connection broke.
        """
        self.stream.set_epoch(self.epoch)
        worker = get_worker_info()
        augment = train_transform(self.recipe, self.data_config, self.side)
        place = 0
        while True:
            first = place
            for row in self._rows():
                seed = hash_seed(self.seed, self.epoch, worker.id if worker else 0, place)
                place += 1
                where = "train" if row.get("sha256") else f"train, a row labelled {row['label']}"
                pixels = self.shrink(decode_row(row, where, 2 * self.shrink.side))
                yield apply_seeded(augment, pixels, seed), row["label"]
            if place == first:
                return

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            yield from self.stream
        except CLIENT_ERRORS as error:
            raise DatasetError(
                f"the stream of pictures broke ({redact(first_line(error))}): check the network, then continue with "
                "resume_from_checkpoint=true"
            ) from error


class StreamedBatches:
    """Batches of a stream, as many in every process as the split's length gives; used like `PictureBatches`.

    The order follows from the seed, the epoch, and the number of processes that read. Shards go to processes whole
    where their number allows it; else every process reads all and keeps its share of the rows.
    """

    def __init__(
        self, recipe: Recipe, accelerator: Accelerator, images: LabelledImages, data_config: dict[str, Any]
    ) -> None:
        """Shares batches of `batch_size` pictures, over all processes, out of the stream of training pictures.

        Raises:
            DatasetError: There are fewer pictures than a batch has.
        """
        stream, length = images.stream, len(images.split("train"))
        assert stream is not None, "the dataset is streamed"
        if length < recipe.batch_size:
            raise DatasetError(
                f"{length} pictures to stream are less than a batch (batch_size={recipe.batch_size}): lower it"
            )
        self.steps, self.device = length // recipe.batch_size, accelerator.device
        self.normalize = Normalize(data_config, recipe.channels_last is True).to(self.device)
        processes, process = accelerator.num_processes, accelerator.process_index
        shuffled = stream.shuffle(seed=recipe.seed, buffer_size=recipe.shuffle_buffer)
        share = split_dataset_by_node(shuffled, process, processes)
        self.images = StreamedImages(share, recipe, data_config, hash_seed(recipe.seed, process))
        # Not from the share: its buffer would have to be filled before the first picture comes.
        first = stream.shuffle(seed=recipe.seed, buffer_size=_SAMPLE_BUFFER)
        self.first_images = StreamedImages(first, recipe, data_config, recipe.seed)
        self.loader = DataLoader(
            self.images,
            batch_size=recipe.batch_size // processes,
            num_workers=min(recipe.num_workers, max(1, stream.num_shards // processes)),
            drop_last=True,
            pin_memory=self.device.type == "cuda",
        )

    def start(self, epoch_seed: int, done: int) -> None:
        """Makes the next iteration the epoch of this seed, from its beginning."""
        assert done == 0, "an epoch of a stream is resumed at its beginning"
        self.images.epoch = epoch_seed

    def resize(self, side: int) -> None:
        """Makes squares of this many pixels from the next iteration on."""
        self.images.side = side

    def cache(self, stop: StopRequest) -> None:
        """Does nothing: a stream is not stored."""

    def sample(self, count: int) -> list[tuple[torch.Tensor, int]]:
        """Returns pictures to look at, some of the first ones of the shards.

        Returns:
            Float32 of shape (3, side, side), normalised, in main memory, and the label, of each.
        """
        pictures = islice(self.first_images, count)
        return [(self.normalize(pixels[None].to(self.device))[0].cpu(), label) for pixels, label in pictures]

    def __len__(self) -> int:
        """Returns the number of batches of an epoch."""
        return self.steps

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields images, float32 of shape (batch, 3, side, side), and labels, int64 of shape (batch,).

        They are this process's part of each batch, on its device, normalised.

        Raises:
            DatasetError: A picture can't be decoded, or the connection broke.
        """
        for batch in islice(self.loader, self.steps):
            pixels, labels = send_to_device(batch, self.device)
            yield self.normalize(pixels), labels
