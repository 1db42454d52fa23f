"""A model answers: for the rows of a dataset, or for photographs on disk. All pictures take one way through it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import timm
import torch
from accelerate import Accelerator
from PIL import Image
from pydantic import Field
from scipy.special import softmax
from torch import nn
from torch.utils.data import Dataset

from files.atomic import atomic_write
from files.errors import UserError, first_line
from model_folder.facts import read_prediction_sets, read_threshold
from model_folder.folder import ModelFolder, ModelFolderError, open_model_folder
from model_folder.reference_features import ReferenceFeatures, open_reference, scores_of
from pictures import RefusedError
from pictures.decoding import decode
from train.data import image_bytes, load_images
from train.hardware import freed_memory_kept, plain_memory_errors
from train.loaders import Normalize, TransformedImages, make_loader, pixel_transform
from train.model import final_linears
from train.predictions import Predictions, names_of, set_names
from train.processes import SynchronisedBatches, check_processes, make_accelerator, once_per_node
from train.progress import progress
from train.recipe import Settings

COLUMNS = {
    "file": "string", "label": "string", "probability": "float64", "second": "string",
    "second_probability": "float64", "abstains": "boolean", "prediction_set": "string", "ood_distance": "float64",
    "ood": "boolean", "error": "string",
}  # fmt: skip
"""Of a table of answers, with their types in pandas."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"}
"""Of the files in a folder that are taken for photographs."""
# Pixels of the shorter side: the page, too, decodes larger pictures at a fraction of their size.
_ENOUGH = 1024


class PhotosError(UserError):
    """There is no picture to answer for."""


class Prediction(Settings):
    """How to answer.

    Attributes:
        split: Of a dataset.
        batch_size: Pictures per step, over all processes.
        num_workers: Processes that decode pictures.
    """

    split: str = "test"
    batch_size: int = Field(16, ge=1)
    num_workers: int = Field(2, ge=0)


def load_model(name: str) -> tuple[Any, ModelFolder]:
    """Loads a model folder or Hub id through timm.

    Returns:
        The model in evaluation mode, and the folder it lies in.

    Raises:
        ModelFolderError: It is none, or one not to be trusted.
        HubError: It can't be fetched.
    """
    folder = once_per_node(lambda: open_model_folder(name))
    try:
        model = timm.create_model(f"local-dir:{folder.path}", pretrained=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelFolderError(f"{name} can't be loaded ({first_line(error)})") from None
    return model.eval(), folder


def predict(
    model: str | Path,
    photos: str | Path | Sequence[str | Path],
    *,
    split: str = "test",
    batch_size: int = 16,
    num_workers: int = 2,
) -> pd.DataFrame:
    """Answers for photographs, as the page does, or for a split of a dataset.

    Args:
        model: A model folder, a run's folder, or a Hub id.
        photos: A folder of photographs, with or without sub-folders; a photograph; a list of those; or a dataset
            folder or Hub id. A folder that has parquet files is a dataset.
        split: Of a dataset.
        batch_size: Pictures per step, over all processes.
        num_workers: Processes that decode pictures; 0 decodes in this one.

    Returns:
        A row per picture, in order: `file` (as it was given, below the folder, or a dataset's sha256 or number of the
        row), `label`, `probability` (0 to 1), `second`, `second_probability`, `abstains` (whether the probability is
        below the model's threshold), `prediction_set` (the classes that it may be of, the likeliest first, separated
        by "; "; empty for a model without prediction sets), `ood_distance` (mean cosine distance to the nearest
        training pictures, 0 to 2) and `ood` (whether the model takes it for none of its classes), both empty where the
        model can't tell. Where a picture can't be decoded, `error` says why, and all but `file` are empty.

    Raises:
        UserError: The model or the photographs can't be used, or memory is full.
    """
    accelerator = make_accelerator("no")
    check_processes(batch_size)
    network, folder = load_model(str(model))
    reference = once_per_node(lambda: open_reference(folder))
    files, rows = once_per_node(lambda: _open_photos(photos, split))
    data_config = timm.data.resolve_model_data_config(network)
    images = PhotoImages(rows, data_config)
    with plain_memory_errors(batch_size=batch_size, num_workers=num_workers), freed_memory_kept():
        outputs, readable = run_model(
            _from_pixels(network, data_config, reference), images, batch_size, num_workers, accelerator
        )
    accelerator.end_training()
    faults = {row: images.fault(row) for row in np.flatnonzero(readable == 0).tolist()}
    return _make_table(files, outputs, faults, folder, reference)


def predict_split(
    accelerator: Accelerator,
    model: Any,
    rows: datasets.Dataset,
    batch_size: int,
    num_workers: int,
    tta: bool = False,
    reference: ReferenceFeatures | None = None,
) -> Predictions:
    """Runs a model over a split in all processes, with the preparation of pictures that its config asks for.

    Args:
        accelerator: Knows devices and processes; it splits batches among them.
        model: From `load_model`.
        rows: Has `image`, `label` (numbered as the model's label names) and maybe `sha256`.
        batch_size: Pictures per step over all processes.
        num_workers: Processes that decode pictures.
        tta: Take the mean of the probabilities for a picture and for its mirror image.
        reference: Reference features of the model, where it has some.

    Raises:
        DatasetError: A picture can't be decoded.
    """
    data_config, names = timm.data.resolve_model_data_config(model), list(model.pretrained_cfg["label_names"])
    network = _from_pixels(model, data_config, reference, len(names) if tta else None)
    images = TransformedImages(rows, pixel_transform(data_config))
    answers, labels = run_model(network, images, batch_size, num_workers, accelerator)
    return _predictions(rows, labels, answers, names, reference)


def predict_alone(
    model: nn.Module,
    data_config: dict[str, Any],
    rows: datasets.Dataset,
    label_names: list[str],
    title: str,
    batch_size: int = 16,
    num_workers: int = 0,
    reference: ReferenceFeatures | None = None,
) -> Predictions:
    """Runs a model over a split in this process, where it is, whatever the other processes of the run do.

    Args:
        model: A timm model; it is left in evaluation mode.
        data_config: How pictures are prepared for it.
        rows: Has `image`, `label` and maybe `sha256`.
        label_names: Class names, in the order of the logits.
        title: What is going on, for a progress bar.
        batch_size: Pictures per step.
        num_workers: Processes that decode pictures; 0 decodes in this one.
        reference: Reference features of the model, where it has some.
    """
    images = TransformedImages(rows, pixel_transform(data_config))
    network = _from_pixels(model, data_config, reference)
    answers, labels = run_model(network, images, batch_size, num_workers, title=title)
    return _predictions(rows, labels, answers, label_names, reference)


def run_model(
    network: nn.Module,
    images: Dataset[tuple[torch.Tensor, int]],
    batch_size: int,
    num_workers: int,
    accelerator: Accelerator | None = None,
    title: str = "Predicting",
) -> tuple[np.ndarray, np.ndarray]:
    """Runs a network over a dataset.

    Args:
        network: Takes batches of what `images` gives; it is left in evaluation mode.
        images: Gives (tensor, number) by index.
        batch_size: Pictures per step over all processes.
        num_workers: Processes that decode pictures; 0 decodes in this one.
        accelerator: Splits batches among its processes; without, this process does all, where the network is.
        title: What is going on, for a progress bar.

    Returns:
        The network's outputs, float32 of shape (pictures, outputs), and the numbers, int64 of shape (pictures,), every
        picture once and in the dataset's order.

    Raises:
        UserError: What `images` raises, in every process.
    """
    loader: Any = make_loader(images, batch_size, num_workers)
    if accelerator:
        network, loader = accelerator.prepare(network, loader)
        loader = SynchronisedBatches(loader)
    device = accelerator.device if accelerator else next(network.parameters()).device
    hidden = bool(accelerator and not accelerator.is_main_process)
    outputs, numbers = [], []
    network.eval().to(device)
    for batch, number in progress(loader, title, "batches", hidden):
        with torch.inference_mode():
            output = network(batch.to(device)).float()
        if accelerator:
            # Drops the pictures that were repeated to give every process a full batch.
            output, number = accelerator.gather_for_metrics((output, number))
        outputs.append(output.cpu().numpy())
        numbers.append(number.cpu().numpy())
    return np.concatenate(outputs), np.concatenate(numbers)


class PhotoImages(Dataset[tuple[torch.Tensor, int]]):
    """Photographs as tensors, each with a 1, or a 0 where it can't be decoded."""

    def __init__(self, rows: datasets.Dataset, data_config: dict[str, Any]) -> None:
        """Takes rows with an undecoded `image`, and how a model wants pictures to be prepared."""
        self.rows, self.transform = rows, pixel_transform(data_config)

    def __len__(self) -> int:
        """Returns the number of photographs."""
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        """Returns a photograph's pixels, uint8 of shape (height, width, 3), and whether it can be decoded."""
        try:
            return self.transform(self._decode(row)), 1
        except (RefusedError, OSError):
            # Any picture: its answer is not looked at.
            return self.transform(Image.new("RGB", (64, 64))), 0

    def fault(self, row: int) -> str:
        """Returns why a photograph can't be decoded."""
        try:
            self._decode(row)
        except (RefusedError, OSError) as error:
            return first_line(error)
        return "it could not be read at first"

    def _decode(self, row: int) -> Image.Image:
        return decode(image_bytes(self.rows[row]["image"]), enough=_ENOUGH).image


def _open_photos(photos: str | Path | Sequence[str | Path], split: str) -> tuple[list[str], datasets.Dataset]:
    """Returns what to call each picture, and rows with an undecoded `image`."""
    names = [str(photos)] if isinstance(photos, str | Path) else list(map(str, photos))
    if len(names) == 1 and (not Path(names[0]).exists() or any(Path(names[0]).rglob("*.parquet"))):
        return _open_split(names[0], split)
    files = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            # Below a folder that is the only one, its own name says nothing.
            files += [(str(file.relative_to(path) if len(names) == 1 else file), file) for file in inside]
        elif path.is_file():
            files.append((name, path))
        else:
            raise PhotosError(f"{name} is not there: give photographs, a folder of them, or one dataset")
    if not files:
        raise PhotosError(f"{', '.join(names)} has no photograph ({', '.join(sorted(SUFFIXES))})")
    images = [{"bytes": None, "path": str(path)} for _, path in files]
    return [name for name, _ in files], datasets.Dataset.from_dict(
        {"image": images}, datasets.Features({"image": datasets.Image(decode=False)})
    )


def _open_split(name: str, split: str) -> tuple[list[str], datasets.Dataset]:
    splits = load_images(name).splits
    if split not in splits:
        raise PhotosError(f"{name} has no split {split!r}: choose one by split=..., it has {', '.join(splits)}")
    rows = splits[split]
    names = [sha256 or f"row {number}" for number, sha256 in enumerate(names_of(rows))]
    return names, rows.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))


def _make_table(
    files: list[str],
    outputs: np.ndarray,
    faults: dict[int, str],
    folder: ModelFolder,
    reference: ReferenceFeatures | None,
) -> pd.DataFrame:
    logits, features = np.split(outputs, [len(folder.label_names)], axis=1)
    for row in np.flatnonzero(~np.isfinite(outputs).all(1)).tolist():
        faults.setdefault(row, "the model gives no numbers (NaN or infinite)")
    probs = softmax(logits.astype(np.float64), axis=1)
    first, second = (-probs).argsort(axis=1, kind="stable")[:, :2].T
    rows, names = np.arange(len(files)), np.array(folder.label_names)
    nearest = reference.nearest(features) if reference else None
    served = read_prediction_sets(folder.config)
    decides = reference is not None and reference.threshold is not None
    table = pd.DataFrame(
        {
            "file": files,
            "label": names[first],
            "probability": probs[rows, first],
            "second": names[second],
            "second_probability": probs[rows, second],
            "abstains": probs[rows, first] < read_threshold(folder.config).value,
            "prediction_set": ["; ".join(of) for of in set_names(probs, folder.label_names, served.cut)]
            if served
            else None,
            "ood_distance": scores_of(nearest) if nearest else None,
            "ood": reference.is_ood(nearest) if reference and nearest and decides else None,
            "error": None,
        }
    ).astype(COLUMNS)
    table.loc[list(faults), table.columns != "file"] = pd.NA
    table.loc[list(faults), "error"] = list(faults.values())
    return table


def write_answers(answers: pd.DataFrame, out: Path) -> None:
    """Writes a table of answers: as parquet where the name ends so, otherwise as CSV; `-` is standard output."""
    if str(out) == "-":
        print(answers.to_csv(index=False, float_format="%.6f"), end="")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as draft:
        if out.suffix == ".parquet":
            answers.to_parquet(draft, index=False)
        else:
            answers.to_csv(draft, index=False, float_format="%.6f")


def summarize(answers: pd.DataFrame) -> str:
    """Returns how many pictures got which answer."""
    counts = answers["label"].value_counts()
    width = max([5, *map(len, counts.index)])
    lines = [f"{'class':{width}}  pictures  abstains"]
    for label, count in counts.items():
        lines.append(f"{label:{width}}  {count:8}  {answers.loc[answers['label'] == label, 'abstains'].sum():8}")
    total = f"{counts.sum()} of {len(answers)} pictures answered"
    if ood := int(answers["ood"].fillna(False).sum()):
        total += f"; {ood} like none of the classes"
    return "\n".join([*lines, total])


def _from_pixels(
    model: nn.Module, data_config: dict[str, Any], reference: ReferenceFeatures | None, mirrored: int | None = None
) -> nn.Module:
    """Returns a network for uint8 pixels, that gives features where a `reference` asks for them."""
    network = WithFeatures(model) if reference else model
    return FromPixels(WithMirrorImage(network, mirrored) if mirrored else network, data_config)


def _predictions(
    rows: datasets.Dataset,
    labels: np.ndarray,
    outputs: np.ndarray,
    names: list[str],
    reference: ReferenceFeatures | None,
) -> Predictions:
    logits, features = np.split(outputs, [len(names)], axis=1)
    return Predictions(names_of(rows), labels, logits, names, reference.nearest(features) if reference else None)


class FromPixels(nn.Module):
    """A model of pixels, which it normalises to the same bits as `eval_transform`."""

    def __init__(self, model: nn.Module, data_config: dict[str, Any]) -> None:
        """Wraps a model, whose weights are put into the layout of what comes: colours innermost.

        Args:
            model: Takes float32 of shape (batch, 3, height, width).
            data_config: `mean` and `std` are those of pixels from 0 to 1.
        """
        super().__init__()
        self.model, self.normalize = model.to(memory_format=torch.channels_last), Normalize(data_config)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns the model's answer to uint8 pixels of shape (batch, height, width, 3)."""
        return self.model(self.normalize(pixels))


class WithFeatures(nn.Module):
    """A model whose output is its logits and, behind them, the input of its classifier."""

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
    """A model whose probabilities are the mean of those for a picture and for its mirror image."""

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
