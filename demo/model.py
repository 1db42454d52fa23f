"""The model that answers, and what its folder tells about it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from hub.model_folder import ModelFolderError, open_model_folder

LONGEST_FACT = 500


class NoNumbersError(ArithmeticError):
    """The model answered with something that is no probability."""


@dataclass(frozen=True)
class Answer:
    """What a model says of a picture.

    Attributes:
        probs: Of every class, calibrated, float32 of shape (classes,).
        features: Of the penultimate layer, float32 of shape (features,); None without a model.onnx.
        heatmap: Where the likeliest class was seen, 0 to 1, float32 of the last feature map's shape (height, width);
            None without a model.onnx, or where its architecture has no such map.
    """

    probs: np.ndarray
    features: np.ndarray | None = None
    heatmap: np.ndarray | None = None


@dataclass(frozen=True)
class ServedModel:
    """A model folder, loaded.

    Attributes:
        name: The Hub id, or the architecture and the dataset that it was trained on.
        network: Gives logits, float32 of shape (batch, classes), for `pixel_values`.
        processor: Turns RGB pictures into `pixel_values`.
        config: The model folder's config.json, checked.
        facts: What there is to tell about a class, by its name.
        test: metrics.json of the test split, or empty when it was not judged.
        examples: Pictures to offer.
    """

    name: str
    network: Any
    processor: Any
    config: dict[str, Any]
    facts: dict[str, str]
    test: dict[str, Any]
    examples: list[Path]
    repo_id: str | None = None
    revision: str | None = None

    @property
    def label_names(self) -> list[str]:
        """Class names, in the order of the probabilities."""
        return self.config["label_names"]

    @property
    def drawings(self) -> bool:
        """True when it was trained on drawings."""
        return self.config.get("training_data", {}).get("drawings", False)

    @torch.inference_mode()
    def answer(self, image: Image.Image) -> Answer:
        """Classifies an upright RGB picture.

        Raises:
            NoNumbersError: The model's weights give no probabilities.
        """
        pixel_values = self.processor(image)["pixel_values"]
        probs = self.network(pixel_values=pixel_values).logits[0].softmax(0).numpy()
        if not np.isfinite(probs).all():
            raise NoNumbersError("the model gave no numbers for this picture")
        return Answer(probs)

    def by_name(self, values: np.ndarray) -> dict[str, float]:
        """Returns numbers, float32 of shape (classes,), by the name of their class."""
        return {name: float(value) for name, value in zip(self.label_names, values, strict=True)}


def load_model(model_id: str) -> ServedModel:
    """Loads a model folder, or fetches one from the Hub.

    Raises:
        ModelFolderError: It is none, or one not to be trusted.
        HubError: It can't be fetched.
    """
    folder = open_model_folder(model_id)
    try:
        network = AutoModelForImageClassification.from_pretrained(folder.path).eval()
        processor = AutoImageProcessor.from_pretrained(folder.path)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelFolderError(f"{model_id} can't be loaded: {str(error).strip().splitlines()[0]}") from None
    metrics = folder.path / "metrics.json"
    try:
        test = json.loads(metrics.read_text(encoding="utf-8")).get("test", {}) if metrics.exists() else {}
    except (ValueError, AttributeError) as error:
        raise ModelFolderError(f"{model_id} has a damaged metrics.json ({error}): evaluate it again") from None
    return ServedModel(
        name=_name(model_id, folder.config),
        network=network,
        processor=processor,
        config=folder.config,
        facts=_facts(folder.config.get("classes")),
        test=test,
        examples=sorted((folder.path / "examples").glob("*.jpg")),
    )


def _name(model_id: str, config: dict[str, Any]) -> str:
    if not Path(model_id).is_dir():
        return model_id
    # A path of this machine is nobody's business.
    data = config.get("training_data", {}).get("name")
    return f"{config['architecture']}, trained on “{data}”" if data else config["architecture"]


def _facts(classes: Any) -> dict[str, str]:
    """Returns a paragraph per class from a model folder's config, which anybody may have written."""
    facts = {}
    for label, told in classes.items() if isinstance(classes, dict) else ():
        if not isinstance(told, dict):
            continue
        name, native, region, fact, look_for = (
            # As plain text: no link, no markup, no novel.
            re.sub(r"([\\`*_\[\]<>#|!~])", r"\\\1", str(told.get(key, ""))[:LONGEST_FACT])
            for key in ("name", "native", "region", "fact", "look_for")
        )
        facts[label] = f"**{name}** · {native} · {region}\n\n{fact}\n\n*What to look for:* {look_for}"
    return facts
