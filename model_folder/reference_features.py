"""What training pictures look like to a model: a picture far from all of them is none of its classes.

The distance to the k nearest training features tells that (Sun et al. 2022, "Out-of-Distribution Detection with Deep
Nearest Neighbors"). They lie in a model folder's `reference_features.safetensors`; its config.json says under `ood`
how many neighbours count, and from which distance on a picture is like none of the classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from model_folder.folder import REFERENCE, WEIGHTS, ModelFolder, ModelFolderError

KEY, _OLD_KEY = "ood", "unlike"
SCORE = "mean_cosine_distance"
"""One less the cosine of the angle between two pictures' features, 0 to 2, on average over the k nearest."""
MOST_PICTURES = 2_000
"""Of a larger training split, as many are drawn."""
MOST_NEIGHBOURS = 50
_MOST_FEATURES = 2**16
_LENGTH_TOLERANCE = 0.01
_AT_ONCE = 256


@dataclass(frozen=True)
class Nearest:
    """The training pictures that look most like some pictures, the nearest first.

    Attributes:
        distances: Cosine distances, 0 to 2, float32 of shape (pictures, neighbours).
        rows: Which ones they are, int64 of the same shape: rows of the reference features.
    """

    distances: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class ReferenceFeatures:
    """Features of training pictures, and when another picture is like none of them.

    Attributes:
        features: Each of length 1, float32 of shape (pictures, features).
        k: How many neighbours the score is the mean of.
        threshold: A picture that scores more is like none of the classes; None where nobody could choose one.
    """

    features: np.ndarray
    k: int
    threshold: float | None

    def nearest(self, features: np.ndarray) -> Nearest:
        """Finds the k nearest training pictures.

        Args:
            features: Of pictures, as the classifier sees them, of shape (pictures, features).
        """
        found = []
        for start in range(0, len(features), _AT_ONCE):
            distances = 1 - unit_length(features[start : start + _AT_ONCE]) @ self.features.T
            rows = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
            found.append((np.take_along_axis(distances, rows, 1), rows))
        return Nearest(*(np.concatenate(of) for of in zip(*found, strict=True)))

    def is_ood(self, nearest: Nearest) -> np.ndarray:
        """Tells which pictures are like none of the classes, bool of shape (pictures,)."""
        return scores_of(nearest) > (np.inf if self.threshold is None else self.threshold)


def unit_length(features: np.ndarray) -> np.ndarray:
    """Returns features, of shape (pictures, features), each divided by its length, as float32."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)


def scores_of(nearest: Nearest) -> np.ndarray:
    """Returns how unlike all training pictures each picture is, of shape (pictures,)."""
    return nearest.distances.astype(np.float64).mean(1)


def open_reference(folder: ModelFolder) -> ReferenceFeatures | None:
    """Opens a model folder's reference features; what becomes of the file afterwards does no harm.

    Returns:
        None where the folder has none.

    Raises:
        ModelFolderError: They are damaged or hostile, or don't belong to the folder's config.json.
    """
    stated, file = folder.config.get(KEY, folder.config.get(_OLD_KEY)), folder.path / REFERENCE
    if stated is None and not file.is_file():
        return None
    if stated is None or not file.is_file():
        there, lacking = (REFERENCE, f"{KEY} in its config.json") if stated is None else (KEY, REFERENCE)
        raise ModelFolderError(f"{folder.name} is not to be trusted: it has {there}, but no {lacking}")
    if fault := _fault_of_statement(stated):
        raise ModelFolderError(f"{folder.name} is not to be trusted: {fault}")
    try:
        with safe_open(file, "np") as tensors:
            # The header first: a file may claim to hold more than there is memory.
            if fault := _fault_of_shape(tensors, stated["k"], folder):
                raise ModelFolderError(f"{folder.name} is not to be trusted: {REFERENCE} {fault}")
            features = tensors.get_tensor("features").astype(np.float32)
    except SafetensorError as error:
        raise ModelFolderError(f"{folder.name} has a damaged {REFERENCE} ({error})") from None
    # Written so that NaN fails, too.
    if not (np.abs(np.linalg.norm(features, axis=1) - 1) <= _LENGTH_TOLERANCE).all():
        raise ModelFolderError(f"{folder.name} is not to be trusted: {REFERENCE} has features whose length is not 1")
    return ReferenceFeatures(features, stated["k"], stated["value"])


def _fault_of_statement(stated: Any) -> str | None:
    if not isinstance(stated, dict) or stated.get("score") != SCORE:
        return f"{KEY} in config.json is {str(stated)[:60]}: a score of {SCORE}, k and value are allowed"
    k, value = stated.get("k"), stated.get("value")
    if type(k) is not int or not 1 <= k <= MOST_NEIGHBOURS:
        return f"{KEY} in config.json has k {str(k)[:20]}: 1 to {MOST_NEIGHBOURS} is allowed"
    if value is not None and (type(value) not in (int, float) or not 0 <= value <= 2):
        return f"{KEY} in config.json has value {str(value)[:20]}: 0 to 2, or none, is allowed"
    return None


def _fault_of_shape(tensors: Any, k: int, folder: ModelFolder) -> str | None:
    found = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 - not a dict
    kinds = [(name, of.get_dtype(), len(of.get_shape())) for name, of in found.items()]
    if kinds != [("features", "F16", 2)]:
        listed = ", ".join(f"{name} {kind} of {rank} dimensions" for name, kind, rank in kinds[:4])
        return f"holds {listed[:160] or 'nothing'}: features, F16 of 2 dimensions, is allowed"
    count, width = found["features"].get_shape()
    if not k <= count <= MOST_PICTURES:
        return f"has {count} pictures: {k} to {MOST_PICTURES} are allowed"
    with safe_open(folder.path / WEIGHTS, "np") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118 - not a dict
    if not any(shape[:2] == [len(folder.label_names), width] for shape in shapes):
        return f"has {width} features for a picture, and no classifier of {WEIGHTS} takes as many: fit the model again"
    return None
