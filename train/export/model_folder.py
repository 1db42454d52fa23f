"""The model folder that `fit` writes and `push` uploads: timm, transformers and app.py all read it.

`write_model_folder` calibrates the model, writes its weights with everything that describes them, exports them to
ONNX, and checks that every loader gives the same answers, before the folder takes the place of an earlier one.
"""

import filecmp
import json
import logging
import re
import shutil
from collections import Counter
from collections.abc import Set
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
from model_folder.folder import CONFIG, INT8_ONNX, LEARNED, ONNX, WEIGHTS, ModelFolder
from train.calibration import calibrate
from train.checkpoint import plain_disk_errors
from train.data import LabelledImages, fingerprint, learned_pictures_digest, read_image, values_of
from train.export import announce
from train.export.card import FORMATS, card_name, license_of, write_card
from train.export.int8 import write_int8
from train.export.onnx_graph import NoGraphError, write_onnx
from train.export.reference import look_at_training_pictures, write_reference
from train.export.self_check import check_loaders, check_onnx, check_reference
from train.history import History
from train.run_folder import RunFolder

logger = logging.getLogger(__name__)

_UNSHAREABLE = {"", "unknown", "other"}
_EXAMPLE_SIDE = 640
_MOST_SOURCES = 50


def write_model_folder(
    run: RunFolder,
    model: nn.Module,
    data_config: dict[str, Any],
    images: LabelledImages,
    history: History,
    target_accuracy: float,
    learned: Set[str] = frozenset(),
) -> Path:
    """Writes `run.model`; the folder appears whole and checked, by rename, and replaces an earlier one.

    Args:
        run: The run; its recipe and figures go along.
        model: A timm model with the weights to publish; its classifier is calibrated in place.
        data_config: How its pictures are prepared, in timm's terms.
        images: What it was trained on.
        history: How training went.
        target_accuracy: How often it should be right where it does not abstain, 0 to 1.
        learned: Pictures, by `picture_digest`, that its first weights had learned from: `learned_pictures` of the
            folder that `init_from` names. The training pictures are added to them.

    Returns:
        The model folder.

    Raises:
        SelfCheckError: A loader reads it differently.
        PredictionsError: The model's answers are no numbers.
    """
    best = history.best
    assert best is not None, "a run without an epoch has no model"
    train = images.splits["train"]
    reference = look_at_training_pictures(model, data_config, images)
    calibrated = calibrate(model, data_config, images, target_accuracy, reference)
    config = {
        "label_names": images.label_names,
        "classes": read_class_facts(images.name, images.label_names),
        "training_data": {
            "name": images.title,
            "id": images.repo_id,
            "licenses": count_licenses(train),
            # What it started from may have learned from other sources.
            "sources": None if learned else count_sources(train),
            "drawings": images.drawings,
            "pictures": len(train),
            # Of a streamed dataset, only two splits were opened.
            "has_test": None if images.stream else "test" in images.splits,
            # None where the dataset has a validation split of its own.
            "validation_drawn": images.validation_drawn,
            "fingerprint": fingerprint(train),
        },
        "validation": {"stage": best.stage, "epoch": best.epoch, "accuracy": best.validation_accuracy},
        **calibrated,
    }
    with atomic_folder(run.model, lambda folder: (folder / CONFIG).is_file()) as draft:
        with plain_disk_errors(run.model):
            save_for_hf(model, str(draft), model_config=config, safe_serialization=True, data_config=data_config)
        for file in draft.glob("*.safetensors"):
            file.chmod(0o644)
        drop_model_args(draft / CONFIG)
        (draft / LEARNED).write_text("".join(f"{name}\n" for name in sorted(learned | learned_pictures_digest(train))))
        shutil.copy(run.recipe, draft / "recipe.yaml")
        shutil.copy(run.system, draft / "system.json")
        (draft / "figures").mkdir()
        for figure in (run.figures / "training.png", *run.figures.glob("lr_finder-*.png")):
            shutil.copy(figure, draft / "figures")
        write_examples(draft / "examples", images)
        if reference:
            write_reference(draft, reference)
        announce(f"exporting {ONNX}")
        network = add_onnx(draft, data_config)
        announce("checking that timm, transformers and ONNX Runtime answer alike")
        written = ModelFolder(draft.name, draft, json.loads((draft / CONFIG).read_text(encoding="utf-8")))
        check_loaders(draft, model, data_config, images)
        if network:
            check_onnx(written, model, data_config, images)
        check_reference(written)
        int8 = write_int8(written, network, data_config, images) if network else None
        files = [file for file in (WEIGHTS, ONNX, INT8_ONNX) if (draft / file).is_file()]
        formats = {"files": {file: {"bytes": (draft / file).stat().st_size} for file in files}, "int8": int8}
        (draft / FORMATS).write_text(json.dumps(formats, indent=2) + "\n", encoding="utf-8")
        keep_results(run.model, draft)
        write_card(draft)
    return run.model


def read_class_facts(dataset: str, label_names: list[str]) -> dict[str, dict[str, str]]:
    """Reads `classes.json` of a dataset: name, native name, region, a fact and what to look for, by label.

    Args:
        dataset: Dataset folder or Hub id.
        label_names: The classes to look up.

    Returns:
        The facts of those classes that have some; empty for a dataset of another make.
    """
    place = parse(dataset)
    try:
        if isinstance(place, RepoId):
            path = hf_hub_download(place.repo_id, "classes.json", repo_type="dataset", revision=place.revision)
        else:
            path = str(Path(dataset) / "classes.json")
        facts = json.loads(Path(path).read_text(encoding="utf-8"))
    except (*CLIENT_ERRORS, ValueError):
        return {}
    if not isinstance(facts, dict):
        return {}
    return {label: facts[label] for label in label_names if isinstance(facts.get(label), dict) and facts[label]}


def count_licenses(rows: datasets.Dataset) -> dict[str, int]:
    """Returns how many pictures have each licence, the most frequent first; "unknown" where none is given."""
    if "license" not in rows.column_names:
        return {"unknown": len(rows)}
    return dict(Counter(license_id or "unknown" for license_id in rows["license"]).most_common())


def count_sources(rows: datasets.Dataset) -> dict[str, int] | None:
    """Returns how many pictures come from each source, the most frequent first.

    None where the source of one is not known, or where there are so many that they are addresses rather than sources.
    """
    if "source" not in rows.column_names:
        return None
    counts = Counter(values_of(rows, "source"))
    return None if "" in counts or len(counts) > _MOST_SOURCES else dict(counts.most_common())


def drop_model_args(config: Path) -> None:
    """Removes `model_args`, which timm writes and transformers 5 then has twice, from a config.json.

    Only a size that the architecture is built for stays: without it, transformers builds another one.
    """
    values = json.loads(config.read_text(encoding="utf-8"))
    kept = {key: value for key, value in values.pop("model_args", {}).items() if key == "img_size"}
    if kept:
        values["model_args"] = kept
    config.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
        # A class may have any name; a file may not, and no two share one.
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
        entries = json.dumps([written[label] for label in sorted(written)], indent=2, ensure_ascii=False)
        (folder / "examples.json").write_text(entries + "\n", encoding="utf-8")
    return [folder / entry["file"] for entry in written.values()]


def add_onnx(folder: Path, data_config: dict[str, Any]) -> onnx.ModelProto | None:
    """Writes model.onnx of a model folder from its weights, or warns why there is none.

    Returns:
        The network in it, or None.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    data = config["training_data"]
    properties = {
        **{key: config[key] for key in ("label_names", "architecture", "reject_threshold", "prediction_set")},
        "dataset": {key: data[key] for key in ("name", "id", "fingerprint")},
        "model_card": {"name": card_name(config), "license": license_of(data["licenses"])},
    }
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    try:
        return write_onnx(folder / ONNX, model, data_config, properties)
    except NoGraphError as error:
        logger.warning("no %s, so that app.py needs torch for this model: %s", ONNX, error)
        return None


def keep_results(previous: Path, draft: Path) -> None:
    """Copies what `evaluate` wrote into an earlier model folder, as far as it is true of the one that replaces it.

    Other weights keep nothing. The same weights with other thresholds keep their predictions, which can be judged
    again; the same weights and config.json keep all results.
    """
    results = ["metrics.json", "predictions.parquet", "report"]
    if not any((previous / name).exists() for name in results):
        return
    same, _, _ = filecmp.cmpfiles(previous, draft, (WEIGHTS, CONFIG), shallow=False)
    if WEIGHTS not in same:
        logger.warning("the results of the earlier model are not those of this one and are removed: evaluate it again")
        return
    if CONFIG not in same:
        logger.warning(
            "the weights are the same and their thresholds or classes are not: evaluate again, with "
            "reuse_predictions=true, for the metrics and the report"
        )
        results = ["predictions.parquet"]
    else:
        results += [f"figures/{path.name}" for path in (previous / "figures").glob("*.png")]
    for name in results:
        if (previous / name).is_dir():
            shutil.copytree(previous / name, draft / name)
        elif (previous / name).is_file() and not (draft / name).exists():
            shutil.copy(previous / name, draft / name)
