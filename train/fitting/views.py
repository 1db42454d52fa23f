"""Views of a training picture: plain, mirrored, and changed as in training."""

import torch
from torch.utils.data import Dataset

from train.fitting.augment import Augmenter
from train.fitting.pictures import TrainingImages
from train.fitting.transforms import Transform


class ViewedImages(Dataset[tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], int]]):
    """Pictures as they are judged, and as they are before they are changed, each with what happens to it how often."""

    def __init__(self, plain: Transform, images: TrainingImages, count: int) -> None:
        """Takes the evaluation transform, the pictures, and how many changed views of each are wanted."""
        self.plain, self.images, self.count = plain, images, count

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], int]:
        """Returns float32 (3, height, width), uint8 (3, side, side) and float32 (count, 15), and the label.

        Raises:
            DatasetError: The picture can't be decoded.
        """
        image, label = self.images.image(index)
        changes = [self.images.changes(image.width / image.height, index, view) for view in range(self.count)]
        return (
            self.plain(image),
            self.images.square(image) if changes else torch.empty(0),
            torch.stack(changes) if changes else torch.empty(0),
        ), label


def views_of(augmenter: Augmenter, plain: torch.Tensor, squares: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
    """Returns plain pictures, their mirror images and their changed views.

    Args:
        augmenter: Makes the changed ones.
        plain: Float32 of shape (batch, 3, height, width).
        squares: uint8 of shape (batch, 3, side, side); unused where there are no changes.
        changes: Float32 of shape (batch, count, 15), or empty.

    Returns:
        Float32 of shape (batch, 2 + count, 3, height, width).
    """
    views = [plain, plain.flip(-1)]
    if changes.numel():
        views += [augmenter(squares, drawn) for drawn in changes.unbind(1)]
    return torch.stack(views, 1)
