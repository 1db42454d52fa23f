"""Training pictures straight from parquet shards: read as they are needed, never stored whole."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import datasets
import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from datasets.distributed import split_dataset_by_node
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from files.errors import first_line
from hub.errors import CLIENT_ERRORS, redact
from train.augmentation import Augmenter
from train.data import DatasetError, decode_row
from train.loaders import Draw, augmented, hash_seed

_GLIMPSE = 24


class StreamedImages(IterableDataset[tuple[tuple[torch.Tensor, torch.Tensor], int]]):
    """A stream for an `Augmenter`, without end; its chance depends on (seed, epoch, reader, place) alone."""

    def __init__(
        self,
        stream: datasets.IterableDataset,
        square: Callable[[Image.Image], torch.Tensor],
        draw: Draw,
        seed: int,
    ) -> None:
        """Wraps a shuffled stream whose pictures `square` turns into uint8 of shape (3, side, side)."""
        self.stream, self.square, self.draw, self.seed, self.epoch = stream, square, draw, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Makes the next iteration that of another epoch."""
        self.epoch = epoch
        self.stream.set_epoch(epoch)

    def __iter__(self) -> Iterator[tuple[tuple[torch.Tensor, torch.Tensor], int]]:
        """Yields ((square, changes), label) without end: shards differ in length, and no process may run dry first.

        Raises:
            DatasetError: A picture can't be decoded, or the connection broke.
        """
        worker = get_worker_info()
        place = 0
        while True:
            began = place
            for row in self._rows():
                seed = hash_seed(self.seed, self.epoch, worker.id if worker else 0, place)
                place += 1
                image = decode_row(row, f"a row of train labelled {row['label']}")
                yield (self.square(image), self.draw(image.width / image.height, seed)), row["label"]
            if place == began:
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
    """Batches of a stream, as many in every process as the split's length gives, in an order for every epoch.

    The order follows from the seed, the epoch, and the number of processes that read. Shards go to processes whole
    where their number allows it; else every process reads all and keeps its share of the rows.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        stream: datasets.IterableDataset,
        rows: int,
        square: Callable[[Image.Image], torch.Tensor],
        draw: Draw,
        augmenter: Augmenter,
        seed: int,
        batch_size: int,
        num_workers: int,
        shuffle_buffer: int,
    ) -> None:
        """Shares batches of `batch_size` pictures, over all processes, out of a stream of `rows` rows.

        Raises:
            DatasetError: There are fewer rows than a batch has.
        """
        if rows < batch_size:
            raise DatasetError(f"{rows} pictures to stream are less than a batch (batch_size={batch_size}): lower it")
        self.steps, self.device, self.augmenter = rows // batch_size, accelerator.device, augmenter
        shuffled = stream.shuffle(seed=seed, buffer_size=shuffle_buffer)
        share = split_dataset_by_node(shuffled, accelerator.process_index, accelerator.num_processes)
        self.images = StreamedImages(share, square, draw, hash_seed(seed, accelerator.process_index))
        # Not from the share: its buffer would have to be filled before the first picture comes.
        self.glimpse = StreamedImages(stream.shuffle(seed=seed, buffer_size=_GLIMPSE), square, draw, seed)
        readers = min(num_workers, max(1, stream.num_shards // accelerator.num_processes))
        self.loader = DataLoader(
            self.images, batch_size=batch_size // accelerator.num_processes, num_workers=readers, drop_last=True
        )

    def start(self, epoch_seed: int, done: int) -> None:
        """Makes the next iteration the epoch of this seed, from its beginning."""
        assert done == 0, "an epoch of a stream is resumed at its beginning"
        self.images.set_epoch(epoch_seed)

    def resize(self, side: int) -> None:
        self.augmenter.side = side

    def cache(self, stop: Any) -> None:
        pass

    def sample(self, count: int) -> list[tuple[torch.Tensor, int]]:
        """Returns changed pictures to look at, some of the first ones of the shards: (picture, label)."""
        chosen = list(islice(self.glimpse, count))
        return augmented(self.augmenter, chosen, self.device)

    def __len__(self) -> int:
        """Returns the number of batches of an epoch."""
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        """Yields (images, labels), this process's part of each batch, on its device."""
        for batch in islice(self.loader, self.steps):
            (squares, changes), labels = send_to_device(batch, self.device)
            yield self.augmenter(squares, changes), labels
