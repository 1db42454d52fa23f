"""A model folder, from this disk or from the Hub, that is checked before anything in it is trusted."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from files.errors import UserError
from hub.errors import HubError, one_line_errors
from hub.repo import parse

CONFIG, WEIGHTS, ONNX = "config.json", "model.safetensors", "model.onnx"
INT8_ONNX = "model.int8.onnx"
REFERENCE, PICTURES = "reference_features.safetensors", "reference_pictures.zip"
LEARNED = "training_pictures.txt"
"""A line per picture that the weights have learned from, as `picture_digest` writes it, in ascending order."""
# Nothing else is fetched: no code, no pickles.
_WANTED = [
    CONFIG, WEIGHTS, ONNX, INT8_ONNX, REFERENCE, PICTURES, LEARNED, "metrics.json", "examples/*.jpg",
    "examples/examples.json",
]  # fmt: skip
_MOST_CLASSES = 10_000
_LARGEST_SIDE = 1024
_LONGEST_NAME = 200


class ModelFolderError(UserError):
    """A folder or repository is no model folder, or one that is not to be trusted."""


@dataclass(frozen=True)
class ModelFolder:
    """A model folder on this disk.

    Attributes:
        name: The name by which it was opened.
        path: The model folder; within the run, where a run was named.
        config: Its config.json, checked.
        repo_id: Its id on the Hub, or None for a local folder.
        revision: The commit that was fetched, or None.
    """

    name: str
    path: Path
    config: dict[str, Any]
    repo_id: str | None = None
    revision: str | None = None

    @property
    def label_names(self) -> list[str]:
        """Class names, in the order of the logits."""
        return self.config["label_names"]

    @property
    def has_onnx(self) -> bool:
        """True when it can answer without torch."""
        return (self.path / ONNX).is_file()


def open_model_folder(name: str, for_torch: bool = True) -> ModelFolder:
    """Opens a model folder, or fetches one from the Hub (`user/name`, `user/name@revision`).

    Args:
        name: A model folder, a run with a model folder `model`, or a Hub id.
        for_torch: timm will build the network. Without it, a folder with a model.onnx is opened and no torch imported.

    Raises:
        ModelFolderError: It is none, or its config is wrong or hostile.
        HubError: It can't be fetched.
    """
    place = parse(name)
    if place is None:
        raise ModelFolderError(f"{name} is neither a folder nor a Hub id (user/name)")
    if isinstance(place, Path):
        inside = place / "model"
        folder = inside if (inside / CONFIG).is_file() and not (place / CONFIG).is_file() else place
    else:
        with one_line_errors(f"{name} is no folder here, and the Hub does not give it"):
            folder = Path(snapshot_download(place.repo_id, revision=place.revision, allow_patterns=_WANTED))
            check_downloads(folder)
    config = check_model_folder(folder, name, for_torch or not (folder / ONNX).is_file())
    if isinstance(place, Path):
        return ModelFolder(name, folder, config)
    # The Hub's cache names a snapshot after its commit.
    return ModelFolder(name, folder, config, place.repo_id, folder.name)


def picture_digest(sha256: str) -> str:
    """Returns how a model folder names a picture that was learned: 16 hex digits.

    They are a hash of the picture's own, so that whoever has the picture finds it and nobody else learns which one
    it was.

    Args:
        sha256: Of the picture's file, in hex digits, as the dataset's column `sha256` has it.
    """
    return hashlib.sha256(sha256.encode()).hexdigest()[:16]


def learned_pictures(folder: ModelFolder) -> set[str]:
    """Returns the pictures that a model's weights have learned from, by `picture_digest`.

    They include those that the models before it have learned from, where it was trained with `init_from`.

    Returns:
        An empty set where the folder does not list them.

    Raises:
        ModelFolderError: The list is damaged.
    """
    file = folder.path / LEARNED
    digests = file.read_text(encoding="utf-8", errors="replace").split() if file.is_file() else []
    if not all(re.fullmatch("[0-9a-f]{16}", digest) for digest in digests):
        raise ModelFolderError(f"{folder.name} has a damaged {LEARNED}: lines of 16 hex digits are allowed")
    return set(digests)


def check_downloads(snapshot: Path) -> None:
    """Compares downloaded LFS files with their checksums; the Hub's clients compare sizes only.

    The cache names such a file after its SHA-256. One that arrived damaged is removed, so that the next try
    fetches it again.

    Raises:
        HubError: A file arrived damaged.
    """
    for file in sorted(snapshot.rglob("*")):
        blob = file.resolve()
        if not re.fullmatch(r"[0-9a-f]{64}", blob.name) or not blob.is_file():
            continue
        with blob.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() == blob.name:
                continue
        blob.unlink()
        file.unlink()
        raise HubError(f"{file.name} arrived damaged (its checksum is wrong): run the same command again")


def check_model_folder(folder: Path, name: str, for_torch: bool) -> dict[str, Any]:
    """Reads config.json and the header of the weights, and refuses what does not fit or is out of bounds.

    Args:
        folder: The folder.
        name: Its name in messages.
        for_torch: timm must know the architecture, too.

    Raises:
        ModelFolderError: A file is missing, or something is not allowed.
    """
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise ModelFolderError(f"{name} is no model folder: it has no {file}")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        architecture, names, count = config["architecture"], config["label_names"], config["num_classes"]
        size = config["pretrained_cfg"]["input_size"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFolderError(f"{name} has no usable {CONFIG} ({type(error).__name__}: {error})") from None
    fault = (
        fault_of_labels(names, count)
        or _fault_of_architecture(architecture, for_torch)
        or _fault_of_size(size)
        or _fault_of_weights(folder / WEIGHTS, count)
    )
    if fault:
        raise ModelFolderError(f"{name} is not to be trusted: {fault}")
    return config


def fault_of_labels(names: Any, count: Any) -> str | None:
    """Returns what a list of class names has that is not allowed, or None."""
    if not isinstance(names, list) or not all(isinstance(n, str) and 0 < len(n) <= _LONGEST_NAME for n in names):
        return f"label_names must be a list of names of at most {_LONGEST_NAME} characters"
    if not 2 <= len(names) <= _MOST_CLASSES or len(set(names)) != len(names):
        return f"{len(names)} label_names, some perhaps alike: 2 to {_MOST_CLASSES:,} different ones are allowed"
    return None if count == len(names) else f"num_classes is {count} and there are {len(names)} label_names"


def _fault_of_architecture(architecture: Any, for_torch: bool) -> str | None:
    known = isinstance(architecture, str) and len(architecture) <= _LONGEST_NAME
    if known and for_torch:
        import timm

        known = timm.is_model(architecture)
    return None if known else f"timm has no architecture {str(architecture)[:60]!r}"


def _fault_of_size(size: Any) -> str | None:
    whole = isinstance(size, list) and len(size) == 3 and all(isinstance(n, int) for n in size)
    if whole and size[0] == 3 and all(16 <= n <= _LARGEST_SIDE for n in size[1:]):
        return None
    return f"input_size is {str(size)[:60]}: 3 x 16 to {_LARGEST_SIDE} x 16 to {_LARGEST_SIDE} is allowed"


def _fault_of_weights(weights: Path, count: int) -> str | None:
    try:
        with safe_open(weights, "np") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        return f"{weights.name} is damaged ({error})"
    return (
        None if any(shape[:1] == [count] for shape in shapes) else f"no weights for {count} classes in {weights.name}"
    )
