"""The model that answers, and what its folder tells about it."""

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from demo.models.answer import Answer, NoNumbersError
from demo.models.cores import usable_cores
from model_folder.about import shown_name
from model_folder.facts import read_int8_agreement
from model_folder.folder import INT8_ONNX, ONNX, ModelFolder, ModelFolderError, open_model_folder
from model_folder.reference_features import Nearest, ReferenceFeatures, open_reference
from model_folder.reference_pictures import ReferencePicture, open_pictures

__all__ = ["Answer", "NoNumbersError", "ServedModel", "load_model"]


@dataclass(frozen=True)
class ServedModel:
    """A model folder, loaded as a whole: it may be replaced or go away while this answers.

    Attributes:
        name: The Hub id, or the architecture and the dataset that it was trained on.
        repo_id: Where it lies on the Hub, or None for a local folder.
        revision: The commit there, or None for a local folder.
        network: Classifies an upright RGB picture.
        file: The file of the folder that it is.
        int8_agreement: As `read_int8_agreement` gives it.
        config: The model folder's config.json, checked.
        test: metrics.json of the test split, or empty when it was not judged.
        examples: Pictures to offer, in a folder that lasts as long as this; `examples.json` lies beside them.
        reference: What training pictures look like to it; None where its folder does not tell.
        learned: These pictures, in the same order; empty where its folder does not tell.
    """

    name: str
    repo_id: str | None
    revision: str | None
    network: Callable[[Image.Image], Answer]
    file: str
    int8_agreement: tuple[int, int] | None
    config: dict[str, Any]
    test: dict[str, Any]
    examples: list[Path]
    reference: ReferenceFeatures | None
    learned: list[ReferencePicture]

    @property
    def label_names(self) -> list[str]:
        """Class names, in the order of the probabilities."""
        return self.config["label_names"]

    @property
    def drawings(self) -> bool:
        """True when it was trained on drawings."""
        return self.config.get("training_data", {}).get("drawings", False)

    @property
    def concurrency(self) -> int:
        """How many answers at once make the most of this machine, although each uses all its cores."""
        return usable_cores()

    def answer(self, image: Image.Image) -> Answer:
        """Classifies an upright RGB picture; several threads may ask at once.

        Raises:
            NoNumbersError: The model gives no probabilities.
        """
        return self.network(image)

    def nearest(self, answer: Answer) -> Nearest | None:
        """Finds the training pictures that look most like the one of an answer; None where nobody can tell.

        Raises:
            NoNumbersError: The network gives other features than the folder's reference has.
        """
        if self.reference is None:
            return None
        if answer.features is None or answer.features.shape != self.reference.features.shape[1:]:
            raise NoNumbersError("the model's features are not those of its reference")
        return self.reference.nearest(answer.features[None])

    def by_name(self, values: np.ndarray) -> dict[str, float]:
        """Returns numbers, float32 of shape (classes,), by the name of their class."""
        return {name: float(value) for name, value in zip(self.label_names, values, strict=True)}


def load_model(model_id: str) -> ServedModel:
    """Loads a model folder, or fetches one from the Hub.

    The quantised file answers where there is one, unless MODEL_FORMAT in the environment says "float".

    Raises:
        ModelFolderError: It is none, or one not to be trusted.
        HubError: It can't be fetched.
    """
    folder = open_model_folder(model_id, for_torch=False)
    metrics = folder.path / "metrics.json"
    try:
        test = json.loads(metrics.read_text(encoding="utf-8")).get("test", {}) if metrics.exists() else {}
    except (ValueError, AttributeError) as error:
        raise ModelFolderError(f"{model_id} has a damaged metrics.json ({error}): evaluate it again") from None
    try:
        int8_agreement = read_int8_agreement(folder.path)
    except ValueError as error:
        raise ModelFolderError(f"{model_id} has a damaged formats.json ({error}): fit it again") from None
    reference = open_reference(folder)
    network, file = _load_network(folder)
    kept = Path(tempfile.mkdtemp(prefix="nritya-"))
    offered = folder.path / "examples"
    for path in (*offered.glob("*.jpg"), *offered.glob("examples.json")):
        shutil.copy(path, kept)
    model = ServedModel(
        name=shown_name(folder),
        repo_id=folder.repo_id,
        revision=folder.revision,
        network=network,
        file=file,
        int8_agreement=int8_agreement,
        config=folder.config,
        test=test,
        examples=sorted(kept.glob("*.jpg")),
        reference=reference,
        learned=open_pictures(folder, len(reference.features)) if reference else [],
    )
    weakref.finalize(model, shutil.rmtree, kept, ignore_errors=True)
    return model


def _load_network(folder: ModelFolder) -> tuple[Callable[[Image.Image], Answer], str]:
    wanted, quantised = os.environ.get("MODEL_FORMAT"), (folder.path / INT8_ONNX).is_file()
    if wanted == "int8" and not quantised:
        raise ModelFolderError(f"{folder.name} has no {INT8_ONNX}: MODEL_FORMAT=float can be had")
    # Each brings libraries of its own, and one is enough.
    if folder.has_onnx:
        from demo.models import through_onnx

        name = INT8_ONNX if quantised and wanted != "float" else ONNX
        return through_onnx.load_network(folder, usable_cores(), name), name
    from demo.models import through_transformers

    return through_transformers.load_network(folder), "model.safetensors"
