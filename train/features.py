"""What a frozen backbone makes of the pictures, computed once: stage 1 then learns from features alone.

And how strongly the classifier on them is held back: what does best on pictures that it has not seen.
"""

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
from train.data import read_image
from train.loaders import Normalize, PictureBatches, TrainImages, TransformedImages, make_loader, make_sampler
from train.model import FrozenBackbone, classifier_names
from train.processes import from_main, stoppable
from train.recipe import Recipe
from train.stopping import StopRequest


class FeaturesError(UserError):
    """Features that can't be put on disk."""


# Pictures whose features are read together.
_ROWS = 4096


class Features(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Features of a split, mapped from a file, and its labels.

    Attributes:
        values: Float32 of shape (pictures, views, features).
        labels: Int64 of shape (pictures,).
    """

    def __init__(self, file: Path, labels: Sequence[int]) -> None:
        """Maps what `cached_features` wrote; one label per picture."""
        self.values = np.load(file, mmap_mode="r")
        self.labels = torch.tensor(labels)

    def __len__(self) -> int:
        """Returns the number of views of all pictures."""
        return self.values.shape[0] * self.values.shape[1]

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


class ViewedImages(Dataset[torch.Tensor]):
    """Several views of each picture of a split: the plain one, its mirror image, then augmented ones."""

    def __init__(self, plain: TransformedImages, train: TrainImages, count: int) -> None:
        """Takes the split as in evaluation, what augments the same pictures, and how many views are wanted."""
        self.plain, self.train, self.count = plain, train, count

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.plain)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Returns the views of a picture, uint8 of shape (views, height, width, 3).

        Raises:
            DatasetError: It can't be decoded.
        """
        if self.count <= 2:
            plain = self.plain.pixels(index)
            return torch.stack([plain, plain.flip(1)][: self.count])
        # One decoded picture serves all of its views.
        image = read_image(self.plain.rows, index)
        plain, pixels = self.plain.transform(image), self.train.transform(image)
        return torch.stack([
            plain,
            plain.flip(1),
            *(self.train.augmented(pixels, index, view) for view in range(self.count - 2)),
        ])  # fmt: skip


def cached_features(
    accelerator: Accelerator,
    backbone: FrozenBackbone,
    train_batches: PictureBatches,
    valid_batches: PictureBatches,
    recipe: Recipe,
    folder: Path,
    stop: StopRequest,
) -> tuple[Features, Features]:
    """Computes the features of train, `feature_views` of each picture, and of validation, of the plain views.

    What an interrupted run has left of them is taken. Every process computes its share; the main one writes. A file
    appears by rename when it is whole, and its name ends with a digest of the backbone's weights.

    Args:
        accelerator: Knows devices, processes and precision.
        backbone: On the accelerator's device; not prepared, for there is nothing to learn.
        train_batches: The training pictures and how they are augmented.
        valid_batches: The validation pictures; training pictures are prepared likewise for their plain views.
        recipe: Gives views, batch size and workers.
        folder: Where the features go, on a disk that all processes see.
        stop: Whether a signal has asked for the end.

    Returns:
        Features of train and of validation.

    Raises:
        DatasetError: A picture can't be decoded.
        FeaturesError: The disk is full.
        Stopped: A signal has asked for it.
    """
    train, valid = train_batches.images, valid_batches.images
    # An epoch that no stage has.
    train_batches.start(0, 0)
    train_batches.resize(recipe.image_size)
    plain_train = TransformedImages(train.rows, valid.transform)
    digest = _digest(backbone.model)
    backbone.eval()
    features = []
    for split, plain, count in (("train", plain_train, recipe.feature_views), ("validation", valid, 1)):
        file, images = folder / f"{split}-{digest}.npy", ViewedImages(plain, train, count)
        if not from_main(file.exists):
            processes, pin_memory = accelerator.num_processes, accelerator.device.type == "cuda"
            pictures = max(1, recipe.batch_size // (count * processes)) * processes
            loader = accelerator.prepare(make_loader(images, pictures, recipe.num_workers, None, pin_memory))
            values = _compute(accelerator, backbone, train_batches.normalize, stoppable(loader, stop))
            _write(file, (len(plain), count, backbone.num_features), values, f"features of {split}")
        features.append(Features(file, plain.labels))
    return features[0], features[1]


def _compute(
    accelerator: Accelerator, backbone: FrozenBackbone, normalize: Normalize, batches: Any
) -> Iterator[torch.Tensor]:
    """Yields float32 of shape (pictures, views, features): every picture once, in the dataset's order."""
    for views in batches:
        images = normalize(views.flatten(0, 1))
        with accelerator.autocast():
            values = backbone.features(images)
        yield accelerator.gather_for_metrics(values.float().unflatten(0, views.shape[:2])).cpu()


def _write(file: Path, shape: tuple[int, int, int], parts: Iterator[torch.Tensor], title: str) -> None:
    """Writes an npy file in the main process as its parts come, the same ones in every process.

    Raises:
        FeaturesError: The disk is full or closed.
    """
    main = PartialState().is_main_process
    with (
        ExitStack() as stack,
        tqdm(total=shape[0] * shape[1], desc=title, unit="view", disable=None if main else True) as bar,
    ):
        draft: list[Path] = []

        def begin() -> None:
            file.parent.mkdir(parents=True, exist_ok=True)
            draft.append(stack.enter_context(atomic_write(file)))
            with draft[0].open("wb") as opened:
                np.lib.format.write_array_header_1_0(opened, {"descr": "<f4", "fortran_order": False, "shape": shape})

        def add(values: torch.Tensor) -> None:
            # Written, not mapped: a full disk is an error here, and the end of the process there.
            with draft[0].open("ab") as opened:
                opened.write(values.numpy().tobytes())

        def in_main(work: Callable[[], None]) -> None:
            with _one_line_errors(file, shape):
                from_main(work)

        in_main(begin)
        for values in parts:
            in_main(partial(add, values))
            bar.update(len(values) * shape[1])
        in_main(stack.close)


@contextmanager
def _one_line_errors(file: Path, shape: tuple[int, int, int]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FeaturesError(
            f"{error.strerror or error}: {4 * math.prod(shape) / 1e6:.0f} MB of features can't be written to "
            f"{file.parent}: make room there, or lower feature_views, in another output_dir"
        ) from error


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
