"""How strongly a classifier on frozen features is held back: what does best on pictures that it has not seen."""

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from files.atomic import atomic_write
from files.errors import UserError
from train.augmentation import Augmenter
from train.loaders import PictureBatches, TrainingImages, Transform, TransformedImages, make_loader, make_sampler
from train.model import FrozenBackbone, classifier_names
from train.processes import from_main, stoppable
from train.stopping import StopRequest


class FeaturesError(UserError):
    """Features that can't be put on disk."""


def write_features(file: Path, shape: tuple[int, int, int], parts: Iterator[torch.Tensor]) -> None:
    """Writes an npy file as its parts come, in the main process; it appears by rename when it is whole.

    Args:
        file: Named after the split, up to a hyphen.
        shape: Pictures, views, features.
        parts: Float32 of shape (some pictures, views, features), the same ones in every process.

    Raises:
        FeaturesError: The disk is full or closed.
    """
    main = ExitStack()
    draft = file

    def begin() -> None:
        nonlocal draft
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = main.enter_context(atomic_write(file))
        with draft.open("wb") as opened:
            np.lib.format.write_array_header_1_0(opened, {"descr": "<f4", "fortran_order": False, "shape": shape})

    def add(values: torch.Tensor) -> None:
        # Written, not mapped: a full disk is an error here, and the end of the process there.
        with draft.open("ab") as opened:
            opened.write(values.numpy().tobytes())

    def in_main(work: Callable[[], None]) -> None:
        with _one_line_errors(file, shape):
            from_main(work)

    title = f"features of {file.stem.partition('-')[0]}"
    hidden = not PartialState().is_main_process
    with main, tqdm(total=shape[0] * shape[1], desc=title, unit="view", disable=hidden) as bar:
        in_main(begin)
        for values in parts:
            in_main(partial(add, values))
            bar.update(len(values) * shape[1])
        in_main(main.close)


@contextmanager
def _one_line_errors(file: Path, shape: tuple[int, int, int]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FeaturesError(
            f"{error.strerror or error}: {4 * math.prod(shape) / 1e6:.0f} MB of features can't be written to "
            f"{file.parent}: make room there, or lower feature_views, in another output_dir"
        ) from error


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
    classifier = classifier_names(model)
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if name not in classifier:
            digest.update(name.encode())
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Of the penalty `strength / 2` times the squared norm of the weights, on a loss that is summed over all views; the
inverse of scikit-learn's `C`."""
USUAL = 100.0
"""Where a class is too rare for folds."""
_FOLDS = 5
# A strength is that of a prior belief about the weights, which does not depend on how many pictures there are: what is
# found on so many holds for more.
_MOST_PICTURES = 600


def choose_l2(features: Features, groups: Sequence[str], seed: int) -> float:
    """Chooses the strength whose classifiers give held-out pictures the highest likelihood, by grouped folds.

    The classifiers are scikit-learn's multinomial logistic regression on all views; they are judged by the plain view.

    Args:
        features: Of the training pictures, whose first view is the plain one; they are divided by their spread.
        groups: The group of every picture: pictures of one group never part.
        seed: Deals the folds, and draws from more than 600 pictures.

    Returns:
        One of `STRENGTHS`.
    """
    labels, group = features.labels.numpy(), np.asarray(groups)
    chosen = np.random.default_rng(seed).permutation(len(labels))[:_MOST_PICTURES]
    labels, group = labels[chosen], group[chosen]
    rarest = min(len(np.unique(group[labels == label])) for label in np.unique(labels))
    if rarest < 2:
        return USUAL
    values = features.values[chosen] / features.spread().numpy()
    folds = StratifiedGroupKFold(min(_FOLDS, rarest), shuffle=True, random_state=seed)
    # Matrices are so small that threads would spend their time waiting for each other, most of all where torch's wait,
    # too: with two of them on two cores, the search took 12 s instead of 3.
    with threadpool_limits(1):
        return _best(values, labels, group, folds)


def _best(values: np.ndarray, labels: np.ndarray, group: np.ndarray, folds: StratifiedGroupKFold) -> float:
    losses = dict.fromkeys(STRENGTHS, 0.0)
    for learned, held_out in folds.split(labels, labels, group):
        if set(labels[learned]) != set(labels):
            return USUAL
        rows = values[learned].reshape(-1, values.shape[2])
        truth = np.repeat(labels[learned], values.shape[1])
        # From the strongest on, each begins where the one before has ended; closer to the minimum than this, the
        # likelihood of held-out pictures no longer changes: a fifth of the time, the same choice.
        model = LogisticRegression(tol=1e-3, max_iter=200, warm_start=True)
        for strength in reversed(STRENGTHS):
            model.set_params(C=1 / strength)
            with warnings.catch_warnings():
                # The weakest penalties take long to their minimum, and are not where it lies.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(rows, truth)
            probs = model.predict_proba(values[held_out, 0])
            losses[strength] += log_loss(labels[held_out], probs, labels=model.classes_, normalize=False)
    return min(losses, key=lambda strength: losses[strength])
