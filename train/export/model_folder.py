"""The model folder: what `fit` leaves behind and `push` uploads, readable by timm and transformers alike."""

import json
import logging
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import onnx
import timm
from huggingface_hub import hf_hub_download
from timm.models import save_for_hf
from torch import nn

from files.atomic import atomic_folder
from hub.errors import CLIENT_ERRORS
from hub.repo import RepoId, parse
from model_folder.folder import CONFIG, ONNX, ModelFolder
from train.calibration import calibrate
from train.checkpoint import plain_disk_errors
from train.data import LabelledImages, fingerprint, read_image
from train.export.card import card_name, license_of, write_card
from train.export.formats import write_formats
from train.export.int8 import write_int8
from train.export.onnx_graph import NoGraphError, write_onnx
from train.export.reference import look_at_training_pictures, write_reference
from train.export.self_check import check_loaders, check_onnx, check_reference
from train.history import Progress
from train.run_folder import RunFolder

FILE_NAME = "classes.json"


def read_class_facts(dataset: str, label_names: list[str]) -> dict[str, dict[str, str]]:
    """Reads `classes.json` of a dataset: name, native name, region, a fact and what to look for, by label.

    Args:
        dataset: Dataset folder or Hub id.
        label_names: The classes to tell about.

    Returns:
        The facts of those classes that have some; empty for a dataset of another make.
    """
    place = parse(dataset)
    try:
        if isinstance(place, RepoId):
            path = Path(hf_hub_download(place.repo_id, FILE_NAME, repo_type="dataset", revision=place.revision))
        else:
            path = Path(dataset) / FILE_NAME
        told = json.loads(path.read_text(encoding="utf-8"))
    except (*CLIENT_ERRORS, ValueError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {label: told[label] for label in label_names if isinstance(told.get(label), dict) and told[label]}


_UNSHAREABLE = {"", "unknown", "other"}
_EXAMPLE_SIDE = 640


def write_examples(folder: Path, images: LabelledImages) -> list[Path]:
    """Writes one picture per class that the model has not learned from, for the demo to offer.

    Only pictures whose licence is known come along, with author and licence in `examples.json`.
    """
    rows = images.splits.get("test", images.splits["validation"])
    if "license" not in rows.column_names:
        return []
    written: dict[int, dict[str, str]] = {}
    for index, (label, license_id) in enumerate(zip(rows["label"], rows["license"], strict=True)):
        if label in written or license_id in _UNSHAREABLE:
            continue
        row = rows[index]
        # A class may be called anything; a file of ours may not, and no two are called alike.
        stem = re.sub(r'[/\\:*?"<>|.\x00-\x1f]+', "-", images.label_names[label])
        taken = {entry["file"] for entry in written.values()}
        file = f"{stem}.jpg" if f"{stem}.jpg" not in taken else f"{stem}-{label}.jpg"
        folder.mkdir(exist_ok=True)
        picture = read_image(rows, index, 2 * _EXAMPLE_SIDE)
        picture.thumbnail((_EXAMPLE_SIDE, _EXAMPLE_SIDE))
        picture.info.clear()
        picture.save(folder / file, quality=90)
        origin = {key: row.get(key, "") for key in ("license", "author", "source_url")}
        written[label] = {"file": file, "label": images.label_names[label], **origin}
    if written:
        entries = [written[label] for label in sorted(written)]
        (folder / "examples.json").write_text(
            json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return [folder / entry["file"] for entry in written.values()]


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
                        "validation_drawn": images.validation_drawn,
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
