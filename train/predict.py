"""A model looks at a split. What it answers is kept (`predictions.py`), so that nothing that judges asks again."""

from typing import Any

import datasets
import numpy as np
import timm
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from files.errors import first_line
from model_folder.folder import ModelFolder, ModelFolderError, open_model_folder
from model_folder.reference_features import ReferenceFeatures
from train.loaders import FromPixels, TransformedImages, WithFeatures, WithMirrorImage, make_loader, pixel_transform
from train.predictions import Predictions, names_of, read_predictions, write_predictions
from train.processes import SynchronisedBatches, once_per_node
from train.trainer import validate

__all__ = ["Predictions", "load_model", "predict", "predict_alone", "read_predictions", "write_predictions"]


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
    accelerator: Accelerator,
    model: Any,
    rows: datasets.Dataset,
    batch_size: int,
    num_workers: int,
    tta: bool = False,
    reference: ReferenceFeatures | None = None,
) -> Predictions:
    """Runs a model over a split, with the preparation of pictures that its config asks for.

    Args:
        accelerator: Knows devices and processes; it splits batches among them.
        model: From `load_model`.
        rows: Has `image`, `label` (numbered as the model's label names) and maybe `sha256`.
        batch_size: Pictures per step over all processes.
        num_workers: Processes that decode pictures.
        tta: Take the mean of the probabilities for a picture and for its mirror image.
        reference: What training pictures look like to the model, where that is known.
    """
    data_config, names = timm.data.resolve_model_data_config(model), list(model.pretrained_cfg["label_names"])
    answering = WithFeatures(model) if reference else model
    looking = FromPixels(WithMirrorImage(answering, len(names)) if tta else answering, data_config)
    prepared, loader = accelerator.prepare(looking, _loader(rows, data_config, batch_size, num_workers))
    answers, labels = validate(accelerator, prepared, SynchronisedBatches(loader), "Predicting")
    return _predictions(rows, labels.numpy(), answers.numpy(), names, reference)


@torch.inference_mode()
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
        label_names: Class names, in the order of the model's answers.
        title: What is going on, for a progress bar.
        batch_size: Pictures per step.
        num_workers: Processes that decode pictures; 0 decodes in this one.
        reference: What training pictures look like to the model, where that is known.
    """
    looking = FromPixels(WithFeatures(model) if reference else model, data_config).eval()
    device = next(model.parameters()).device
    looking.to(device)
    loader = tqdm(_loader(rows, data_config, batch_size, num_workers), desc=title, unit="batch", leave=False, delay=1)
    answers = torch.cat([looking(pixels.to(device)).float().cpu() for pixels, _ in loader])
    return _predictions(rows, np.array(rows["label"]), answers.numpy(), label_names, reference)


def _predictions(
    rows: datasets.Dataset,
    labels: np.ndarray,
    answers: np.ndarray,
    names: list[str],
    reference: ReferenceFeatures | None,
) -> Predictions:
    logits, features = np.split(answers, [len(names)], axis=1)
    return Predictions(names_of(rows), labels, logits, names, reference.nearest(features) if reference else None)


def _loader(rows: datasets.Dataset, data_config: dict[str, Any], batch_size: int, num_workers: int) -> DataLoader[Any]:
    return make_loader(TransformedImages(rows, pixel_transform(data_config)), batch_size, num_workers)
