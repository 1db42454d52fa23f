"""The training pictures in a model folder: their features, credits, and small copies of those that may be shared."""

import io
import json
import logging
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from tqdm import tqdm

from model_folder.folder import PICTURES, REFERENCE
from model_folder.reference_features import MOST_PICTURES, ReferenceFeatures, unit_length
from model_folder.reference_pictures import LIST
from train.data import LabelledImages
from train.export import announce
from train.loaders import pixel_transform
from train.predict import FromPixels, WithFeatures, gives_features
from train.report.pictures import Pictures

logger = logging.getLogger(__name__)

NEIGHBOURS = (5, 20)
"""The fewest and the most: of several, one odd training picture can't make another one look familiar."""
_SEED, _BATCH = 8, 16
_THUMBNAIL, _QUALITY = 160, 80
# The earliest date that a zip can hold: the same pictures give the same bytes.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Reference:
    """Training pictures, with their features.

    Attributes:
        features: Each of length 1, float16 of shape (pictures, features).
        entries: For every picture label, sha256, license, author, source_url and file, as in `pictures.json`.
        jpegs: Small copies of those that may be shared, by file.
    """

    features: np.ndarray
    entries: list[dict[str, str | None]]
    jpegs: dict[str, bytes]

    def as_others_read_it(self) -> ReferenceFeatures:
        """Returns the features as they will be read, rounded to float16, and without a threshold.

        Half as many neighbours count as a class has pictures (the median), 5 to 20. Chosen by false alarms on
        collections, and by pictures of dances, that were left out of training: benchmarks/README.md, "None of the
        classes".
        """
        of_class = int(np.median([*Counter(entry["label"] for entry in self.entries).values()]))
        k = min(int(np.clip(of_class // 2, *NEIGHBOURS)), len(self.features))
        return ReferenceFeatures(self.features.astype(np.float32), k, None)


def choose_rows(labels: np.ndarray, most: int = MOST_PICTURES) -> np.ndarray:
    """Samples pictures from every class in turn, always the same ones.

    Args:
        labels: Of shape (pictures,).
        most: How many pictures at most.

    Returns:
        Their rows, in ascending order.
    """
    order = np.random.default_rng(_SEED).permutation(len(labels))
    turn = np.empty(len(labels), dtype=int)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:most])


def look_at_training_pictures(model: Any, data_config: dict[str, Any], images: LabelledImages) -> Reference | None:
    """Computes the features of the training pictures, of a sample where they are many; each is decoded once.

    Args:
        model: A timm model on any device; it is left in evaluation mode.
        data_config: How pictures are prepared for it.
        images: What it was trained on.

    Returns:
        None, with a warning, where they are streamed, or where the architecture has no features.
    """
    model.eval()
    if images.stream is not None:
        logger.warning("the training pictures are streamed: this model can't detect pictures that show no class")
        return None
    if not gives_features(model, data_config["input_size"]):
        logger.warning("this architecture has no linear classifier: it can't detect pictures that show no class")
        return None
    rows = images.split("train")
    labels, pictures = np.array(rows["label"]), Pictures(rows)
    chosen = choose_rows(labels)
    announce(f"computing the features of {len(chosen)} training pictures")
    network, prepare = FromPixels(WithFeatures(model), data_config), pixel_transform(data_config)
    device, width = next(model.parameters()).device, len(images.label_names)
    network.to(device)
    features: list[np.ndarray] = []
    entries: list[dict[str, str | None]] = []
    jpegs: dict[str, bytes] = {}
    for start in tqdm(range(0, len(chosen), _BATCH), desc="Reference features", unit="batch", disable=None):
        batch = []
        for index in chosen[start : start + _BATCH].tolist():
            picture, credit = pictures.open(index), pictures.credit(index)
            batch.append(prepare(picture))
            file = f"{len(entries):04d}.jpg" if credit.may_be_passed_on else None
            if file:
                jpegs[file] = _thumbnail(picture)
            entries.append(
                {
                    "label": images.label_names[labels[index]],
                    "sha256": credit.sha256,
                    "license": credit.license,
                    "author": credit.author if file else "",
                    "source_url": credit.source_url if file else "",
                    "file": file,
                }
            )
        with torch.inference_mode():
            features.append(network(torch.stack(batch).to(device)).float().cpu().numpy()[:, width:])
    return Reference(unit_length(np.concatenate(features)).astype(np.float16), entries, jpegs)


def write_reference(folder: Path, reference: Reference) -> None:
    """Writes `reference_features.safetensors` and `reference_pictures.zip` into a model folder."""
    save_file({"features": reference.features}, folder / REFERENCE)
    with zipfile.ZipFile(folder / PICTURES, "w") as archive:
        listed = json.dumps(reference.entries, indent=1, ensure_ascii=False)
        archive.writestr(zipfile.ZipInfo(LIST, _NO_DATE), listed, zipfile.ZIP_DEFLATED)
        for file, jpeg in reference.jpegs.items():
            archive.writestr(zipfile.ZipInfo(file, _NO_DATE), jpeg)


def _thumbnail(picture: Any) -> bytes:
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    picture.info.clear()
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
