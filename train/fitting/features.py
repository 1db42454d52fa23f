"""Features of a frozen backbone, computed once: afterwards an epoch costs as much as its classifier.

Several views of every training picture are looked at (plain, mirrored, then augmented ones), so that the classifier
learns from more than it would on one. They lie in a file that is mapped into memory: what bounds them is the disk,
4 bytes x pictures x views x features (8 GB for a million pictures, 4 views and the 512 features of a ResNet34);
what a process holds itself is one batch.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset

from train.fitting.augment import Augmenter
from train.fitting.batches import PictureBatches, make_loader
from train.fitting.feature_file import write_features
from train.fitting.frozen import FrozenBackbone
from train.fitting.pictures import TrainingImages, TransformedImages
from train.fitting.sampling import make_sampler
from train.fitting.views import ViewedImages, views_of
from train.running.processes import from_main
from train.running.stopping import StopRequest
from train.running.watching import stoppable

# Pictures whose features are looked at together.
_ROWS = 4096


class Features(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Features of a split, float32 of shape (pictures, views, features), mapped from a file, and the labels."""

    def __init__(self, file: Path, labels: Sequence[int]) -> None:
        """Maps what `cache_features` wrote; one label per picture."""
        self.values = np.load(file, mmap_mode="r")
        self.labels = torch.tensor(labels)

    def __len__(self) -> int:
        """Returns the number of views of all pictures."""
        return self.values.shape[0] * self.values.shape[1]

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: a view is the same in every epoch."""

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns views as float32 of shape (batch, features), and their labels, int64 of shape (batch,).

        DataLoader asks for a batch at once where a dataset has this method.
        """
        pictures, views = np.divmod(indices, self.values.shape[1])
        return torch.from_numpy(self.values[pictures, views]), self.labels[pictures]

    def spread(self) -> torch.Tensor:
        """Returns each feature's standard deviation as the power of two next to it, float32 of shape (features,).

        1 for a feature that never changes. Read in parts: what is mapped need not fit into memory.
        """
        total = squares = np.zeros(self.values.shape[2])
        for first in range(0, len(self.values), _ROWS):
            part = self.values[first : first + _ROWS].astype(np.float64)
            total, squares = total + part.sum((0, 1)), squares + np.square(part).sum((0, 1))
        variance = squares / len(self) - np.square(total / len(self))
        changing = variance > np.finfo(np.float32).eps * squares / len(self)
        exponent = np.round(np.log2(np.where(changing, variance, 1)) / 2)
        return torch.from_numpy(np.exp2(exponent).astype(np.float32))

    def loader(self, batch_size: int, seed: int | None = None, balanced: bool = False) -> DataLoader[Any]:
        """Returns batches in order, or shuffled by `seed` and epoch and then without the last, short one.

        `balanced` shows views of every class equally often.
        """
        labels = self.labels.repeat_interleave(self.values.shape[1]).tolist()
        return DataLoader(
            self,
            batch_size=batch_size,
            sampler=None if seed is None else make_sampler(labels, seed, balanced),
            collate_fn=_as_it_is,
            drop_last=seed is not None and len(self) >= batch_size,
        )


def _as_it_is(batch: Any) -> Any:
    return batch


def feature_sets(
    accelerator: Accelerator,
    backbone: FrozenBackbone,
    train_batches: PictureBatches,
    valid_images: TransformedImages,
    views: int,
    batch_size: int,
    num_workers: int,
    folder: Path,
    stop: StopRequest,
) -> tuple[Features, Features]:
    """Returns the features of train, several views per picture, and of validation, the plain one.

    Args:
        accelerator: Knows devices, processes and precision.
        backbone: On the accelerator's device.
        train_batches: The training pictures and how they are changed.
        valid_images: With the evaluation transform, which also gives the plain views of the training pictures.
        views: Views per training picture.
        batch_size: Views that are looked at together, over all processes.
        num_workers: Processes that decode pictures; 0 decodes in the main process.
        folder: Where the features go, on a disk that all processes see.
        stop: Whether a signal has asked for the end.

    Raises:
        DatasetError: A picture can't be decoded.
        FeaturesError: The disk is full.
        Stopped: A signal has asked for it.
    """
    images, augmenter = train_batches.images, train_batches.augmenter
    found = []
    for split, rows, count in (("train", images.rows, views), ("validation", valid_images.rows, 1)):
        of_split = TrainingImages(rows, images.square, images.draw, images.seed)
        viewed = ViewedImages(valid_images.transform, of_split, max(0, count - 2))
        place = folder / split
        found.append(
            cache_features(accelerator, backbone, augmenter, viewed, count, batch_size, num_workers, place, stop)
        )
    train, valid = found
    return train, valid


def cache_features(
    accelerator: Accelerator,
    backbone: FrozenBackbone,
    augmenter: Augmenter,
    images: ViewedImages,
    views: int,
    batch_size: int,
    num_workers: int,
    place: Path,
    stop: StopRequest,
) -> Features:
    """Computes the features of a split, or takes those that an interrupted run has left.

    Every process computes its share; one writes them all down. The file appears by rename when it is whole, and
    its name ends with a digest of the backbone's weights.

    Args:
        accelerator: Knows devices, processes and precision.
        backbone: On the accelerator's device; not prepared, for there is nothing to learn.
        augmenter: Makes the changed views.
        images: The pictures.
        views: How many: the plain one, then its mirror image, then changed ones.
        batch_size: Views per step, over all processes.
        num_workers: Processes that decode pictures; 0 decodes in the main process.
        place: The file, on a disk that all processes see, less the end of its name.
        stop: Whether a signal has asked for the end.
    """
    file = place.with_name(f"{place.name}-{_digest(backbone.model)}.npy")
    if not from_main(file.exists):
        # One decoded picture serves all of its views.
        pictures = max(1, batch_size // (views * accelerator.num_processes)) * accelerator.num_processes
        loader = accelerator.prepare(make_loader(images, pictures, num_workers))
        shape = (len(images), views, backbone.num_features)
        write_features(file, shape, _compute(accelerator, backbone, augmenter, stoppable(loader, stop), views))
    return Features(file, images.images.rows["label"])


def _compute(
    accelerator: Accelerator, backbone: FrozenBackbone, augmenter: Augmenter, loader: Any, views: int
) -> Iterator[torch.Tensor]:
    """Yields float32 of shape (pictures, views, features): every picture once, in the dataset's order."""
    backbone.eval()
    for (plain, squares, changes), _ in loader:
        values = views_of(augmenter, plain, squares, changes)[:, :views]
        with accelerator.autocast():
            features = backbone.features(values.flatten(0, 1))
        yield accelerator.gather_for_metrics(features.float().unflatten(0, (-1, views))).cpu()


def _digest(model: Any) -> str:
    """Returns 16 hex digits that change when a weight of the backbone does."""
    classifier = {id(parameter) for parameter in model.get_classifier().parameters()}
    digest = hashlib.sha256()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in classifier:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
