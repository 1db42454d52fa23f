"""The story of `train evaluate`: a model's answers on a split, and what they are worth."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from pydantic import Field

from train.errors import UserError
from train.fitting.data import LabelledImages, fingerprint, load_images
from train.judging.metrics import compute_metrics
from train.judging.plots import plot_confusion_matrix
from train.judging.predict import Predictions, load_model, predict, write_predictions
from train.publishing.card import read_metrics, write_card
from train.running.memory import plain_memory_errors
from train.running.processes import check_processes, from_main, make_accelerator, once_per_node
from train.settings import Settings

logger = logging.getLogger(__name__)


class LabelsError(UserError):
    """A dataset whose labels are not those of the model."""


class OutputError(UserError):
    """Nowhere to put the results."""


class Evaluation(Settings):
    """What to judge on.

    Attributes:
        dataset: Dataset folder or Hub id.
        split: Which split of it.
        batch_size: Pictures per step, over all processes.
        num_workers: Processes that decode pictures.
        tta: Test-time augmentation: the mean of the probabilities for a picture and for its mirror image.
        output_dir: Where the results go; default: into the model folder.
    """

    dataset: str
    split: str = "test"
    batch_size: int = Field(32, ge=1)
    num_workers: int = Field(2, ge=0)
    tta: bool = False
    output_dir: Path | None = None


def evaluate(model_id: str, settings: Evaluation) -> dict[str, Any]:
    """Judges a model on one split; writes metrics.json, predictions.parquet and the confusion matrix.

    Returns:
        The split's metrics, as in metrics.json.

    Raises:
        UserError: Model, dataset or split can't be used, or don't fit each other.
    """
    if settings.output_dir is None and not Path(model_id).is_dir():
        raise OutputError(f"{model_id} is no folder here: say where the results go with output_dir=FOLDER")
    output = settings.output_dir or Path(model_id)
    accelerator = make_accelerator("no")
    check_processes(settings.batch_size)
    model, folder = load_model(model_id)

    def load() -> tuple[LabelledImages, datasets.Dataset]:
        images = load_images(settings.dataset)
        warn_of_leak(images, folder.config)
        return images, as_numbered(images, images.split(settings.split), folder.label_names, model_id)

    images, rows = once_per_node(load)
    with plain_memory_errors(batch_size=settings.batch_size, num_workers=settings.num_workers):
        predictions = predict(accelerator, model, rows, settings.batch_size, settings.num_workers, settings.tta)
    metrics = {
        **compute_metrics(predictions),
        "tta": settings.tta,
        "dataset": images.title,
        "dataset_id": images.repo_id,
        "fingerprint": fingerprint(rows),
        "date": datetime.now(UTC).date().isoformat(),
    }
    from_main(lambda: write_results(output, settings.split, predictions, metrics))
    accelerator.end_training()
    return metrics


def warn_of_leak(images: LabelledImages, config: dict[str, Any]) -> None:
    """Warns when the model learned from another build of this dataset: its splits may have been others."""
    data = config.get("training_data", {})
    if data.get("name") != images.title or "train" not in images.splits:
        return
    if data.get("fingerprint") != fingerprint(images.splits["train"]):
        logger.warning(
            "%s has been built anew since the model was trained: pictures that it learned from may be among those "
            "it is judged on now",
            images.name,
        )


def write_results(output: Path, split: str, predictions: Predictions, metrics: dict[str, Any]) -> None:
    """Writes predictions.parquet, metrics.json, the confusion matrix and, in a model folder, the card."""
    output.mkdir(parents=True, exist_ok=True)
    write_predictions(output / "predictions.parquet", split, predictions)
    table = {**read_metrics(output), split: metrics}
    (output / "metrics.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    plot_confusion_matrix(
        output / "figures" / f"confusion_matrix_{split}.png",
        np.array(metrics["confusion_matrix"]),
        predictions.label_names,
        f"{metrics['accuracy']:.1%} of {metrics['pictures']} pictures right ({split})",
    )
    if (output / "config.json").exists():
        write_card(output)


def as_numbered(
    images: LabelledImages, rows: datasets.Dataset, label_names: list[str], model_id: str
) -> datasets.Dataset:
    """Returns the rows with their labels numbered as the model numbers them.

    Raises:
        LabelsError: The dataset has a class that the model does not know.
    """
    if strangers := sorted(set(images.label_names) - set(label_names)):
        raise LabelsError(
            f"{images.name} has classes that {model_id} does not know ({', '.join(strangers)}): "
            f"it knows {', '.join(label_names)}"
        )
    if images.label_names == label_names:
        return rows
    numbers = [label_names.index(name) for name in images.label_names]
    features = datasets.Features({**rows.features, "label": datasets.ClassLabel(names=label_names)})
    return rows.map(lambda label: {"label": numbers[label]}, input_columns="label", features=features)


def summary(metrics: dict[str, Any], split: str) -> str:
    """Returns the table that `evaluate` prints."""
    width = max(map(len, [*metrics["per_class"], "class"]))
    lines = [f"{'class':{width}}  pictures  precision  recall     F1"]
    for name, row in metrics["per_class"].items():
        lines.append(
            f"{name:{width}}  {row['pictures']:8}  {row['precision']:9.2f}  {row['recall']:6.2f}  {row['f1']:5.2f}"
        )
    low, high = metrics["accuracy_interval"]
    lines.append(
        f"{split} accuracy {metrics['accuracy']:.1%} of {metrics['pictures']} pictures "
        f"(95 % interval {low:.1%} – {high:.1%}), macro F1 {metrics['macro_f1']:.3f}"
    )
    return "\n".join(lines)
