"""What `train evaluate` prints."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import datasets
from pydantic import Field

from files.atomic import atomic_write_text, only_writer
from files.errors import UserError
from model_folder.facts import read_metrics
from model_folder.reference_features import open_reference
from model_folder.reference_pictures import open_pictures
from train.abstention import abstention_sentence, stated_threshold
from train.calibration import stated_temperature
from train.data import LabelledImages, fingerprint, groups_of, load_images, split_for_model
from train.export.card import write_card
from train.hardware import freed_memory_kept, plain_memory_errors
from train.metrics import compute_metrics
from train.ood import distance_sentence, judge_distance, judge_others, load_others, others_sentence, title_of
from train.predict import load_model, predict
from train.predictions import check_fit, check_numbers, read_split, write_predictions
from train.processes import check_processes, from_main, make_accelerator, once_per_node
from train.recipe import Settings
from train.report.report import write_report


class OutputError(UserError):
    """Nowhere to put the results."""


class Evaluation(Settings):
    """What to judge on.

    Attributes:
        dataset: Dataset folder or Hub id.
        split: Which split of it.
        others: Pictures that are none of the model's classes: a folder of photographs, a dataset folder or a Hub
            id. The model should rather say that it does not know them.
        reuse_predictions: Judge the predictions.parquet that is there; the model looks at nothing again.
        batch_size: Pictures per step, over all processes.
        num_workers: Processes that decode pictures.
        tta: Test-time augmentation: the mean of the probabilities for a picture and for its mirror image.
        output_dir: Where the results go; default: into the model folder.
    """

    dataset: str
    split: str = "test"
    others: str | None = None
    reuse_predictions: bool = False
    batch_size: int = Field(16, ge=1)
    num_workers: int = Field(2, ge=0)
    tta: bool = False
    output_dir: Path | None = None


def evaluate(model_id: str, settings: Evaluation) -> dict[str, Any]:
    """Judges a model on one split; writes predictions.parquet, and from that metrics.json, figures and a report.

    Returns:
        The split's metrics, as in metrics.json.

    Raises:
        UserError: Model, dataset or split can't be used, or don't fit each other.
    """
    if settings.output_dir is None and not Path(model_id).is_dir():
        raise OutputError(f"{model_id} is no folder here: say where the results go with output_dir=FOLDER")
    output = settings.output_dir or Path(model_id)
    file, split = output / "predictions.parquet", settings.split
    accelerator = make_accelerator("no")
    check_processes(settings.batch_size)
    model, folder = load_model(model_id)
    temperature, threshold = stated_temperature(folder.config), stated_threshold(folder.config)
    reference = once_per_node(lambda: open_reference(folder))

    def load() -> tuple[LabelledImages, datasets.Dataset, datasets.Dataset | None]:
        images = load_images(settings.dataset)
        rows = split_for_model(images, split, folder.config, folder.label_names, model_id)
        return images, rows, load_others(settings.others, split) if settings.others else None

    images, rows, others = once_per_node(load)
    run = (settings.batch_size, settings.num_workers, settings.tta, reference)
    with plain_memory_errors(batch_size=settings.batch_size, num_workers=settings.num_workers), freed_memory_kept():
        made = None if settings.reuse_predictions else predict(accelerator, model, rows, *run)
        strange = predict(accelerator, model, others, *run) if others is not None else None

    def judge() -> dict[str, Any]:
        output.mkdir(parents=True, exist_ok=True)
        # Another split may be judged at the same time: both read what is there and add to it.
        with only_writer(output / "metrics.json", timeout=-1):
            return judge_alone()

    def judge_alone() -> dict[str, Any]:
        if made:
            check_numbers(made, f"{model_id} on {images.name}, {split}")
            write_predictions(file, split, made)
        former = read_metrics(output)
        predictions = read_split(file, split)
        check_fit(predictions, rows, f"{file}, {split}")
        # The mean of two softmaxes has no one temperature.
        tta = settings.tta if made else former.get(split, {}).get("tta", False)
        metrics = {
            **compute_metrics(predictions, groups_of(rows), None if tta else temperature, threshold),
            "ood": judge_distance(reference, predictions.nearest, groups_of(rows))
            if reference and predictions.nearest
            else None,
            "others": None,
            "tta": tta,
            "has_test": "test" in images.splits,
            "dataset": images.title,
            "dataset_id": images.repo_id,
            "fingerprint": fingerprint(rows),
            "date": datetime.now(UTC).date().isoformat(),
        }
        if strange and settings.others:
            check_numbers(strange, f"{model_id} on {settings.others}")
            metrics["others"] = judge_others(
                predictions, strange, threshold, reference, title_of(settings.others), groups_of(rows)
            )
        write_results(output, {**former, split: metrics})
        learned = open_pictures(folder, len(reference.features)) if reference else []
        write_report(output, rows, split, model, folder.config, learned, images.splits.get("train"))
        if (output / "config.json").exists():
            write_card(output)
        return metrics

    metrics = from_main(judge)
    accelerator.end_training()
    return metrics


def write_results(output: Path, table: dict[str, Any]) -> None:
    """Writes metrics.json, whole or not at all."""
    atomic_write_text(output / "metrics.json", json.dumps(table, indent=2, ensure_ascii=False) + "\n")


def summary(metrics: dict[str, Any], split: str) -> str:
    """Returns a split's metrics as a table of classes and a few sentences."""
    width = max(map(len, [*metrics["per_class"], "class"]))
    lines = [f"{'class':{width}}  pictures  precision  recall     F1"]
    for name, row in metrics["per_class"].items():
        lines.append(
            f"{name:{width}}  {row['pictures']:8}  {row['precision']:9.2f}  {row['recall']:6.2f}  {row['f1']:5.2f}"
        )
    (low, high), (f1_low, f1_high) = metrics["accuracy_interval"], metrics["macro_f1_interval"]
    lines.append(
        f"{split} accuracy {metrics['accuracy']:.1%} of {metrics['pictures']} pictures "
        f"(95 % interval {low:.1%} – {high:.1%}), macro F1 {metrics['macro_f1']:.3f} ({f1_low:.3f} – {f1_high:.3f})"
    )
    if split == "validation":
        absent = "" if metrics["has_test"] else "there is no test split, and "
        lines.append(f"{absent}validation chose the model that was kept: its figures there are too good")
    lines.append(_calibration(metrics))
    if metrics["most_confused"]:
        pairs = [f"{row['true']} as {row['predicted']} ({row['pictures']})" for row in metrics["most_confused"][:3]]
        lines.append(f"most confused: {', '.join(pairs)}")
    if metrics["reject"]:
        lines.append(abstention_sentence(metrics["reject"]))
    if metrics["ood"]:
        lines.append(distance_sentence(metrics["ood"], metrics["pictures"]))
    if metrics["others"]:
        lines.append(others_sentence(metrics["others"]))
    return "\n".join(lines)


def _calibration(metrics: dict[str, Any]) -> str:
    now = f"calibration error {metrics['ece']:.3f}, negative log-likelihood {metrics['nll']:.3f}"
    before = metrics["calibrated_from"]
    if not before:
        return now
    return f"{now}; {before['ece']:.3f} and {before['nll']:.3f} without temperature {before['temperature']:.2f}"
