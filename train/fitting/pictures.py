"""Pictures of a split, one by one: as they are judged, and as they are before they are changed for training."""

from collections.abc import Callable
from typing import Any

import datasets
import torch
from PIL import Image
from torch.utils.data import Dataset

from files.errors import first_line
from train.fitting.data import DatasetError
from train.fitting.sampling import hash_seed

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
