"""Proof that a model folder loads everywhere: the same names and probabilities from every loader."""

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import nn

from model_folder.folder import CONFIG, ModelFolder, ModelFolderError
from model_folder.onnx_session import open_onnx
from model_folder.reference_features import open_reference
from model_folder.reference_pictures import open_pictures
from train.data import LabelledImages
from train.loaders import eval_transform

TOLERANCE = 1e-5
# ONNX Runtime's own resizing differs from Pillow's by one level in a pixel of thousands.
MEDIAN_TOLERANCE, LARGEST_TOLERANCE = 2e-4, 2e-3
_PICTURES = 8
_LINE = 1000


class SelfCheckError(RuntimeError):
    """A loader reads the model folder differently: a fault of ours or of a library, never the user's."""


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silences transformers within the block, and resets its settings and the variable that its pipeline sets."""
    from transformers.utils import logging

    verbosity, bar, variable = logging.get_verbosity(), logging.is_progress_bar_enabled(), "TOKENIZERS_PARALLELISM"
    parallel = os.environ.get(variable)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
        if parallel is None:
            os.environ.pop(variable, None)


@_quiet_transformers()
def check_loaders(folder: Path, model: nn.Module, data_config: dict[str, Any], images: LabelledImages) -> float:
    """Loads a model folder in three ways and compares each with the model it was written from.

    Args:
        folder: The model folder.
        model: The model in memory.
        data_config: How its pictures are prepared.
        images: Up to eight validation pictures are classified.

    Returns:
        The largest difference of a probability.

    Raises:
        SelfCheckError: Other label names, or a probability off by more than 1e-5.
    """
    pictures = _some_pictures(images)
    model = model.to("cpu").eval()
    expected = _probabilities(model, torch.stack([eval_transform(data_config)(picture) for picture in pictures]))
    worst = 0.0
    for loader, load in _LOADERS.items():
        names, probs = load(folder, pictures)
        if names != images.label_names:
            raise SelfCheckError(f"{loader} reads other label names from {folder}: {names}")
        difference = float(np.abs(probs - expected).max())
        if not difference <= TOLERANCE:
            raise SelfCheckError(f"{loader} gives other probabilities for {folder}: off by {difference:.1e}")
        worst = max(worst, difference)
    return worst


def check_onnx(folder: Path, model: nn.Module, data_config: dict[str, Any], images: LabelledImages) -> float:
    """Opens a model folder's model.onnx as the page does, and compares it with the model it was written from.

    Args:
        folder: The model folder.
        model: The model in memory.
        data_config: How its pictures are prepared.
        images: Up to eight validation pictures are classified, and one of them in odd sizes: a line, 24 megapixels,
            smaller than what the model sees.

    Returns:
        The largest difference of a probability.

    Raises:
        SelfCheckError: It is not as the page wants it; or probabilities are off by more than 2e-4 in the median, or by
            more than 2e-3 anywhere.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    try:
        session = open_onnx(ModelFolder(str(folder), folder, config), torch.get_num_threads())
    except ModelFolderError as error:
        raise SelfCheckError(str(error)) from None
    pictures = [picture.convert("RGB") for picture in _some_pictures(images)]
    pictures += _odd_sizes(pictures[0], data_config)
    transform, differences = eval_transform(data_config), []
    model = model.to("cpu").eval()
    for picture in pictures:
        probs = session.run(["probs"], {"image": np.asarray(picture)})[0]
        differences.append(np.abs(probs - _probabilities(model, transform(picture).unsqueeze(0))[0]))
    median, largest = float(np.median(differences)), float(np.max(differences))
    if not (median <= MEDIAN_TOLERANCE and largest <= LARGEST_TOLERANCE):
        off = f"{median:.1e} in the median, {largest:.1e} at most"
        raise SelfCheckError(f"model.onnx gives other probabilities for {folder}: off by {off}")
    return largest


def check_reference(folder: Path) -> None:
    """Opens a model folder's reference features, where it has some, as the page does.

    Raises:
        SelfCheckError: They are not as the page wants them.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    written = ModelFolder(str(folder), folder, config)
    try:
        if reference := open_reference(written):
            open_pictures(written, len(reference.features))
    except ModelFolderError as error:
        raise SelfCheckError(str(error)) from None


def _some_pictures(images: LabelledImages) -> list[Image.Image]:
    rows = images.split("validation")
    return [rows[i]["image"] for i in np.unique(np.linspace(0, len(rows) - 1, _PICTURES).astype(int)).tolist()]


def _odd_sizes(picture: Image.Image, data_config: dict[str, Any]) -> list[Image.Image]:
    side = data_config["input_size"][1]
    # With borders, timm leaves no pixel of a thinner line.
    line = math.ceil(_LINE / side) if data_config["crop_mode"] == "border" else 1
    sizes = [(_LINE, line), (line, _LINE), (6000, 4000), (side // 2, side // 3)]
    return [picture.resize(size, Image.Resampling.NEAREST) for size in sizes]


@torch.inference_mode()
def _probabilities(model: Any, pixel_values: torch.Tensor) -> np.ndarray:
    answer = model(pixel_values)
    return getattr(answer, "logits", answer).softmax(-1).numpy()


def _through_timm(folder: Path, pictures: list[Image.Image]) -> tuple[list[str], np.ndarray]:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    return model.pretrained_cfg["label_names"], _probabilities(model, torch.stack([transform(p) for p in pictures]))


def _through_auto_model(folder: Path, pictures: list[Image.Image]) -> tuple[list[str], np.ndarray]:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    names = [model.config.id2label[number] for number in range(model.config.num_labels)]
    return names, _probabilities(model, processor(pictures)["pixel_values"])


def _through_pipeline(folder: Path, pictures: list[Image.Image]) -> tuple[list[str], np.ndarray]:
    from transformers import pipeline

    classify = pipeline("image-classification", model=str(folder), device="cpu")
    names = list(classify.model.config.id2label.values())
    # The default is the five likeliest classes.
    answers = classify(pictures, top_k=len(names))
    scores = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    return names, np.array([[score[name] for name in names] for score in scores])


_LOADERS: dict[str, Callable[[Path, list[Image.Image]], tuple[list[str], np.ndarray]]] = {
    "timm": _through_timm,
    "AutoModelForImageClassification": _through_auto_model,
    "pipeline": _through_pipeline,
}
