"""The model folder: what `fit` leaves behind and `push` uploads, readable by timm and transformers alike."""

import json
import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import onnx
import timm
from timm.models import save_for_hf
from torch import nn

from files.atomic import atomic_folder
from model_folder.folder import CONFIG, ONNX, ModelFolder
from train.exporting.export import write_onnx
from train.exporting.formats import write_formats
from train.exporting.int8 import write_int8
from train.exporting.raw_pixels import NoGraphError
from train.fitting.checkpoint import plain_disk_errors
from train.fitting.data import LabelledImages, fingerprint
from train.fitting.progress import Progress
from train.fitting.run_folder import RunFolder
from train.publishing.calibrate import calibrate
from train.publishing.card import card_name, license_of, write_card
from train.publishing.class_facts import read_class_facts
from train.publishing.examples import write_examples
from train.publishing.reference import look_at_training_pictures, write_reference
from train.publishing.self_check import check_loaders, check_onnx, check_reference

logger = logging.getLogger(__name__)


def write_model_folder(
    run: RunFolder,
    model: nn.Module,
    data_config: dict[str, Any],
    images: LabelledImages,
    progress: Progress,
    target_accuracy: float,
) -> Path:
    """Writes `run.model`; the folder appears whole and checked, by rename, and replaces an earlier one.

    Args:
        run: The run; its recipe and figures go along.
        model: A timm model with the weights to publish; its classifier is calibrated in place.
        data_config: How its pictures are prepared, in timm's terms.
        images: What it was trained on.
        progress: How training went.
        target_accuracy: How often it should be right where it does not abstain, 0 to 1.

    Returns:
        The model folder.

    Raises:
        SelfCheckError: A loader reads it differently.
        PredictionsError: The model gives no numbers.
    """
    best = progress.best
    assert best is not None, "a run without an epoch has no model"
    reference = look_at_training_pictures(model, data_config, images)
    calibrated = calibrate(model, data_config, images, target_accuracy, reference)
    with atomic_folder(run.model, lambda folder: (folder / CONFIG).is_file()) as draft:
        with plain_disk_errors(run.model):
            save_for_hf(
                model,
                str(draft),
                model_config={
                    "label_names": images.label_names,
                    "classes": read_class_facts(images.name, images.label_names),
                    "training_data": {
                        "name": images.title,
                        "id": images.repo_id,
                        "licenses": count_licenses(images.splits["train"]),
                        "drawings": images.drawings,
                        "pictures": len(images.splits["train"]),
                        # Of a stream, nobody has asked.
                        "has_test": None if images.stream else "test" in images.splits,
                        "fingerprint": fingerprint(images.splits["train"]),
                    },
                    "validation": {
                        "stage": best.stage,
                        "epoch": best.epoch,
                        "accuracy": best.validation_accuracy,
                    },
                    **calibrated,
                },
                safe_serialization=True,
                data_config=data_config,
            )
        drop_model_args(draft / CONFIG)
        shutil.copy(run.recipe, draft / "recipe.yaml")
        shutil.copy(run.system, draft / "system.json")
        (draft / "figures").mkdir()
        for figure in (run.figures / "training.png", *run.figures.glob("lr_finder-*.png")):
            shutil.copy(figure, draft / "figures")
        write_examples(draft / "examples", images)
        if reference:
            write_reference(draft, reference)
        network = add_onnx(draft, data_config)
        for file in draft.glob("*.safetensors"):
            file.chmod(0o644)
        # Before it takes the place of an earlier one.
        check_loaders(draft, model, data_config, images)
        if (draft / ONNX).exists():
            check_onnx(draft, model, data_config, images)
        check_reference(draft)
        written = ModelFolder(draft.name, draft, json.loads((draft / CONFIG).read_text(encoding="utf-8")))
        int8 = write_int8(written, network, data_config, images) if network else None
        write_formats(written, data_config, images, int8)
        write_card(draft)
    return run.model


def add_onnx(folder: Path, data_config: dict[str, Any]) -> onnx.ModelProto | None:
    """Writes model.onnx of a model folder from its weights, or warns why there is none.

    Returns:
        The network in it, or None.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    data = config["training_data"]
    try:
        return write_onnx(
            folder / ONNX,
            timm.create_model(f"local-dir:{folder}", pretrained=True).eval(),
            data_config,
            {
                "label_names": config["label_names"],
                "architecture": config["architecture"],
                "reject_threshold": config["reject_threshold"],
                "dataset": {key: data[key] for key in ("name", "id", "fingerprint")},
                "model_card": {"name": card_name(config), "license": license_of(data["licenses"])},
            },
        )
    except NoGraphError as error:
        logger.warning("no model.onnx, so that app.py needs torch for this model: %s", error)
        return None


def count_licenses(rows: datasets.Dataset) -> dict[str, int]:
    """Returns how many pictures have each licence, the most frequent first; "unknown" where nobody says."""
    if "license" not in rows.column_names:
        return {"unknown": len(rows)}
    return dict(Counter(license_id or "unknown" for license_id in rows["license"]).most_common())


def drop_model_args(config: Path) -> None:
    """Removes from `model_args`, which timm writes, what transformers 5 takes from elsewhere and then has twice.

    Only a size that the architecture is built for stays: without it, transformers builds another one.
    """
    values = json.loads(config.read_text(encoding="utf-8"))
    kept = {key: value for key, value in values.pop("model_args", {}).items() if key == "img_size"}
    if kept:
        values["model_args"] = kept
    config.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
