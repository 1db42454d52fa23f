"""The story of `train evaluate`: a model answers a split, and its answers become metrics, figures and a report."""

import hashlib
import html
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from pydantic import Field

from files.atomic import atomic_write_text, only_writer
from files.errors import UserError
from model_folder.facts import read_metrics, read_prediction_sets
from model_folder.folder import WEIGHTS, learned_pictures, picture_digest
from model_folder.reference_features import open_reference
from model_folder.reference_pictures import open_pictures
from train.abstention import abstention_sentence, stated_threshold
from train.calibration import stated_temperature
from train.data import LabelledImages, fingerprint, groups_of, load_to_judge, split_for_model, values_of
from train.export.card import write_card
from train.export.model_folder import count_sources
from train.hardware import freed_memory_kept, plain_memory_errors
from train.metrics import compute_metrics, score_by
from train.ood import distance_sentence, judge_distance, judge_others, load_others, others_sentence, title_of
from train.predict import load_model, predict_split
from train.prediction_set import sets_sentence
from train.predictions import (
    Predictions,
    PredictionsError,
    check_numbers,
    fit_to,
    names_of,
    read_predictions,
    write_predictions,
)
from train.processes import check_processes, from_main, make_accelerator, once_per_node
from train.recipe import Settings
from train.report import plots
from train.report.report import with_intervals, write_report

# Of a column such as the author, which may have thousands of values.
_MOST_GROUPS = 20


class OutputError(UserError):
    """Nowhere to put the results."""


class Evaluation(Settings):
    """What to judge a model on.

    Attributes:
        dataset: Dataset folder or Hub id.
        split: Which split of it.
        image_column: Name of its image column; by default `image`, or the only one there is.
        label_column: Name of its label column; by default `label`, or the only one of class labels.
        others: Pictures that are none of the model's classes: a folder of photographs, a dataset folder or a Hub
            id. The model should rather say that it does not know them.
        by: Also judge every group of pictures that have the same value in this column, such as source, author, event
            or license; "size" stands for classes of sizes.
        reuse_predictions: Judge the predictions.parquet that is there, made by the same weights, without running the
            model again.
        batch_size: Pictures per step, over all processes.
        num_workers: Processes that decode pictures.
        tta: Test-time augmentation: the mean of the probabilities for a picture and for its mirror image.
        output_dir: Where the results go; default: into the model folder.
    """

    dataset: str
    split: str = "test"
    image_column: str | None = None
    label_column: str | None = None
    others: str | None = None
    by: str | None = None
    reuse_predictions: bool = False
    batch_size: int = Field(16, ge=1)
    num_workers: int = Field(2, ge=0)
    tta: bool = False
    output_dir: Path | None = None


@dataclass(frozen=True)
class EvaluationResult:
    """What `evaluate` found.

    Attributes:
        model: The model, as it was asked for.
        split: What it was judged on.
        metrics: As in metrics.json (`compute_metrics`).
        output_dir: Where predictions.parquet, metrics.json and figures lie.
        report: The page.
    """

    model: str
    split: str
    metrics: dict[str, Any]
    output_dir: Path
    report: Path

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0 to 1."""
        return self.metrics["accuracy"]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes, 0 to 1."""
        return self.metrics["macro_f1"]

    @cached_property
    def predictions(self) -> Predictions:
        """The answers, read from predictions.parquet."""
        return read_predictions(self.output_dir / "predictions.parquet", self.split)

    def __getitem__(self, name: str) -> Any:
        """Returns a metric by its name in metrics.json."""
        return self.metrics[name]

    def summary(self) -> str:
        """Returns the metrics as a table of classes and a few sentences, and where the report is."""
        return f"{summary(self.metrics, self.split)}\nReport: {self.report.resolve().as_uri()}"

    def plot_confusion_matrix(self) -> Any:
        """Returns a matplotlib figure: counts and their share of the row; rows true, columns predicted."""
        counts, names = np.array(self.metrics["confusion_matrix"]), list(self.metrics["per_class"])
        title = f"{self.accuracy:.1%} of {self.metrics['pictures']} pictures right ({self.split})"
        return plots.plot_confusion_matrix(counts, names, title)

    def plot_per_class(self) -> Any:
        """Returns a matplotlib figure: recall of every class with its interval, and precision."""
        return plots.plot_per_class(self.metrics["per_class"], f"Each class ({self.split})")

    def plot_reliability(self) -> Any:
        """Returns a matplotlib figure: how often the model is right over how sure it is."""
        before = (self.metrics["calibrated_from"] or {}).get("reliability", [])
        after = with_intervals(self.metrics["reliability"])
        return plots.plot_reliability(after, before, f"Reliability ({self.split})")

    def plot_risk_coverage(self) -> Any:
        """Returns a matplotlib figure: accuracy over the share of pictures that are answered, the surest first."""
        reject = self.metrics["reject"] if self.metrics["reject"]["answered"] else None
        points = with_intervals(self.metrics["risk_coverage"])
        return plots.plot_risk_coverage(points, reject, f"Accuracy when it may abstain ({self.split})")

    def __repr__(self) -> str:
        """Names the model, the split and the two numbers."""
        return (
            f"EvaluationResult({self.model}, {self.split}: accuracy {self.accuracy:.1%} of "
            f"{self.metrics['pictures']} pictures, macro F1 {self.macro_f1:.3f})"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def evaluate(model_id: str | Path, settings: Evaluation | None = None, **values: Any) -> EvaluationResult:
    """Judges a model on one split; writes predictions.parquet, and from that metrics.json, figures and a report.

    Args:
        model_id: A model folder, a run with one, or a Hub id.
        settings: What to judge it on.
        values: Settings by name, which win: `evaluate("runs/first", dataset="dances")`.

    Raises:
        UserError: Model, dataset or split can't be used, or don't fit each other.
    """
    model_id, settings = str(model_id), Evaluation(**{**(settings.model_dump() if settings else {}), **values})
    if settings.output_dir is None and not Path(model_id).is_dir():
        raise OutputError(f"{model_id} is no folder here: say where the results go with output_dir=FOLDER")
    split = settings.split
    on_gpu = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    accelerator = make_accelerator("bf16" if on_gpu else "no")
    check_processes(settings.batch_size)
    model, folder = load_model(model_id)
    output = settings.output_dir or folder.path
    temperature, threshold = stated_temperature(folder.config), stated_threshold(folder.config)
    sets = read_prediction_sets(folder.config)
    cut = sets.cut if sets else None
    reference = once_per_node(lambda: open_reference(folder))

    def load() -> tuple[LabelledImages, datasets.Dataset, datasets.Dataset | None]:
        images = load_to_judge(
            settings.dataset,
            split,
            folder.config,
            image_column=settings.image_column,
            label_column=settings.label_column,
        )
        rows = split_for_model(images, split, folder.config, folder.label_names, model_id)
        return images, rows, load_others(settings.others, split) if settings.others else None

    images, rows, others = once_per_node(load)
    parts = values_of(rows, settings.by) if settings.by else []
    run = (settings.batch_size, settings.num_workers, settings.tta, reference)
    with plain_memory_errors(batch_size=settings.batch_size, num_workers=settings.num_workers), freed_memory_kept():
        made = None if settings.reuse_predictions else predict_split(accelerator, model, rows, *run)
        strange = predict_split(accelerator, model, others, *run) if others is not None else None

    def judge() -> tuple[dict[str, Any], Path]:
        output.mkdir(parents=True, exist_ok=True)
        # Another split may be judged at the same time: both read what is there and add to it.
        with only_writer(output / "metrics.json", timeout=-1):
            return judge_alone()

    def judge_alone() -> tuple[dict[str, Any], Path]:
        previous = read_metrics(output)
        with (folder.path / WEIGHTS).open("rb") as weights:
            sha256 = hashlib.file_digest(weights, "sha256").hexdigest()
        file = output / "predictions.parquet"
        predictions = _described(made, rows, split, sha256, file, model_id, images.name)
        write_predictions(file, predictions, cut)
        # The mean of two softmaxes has no one temperature.
        tta = settings.tta if made else previous.get(split, {}).get("tta", False)
        metrics = {
            **compute_metrics(predictions, None if tta else temperature, threshold, sets),
            "ood": judge_distance(reference, predictions.nearest, predictions.group_numbers)
            if reference and predictions.nearest
            else None,
            "others": None,
            "by": score_by(predictions, settings.by, parts, cut) if settings.by else None,
            "tta": tta,
            "elsewhere": comes_from_elsewhere(rows, folder.config),
            "learned_pictures": count_learned(predictions.sha256, learned_pictures(folder)),
            "has_test": "test" in images.splits,
            "dataset": images.title,
            "dataset_id": images.repo_id,
            "fingerprint": fingerprint(rows),
            "date": datetime.now(UTC).date().isoformat(),
        }
        if strange and settings.others:
            check_numbers(strange, f"{model_id} on {settings.others}")
            metrics["others"] = judge_others(
                predictions, strange, threshold, reference, title_of(settings.others), predictions.group_numbers
            )
        table = json.dumps({**previous, split: metrics}, indent=2, ensure_ascii=False)
        atomic_write_text(output / "metrics.json", table + "\n")
        learned = open_pictures(folder, len(reference.features)) if reference else []
        features = reference.features if reference else None
        page = write_report(output, rows, split, model, folder.config, learned, images.splits.get("train"), features)
        if (output / "config.json").exists():
            write_card(output)
        return metrics, page

    metrics, page = from_main(judge)
    accelerator.end_training()
    return EvaluationResult(model_id, split, metrics, output, page)


def _described(
    made: Predictions | None, rows: datasets.Dataset, split: str, weights: str, file: Path, model_id: str, dataset: str
) -> Predictions:
    """Returns the answers to a split's rows, in their order and with their groups; of the file where none are made.

    Raises:
        PredictionsError: Answers are no numbers, or what is there is of other weights, pictures or labels.
    """
    groups = groups_of(rows) or [""] * len(rows)
    if made:
        check_numbers(made, f"{model_id} on {dataset}, {split}")
        return replace(made, splits=[split] * len(rows), groups=groups, weights=weights)
    there = read_predictions(file, split)
    if there.weights not in ("", weights):
        raise PredictionsError(
            f"{file} has answers on {split} that other weights than those of {model_id} gave: leave "
            "reuse_predictions away, so that this model answers"
        )
    labels = [there.label_names[label] for label in rows["label"]]
    return fit_to(there, names_of(rows), labels, f"{file} and {dataset}, {split}", groups=groups)


def comes_from_elsewhere(rows: datasets.Dataset, config: dict[str, Any]) -> bool | None:
    """Tells whether no picture is from a source that the model has learned from; None where nobody knows.

    Args:
        rows: The pictures.
        config: The model's config.json.
    """
    learned, sources = config.get("training_data", {}).get("sources"), count_sources(rows)
    return None if learned is None or sources is None else not learned.keys() & sources.keys()


def count_learned(sha256: list[str], learned: set[str]) -> int | None:
    """Returns how many pictures a model has learned from, or None where it or the dataset does not tell.

    Args:
        sha256: Names of the pictures; empty strings where they have none.
        learned: Training pictures, by `picture_digest`.
    """
    digests = [picture_digest(name) for name in sha256 if name]
    return sum(digest in learned for digest in digests) if learned and digests else None


def summary(metrics: dict[str, Any], split: str) -> str:
    """Returns a split's metrics as a table of classes and a few sentences."""
    width = max(map(len, [*metrics["per_class"], "class"]))
    lines = [f"{'class':{width}}  pictures  precision  recall     F1"]
    for name, row in metrics["per_class"].items():
        lines.append(
            f"{name:{width}}  {row['pictures']:8}  {row['precision']:9.2f}  {row['recall']:6.2f}  {row['f1']:5.2f}"
        )
    (accuracy_low, accuracy_high), (low, high) = metrics["accuracy_interval"], metrics["macro_f1_interval"]
    top5 = f", among the five most probable {metrics['top5_accuracy']:.1%}" if metrics["top5_accuracy"] else ""
    lines.append(
        f"{split} accuracy {metrics['accuracy']:.1%} of {metrics['pictures']} pictures "
        f"(95 % interval {accuracy_low:.1%} – {accuracy_high:.1%}){top5}, macro F1 {metrics['macro_f1']:.3f} "
        f"({low:.3f} – {high:.3f}); intervals over {metrics['bootstrap']['over']}"
    )
    if metrics.get("by"):
        lines += _table_by(metrics["by"])
    if metrics.get("learned_pictures"):
        lines.append(
            f"{metrics['learned_pictures']} of these {metrics['pictures']} pictures are among those that the model "
            "learned from: the figures are too good by them"
        )
    if split == "validation":
        absent = "" if metrics["has_test"] else "there is no test split, and "
        lines.append(f"{absent}validation chose the model that was kept: its figures there are too good")
    before = metrics["calibrated_from"]
    line = f"calibration error {metrics['ece']:.3f}, negative log-likelihood {metrics['nll']:.3f}"
    if before:
        line += f"; {before['ece']:.3f} and {before['nll']:.3f} without temperature {before['temperature']:.2f}"
    lines.append(line)
    if metrics["most_confused"]:
        pairs = [f"{row['true']} as {row['predicted']} ({row['pictures']})" for row in metrics["most_confused"][:3]]
        lines.append(f"most confused: {', '.join(pairs)}")
    lines.append(abstention_sentence(metrics["reject"]))
    if metrics.get("prediction_set"):
        lines.append(sets_sentence(metrics["prediction_set"]))
    if metrics["ood"]:
        lines.append(distance_sentence(metrics["ood"], metrics["pictures"]))
    if metrics["others"]:
        lines.append(others_sentence(metrics["others"]))
    return "\n".join(lines)


def _table_by(by: dict[str, Any]) -> list[str]:
    """Returns the accuracies of groups of pictures as a table, and a sentence about the worst."""
    shown = {value or "(none)": row for value, row in [*by["values"].items()][:_MOST_GROUPS]}
    width = max(map(len, [*shown, by["column"]]))
    held = any("coverage" in row for row in shown.values())
    lines = [f"{by['column']:{width}}  pictures  accuracy  95 % interval{'    in the set' if held else ''}"]
    for value, row in shown.items():
        low, high = row["accuracy_interval"]
        line = f"{value:{width}}  {row['pictures']:8}  {row['accuracy']:8.1%}  {f'{low:.1%} – {high:.1%}':13}"
        lines.append((line + (f"  {row['coverage']:10.1%}" if held else "")).rstrip())
    if (more := len(by["values"]) - len(shown)) > 0:
        lines.append(f"and {more} with fewer pictures, in metrics.json")
    if by["worst"] is not None:
        low, high = by["values"][by["worst"]]["accuracy_interval"]
        lines.append(f"worst {by['column']}: {by['worst'] or '(none)'}, at most {high:.1%} (end of its 95 % interval)")
    return lines
