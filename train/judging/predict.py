"""Predictions of a model on a split: made once, kept in a file, read by everything that judges."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import timm
import torch
from accelerate import Accelerator
from torch import nn

from hub.model_folder import ModelFolder, ModelFolderError, open_model_folder
from train.errors import first_line
from train.fitting.batches import TransformedImages, make_loader
from train.fitting.loop import validate
from train.fitting.transforms import eval_transform
from train.running.processes import once_per_node
from train.running.watching import WatchedBatches


@dataclass(frozen=True)
class Predictions:
    """A model's answers on one split, a row per picture, in the split's order.

    Attributes:
        sha256: Names of the pictures; empty strings where the dataset has none.
        labels: True classes, int64 of shape (pictures,).
        logits: float32 of shape (pictures, classes).
        label_names: Class names, in the order of the columns.
    """

    sha256: list[str]
    labels: np.ndarray
    logits: np.ndarray
    label_names: list[str]

    @property
    def probs(self) -> np.ndarray:
        """Softmax of the logits, float64 of shape (pictures, classes)."""
        shifted = np.exp(self.logits.astype(np.float64) - self.logits.max(1, keepdims=True))
        return shifted / shifted.sum(1, keepdims=True)

    @property
    def losses(self) -> np.ndarray:
        """Negative log-likelihood of the true class, float64 of shape (pictures,)."""
        return -np.log(np.maximum(self.probs[np.arange(len(self.labels)), self.labels], 1e-300))


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


class WithMirrorImage(nn.Module):
    """A model that looks at a picture and at its mirror image."""

    def __init__(self, model: nn.Module) -> None:
        """Wraps a model that gives logits of shape (batch, classes)."""
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns logarithms of the mean of both probabilities: logits again, of shape (batch, classes)."""
        both = torch.stack([self.model(view).float().log_softmax(-1) for view in (images, images.flip(-1))])
        return both.logsumexp(0) - math.log(2)


def predict(
    accelerator: Accelerator, model: Any, rows: datasets.Dataset, batch_size: int, num_workers: int, tta: bool = False
) -> Predictions:
    """Runs a model over a split, with the preparation of pictures that its config asks for.

    Args:
        accelerator: Knows devices and processes; it splits batches among them.
        model: From `load_model`.
        rows: Has `image`, `label` (numbered as the model's label names) and maybe `sha256`.
        batch_size: Pictures per step over all processes.
        num_workers: Processes that decode pictures.
        tta: Take the mean of the probabilities for a picture and for its mirror image.
    """
    label_names = model.pretrained_cfg["label_names"]
    data_config = timm.data.resolve_model_data_config(model)
    images = TransformedImages(rows, eval_transform(data_config), seed=0)
    looking = WithMirrorImage(model) if tta else model
    prepared, loader = accelerator.prepare(looking, make_loader(images, batch_size, num_workers, shuffle=False))
    logits, labels = validate(accelerator, prepared, WatchedBatches(loader), "Predicting")
    names = rows["sha256"] if "sha256" in rows.column_names else [""] * len(rows)
    return Predictions(list(names), labels.numpy(), logits.numpy(), list(label_names))


def write_predictions(path: Path, split: str, predictions: Predictions) -> None:
    """Writes `predictions.parquet`: sha256, split, label, logits, probs, loss; other splits in it stay."""
    table = pa.table(
        {
            "sha256": predictions.sha256,
            "split": [split] * len(predictions.labels),
            "label": [predictions.label_names[number] for number in predictions.labels],
            "logits": list(predictions.logits),
            "probs": list(predictions.probs),
            "loss": predictions.losses,
        },
    ).replace_schema_metadata({"label_names": json.dumps(predictions.label_names, ensure_ascii=False)})
    if path.exists():
        former = pq.read_table(path)
        table = pa.concat_tables([former.filter(pc.field("split") != split), table])
    pq.write_table(table, path)


def read_predictions(path: Path) -> dict[str, Predictions]:
    """Reads what `write_predictions` wrote; returns predictions by split."""
    table = pq.read_table(path)
    names = json.loads(table.schema.metadata[b"label_names"])
    splits = {}
    for split in table["split"].unique().to_pylist():
        part = table.filter(pc.field("split") == split)
        labels = np.array([names.index(label) for label in part["label"].to_pylist()])
        logits = np.array(part["logits"].to_pylist(), np.float32)
        splits[split] = Predictions(part["sha256"].to_pylist(), labels, logits, names)
    return splits
