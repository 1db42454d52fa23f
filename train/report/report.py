"""The report on a judged split: figures, and one page that opens from disk and shows the pictures behind them."""

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from files.atomic import atomic_write_text
from model_folder.reference_pictures import ReferencePicture
from train.data import values_of
from train.export import announce
from train.intervals import wilson_interval
from train.predictions import Predictions, read_predictions
from train.progress import progress
from train.report import plots
from train.report.grad_cam import Explanation, NoMapError, explain
from train.report.map import draw_map
from train.report.page import Neighbours, find_neighbours, make_entry, render_page
from train.report.pictures import FOLDER, Pictures, write_credits
from train.report.plots import BLUE, ORANGE, Panel, caption, captions, save

MOST_IN_GALLERY = 1000
"""Thumbnails in a page; a thousand photographs are about ten megabytes."""
_THUMBNAIL, _LARGER = 240, 320
_TOP_LOSSES, _TOP_LOSSES_IN_FIGURE, _PAIRS = 24, 12, 6

Pair = tuple[int | None, int | None]
"""Rows of a wrong answer and of a right one to pictures of the same class; None where there is none."""

logger = logging.getLogger(__name__)


def write_report(
    folder: Path,
    images: datasets.Dataset,
    split: str,
    model: Any,
    config: dict[str, Any],
    reference: Sequence[ReferencePicture] = (),
    train: datasets.Dataset | None = None,
    features: np.ndarray | None = None,
) -> Path:
    """Writes the figures and the page of a split, from `metrics.json` and `predictions.parquet`.

    Figures without pictures go to `folder/figures`. What holds pictures goes to `folder/report`, with
    `credits.json`, which says whose they are; `push` leaves that folder out unless every licence allows it.

    Args:
        folder: Has `metrics.json` and `predictions.parquet`; figures of the training in `figures` are shown, too.
        images: The rows of the split, in the order of the predictions.
        split: Which one.
        model: The timm model that was judged, in evaluation mode.
        config: Its config.json.
        reference: The pictures of its reference features: every wrong answer has the nearest of them beside it.
        train: The training split, where it is at hand, which shows them.
        features: The reference features themselves, of shape (pictures, features): the page has a map of them.

    Returns:
        The page: `report/index.html` for the test split, `report/SPLIT.html` for another one.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))[split]
    if metrics.get("reject") and metrics["reject"]["threshold"] is None:
        # Of a version that served no threshold.
        metrics["reject"] = None
    predictions = read_predictions(folder / "predictions.parquet", split)
    probs, labels, pictures = predictions.probs, predictions.labels.tolist(), Pictures(images)
    gallery, pairs = choose_gallery(predictions, MOST_IN_GALLERY), choose_pairs(predictions, _PAIRS)
    worst = np.argsort(-predictions.losses, kind="stable")[:_TOP_LOSSES].tolist()
    explained = [row for pair in pairs for row in pair if row is not None]
    wrong = [row for row in dict.fromkeys([*gallery, *worst]) if probs[row].argmax() != labels[row]]
    neighbours = find_neighbours(wrong, predictions.nearest, reference, train)
    credits = [pictures.credit(row) for row in sorted({*gallery, *worst, *explained})]
    credits += [credit for credit in neighbours.credits if credit not in set(credits)]

    report = folder / FOLDER
    page = report / ("index.html" if split == "test" else f"{split}.html")
    # Before the first picture is there: `push` must never find one without its credit.
    write_credits(report, page.name, credits)
    charts = draw_charts(folder / "figures", split, metrics, predictions.label_names)
    save(plot_top_losses(pictures, predictions, worst[:_TOP_LOSSES_IN_FIGURE]), report / f"top_losses_{split}.jpg")
    explanations: dict[int, Explanation] = {}
    figure = report / f"grad_cam_{split}.jpg"
    try:
        for row in progress(explained, "Grad-CAM", "pictures"):
            explanations[row] = explain(model, pictures.open(row), labels[row], probs[row])
        save(plot_grad_cam(pairs, explanations, predictions.label_names), figure)
    except NoMapError as error:
        figure.unlink(missing_ok=True)
        logger.warning("the report goes without Grad-CAM: %s", error)

    def entries(rows: list[int], side: int, title: str) -> list[Any]:
        return [
            make_entry(pictures, row, labels[row], probs[row], neighbours.nearest.get(row, []), side)
            for row in progress(rows, title, "pictures")
        ]

    html = render_page(
        split=split,
        map=_map_of(gallery, predictions, reference, features, train, images, neighbours),
        metrics=metrics,
        config=config,
        label_names=predictions.label_names,
        charts=charts,
        training=[
            figure
            for pattern in ("training.png", "lr_finder-*.png", "learning_curve.png")
            for figure in sorted((folder / "figures").glob(pattern))
        ],
        gallery=entries(gallery, _THUMBNAIL, "Report"),
        top_losses=entries(worst, _LARGER, "Top losses"),
        neighbours=neighbours.pictures,
        pairs=[[None if row is None else explanations[row] for row in pair] for pair in pairs] if explanations else [],
        held_back=sum(not credit.may_be_passed_on for credit in credits),
    )
    atomic_write_text(page, html)
    return page


def _map_of(
    gallery: list[int],
    predictions: Predictions,
    reference: Sequence[ReferencePicture],
    features: np.ndarray | None,
    train: datasets.Dataset | None,
    images: datasets.Dataset,
    neighbours: Neighbours,
) -> dict[str, Any] | None:
    """Returns the map as the page has it: training pictures, and those of the gallery in its order."""
    if features is None or predictions.nearest is None or len(reference) != len(features):
        return None
    source_of: dict[str, str] = {}
    if train is not None and {"sha256", "source"} <= set(train.column_names):
        source_of = dict(zip(train["sha256"], values_of(train, "source"), strict=True))
    sources = [source_of.get(copy.sha256, "") if copy.sha256 else "" for copy in reference]
    judged = values_of(images, "source") if "source" in images.column_names else [""] * len(images)
    announce("drawing the map of the pictures")
    training, split, method = draw_map(features, predictions.nearest)
    shown = {number: place for place, number in enumerate(neighbours.numbers)}
    names = {name: number for number, name in enumerate(predictions.label_names)}
    # Of one source there is nothing to tell apart.
    kinds = sorted({*sources, *judged}) if len({*sources, *judged}) > 1 else []
    places = {name: number for number, name in enumerate(kinds)}
    return {
        "method": method,
        "sources": [kind or "none stated" for kind in kinds],
        # Of each: x, y, class, source, and its place among the page's neighbours, -1 where it has no picture there.
        "training": [
            [*_rounded(place), names.get(copy.label, -1), places.get(source, -1), shown.get(row, -1)]
            for row, (place, copy, source) in enumerate(zip(training, reference, sources, strict=True))
        ],
        "judged": [[*_rounded(split[row]), places.get(judged[row], -1)] for row in gallery],
    }


def _rounded(place: np.ndarray) -> list[float]:
    return [round(float(coordinate), 4) for coordinate in place]


def choose_gallery(predictions: Predictions, most: int) -> list[int]:
    """Chooses the pictures to show: of every cell of the confusion matrix those with the highest loss.

    Every cell gets its first picture before any gets a second one: rare mistakes, whose cells are small, are complete,
    and of what is right or frequent the hardest are there.

    Args:
        predictions: Of the whole split.
        most: How many at most.

    Returns:
        Rows of the split, the highest loss first.
    """
    losses, answers = predictions.losses, predictions.probs.argmax(1)
    count: dict[tuple[int, int], int] = defaultdict(int)
    ranked = []
    for row in np.argsort(-losses, kind="stable").tolist():
        cell = (int(predictions.labels[row]), int(answers[row]))
        ranked.append((count[cell], -losses[row], row))
        count[cell] += 1
    return sorted((row for _, _, row in sorted(ranked)[:most]), key=lambda row: -losses[row])


def choose_pairs(predictions: Predictions, most: int) -> list[Pair]:
    """Chooses what to explain: the worst mistake about each class beside its surest right answer.

    Args:
        predictions: Of the whole split.
        most: How many pairs at most; classes with the worst mistakes come first.
    """
    losses, right = predictions.losses, predictions.probs.argmax(1) == predictions.labels
    pairs: list[tuple[float, int, Pair]] = []
    for number in np.unique(predictions.labels).tolist():
        in_class = predictions.labels == number
        mistakes, answers = np.flatnonzero(in_class & ~right), np.flatnonzero(in_class & right)
        worst = int(mistakes[losses[mistakes].argmax()]) if len(mistakes) else None
        surest = int(answers[losses[answers].argmin()]) if len(answers) else None
        pairs.append((0.0 if worst is None else -losses[worst], number, (worst, surest)))
    return [pair for _, _, pair in sorted(pairs, key=lambda entry: entry[:2])[:most]]


def draw_charts(folder: Path, split: str, metrics: dict[str, Any], label_names: list[str]) -> dict[str, Path]:
    """Draws the figures that hold no pictures.

    Returns:
        Files by kind: confusion_matrix, per_class, reliability and risk_coverage.
    """
    title = f"{metrics['accuracy']:.1%} of {metrics['pictures']} pictures right ({split})"
    threshold = metrics.get("reject") or {}
    figures = {
        "confusion_matrix": plots.plot_confusion_matrix(np.array(metrics["confusion_matrix"]), label_names, title),
        "per_class": plots.plot_per_class(metrics["per_class"], f"Each class ({split})"),
        "reliability": plots.plot_reliability(
            with_intervals(metrics["reliability"]),
            (metrics.get("calibrated_from") or {}).get("reliability", []),
            f"Reliability ({split})",
        ),
        "risk_coverage": plots.plot_risk_coverage(
            with_intervals(metrics["risk_coverage"]),
            threshold if threshold.get("answered") else None,
            f"Accuracy when it may abstain ({split})",
        ),
    }
    files = {kind: folder / f"{kind}_{split}.png" for kind in figures}
    for kind, figure in figures.items():
        save(figure, files[kind])
    return files


def with_intervals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns rows with `accuracy` and `pictures`, and the interval of the accuracy."""
    return [
        {"accuracy_interval": wilson_interval(round(row["accuracy"] * row["pictures"]), row["pictures"]), **row}
        for row in rows
    ]


def plot_top_losses(pictures: Pictures, predictions: Predictions, rows: list[int]) -> plots.Figure:
    """Plots the pictures with the highest losses: the answer with its probability, the true class, the file.

    Args:
        pictures: Of the split.
        predictions: Of the split.
        rows: Which pictures.
    """
    names, panels = captions(predictions.label_names), []
    for row in rows:
        label, probs = int(predictions.labels[row]), predictions.probs[row]
        answer = int(probs.argmax())
        notes = f"true class: {names[label]}\n{caption(pictures.file(row), f'row {row}')}"
        title = f"{names[answer]}, {probs[answer]:.0%}"
        panels.append(Panel(pictures.open(row, 2 * _LARGER), title, notes, BLUE if answer == label else ORANGE))
    return plots.plot_pictures(
        [panels[start : start + 6] for start in range(0, len(panels), 6)],
        "Top losses: the answer with its probability, and the true class",
    )


def plot_grad_cam(pairs: list[Pair], explanations: dict[int, Explanation], label_names: list[str]) -> plots.Figure:
    """Plots explained answers: a wrong one on the left, a right one to the same class on the right.

    Args:
        pairs: From `choose_pairs`.
        explanations: By row.
        label_names: Class names, in the order of their numbers.
    """
    names = captions(label_names)

    def panels(row: int | None, width: int) -> list[Panel | None]:
        if row is None:
            return [None] * width
        answer = explanations[row]
        verdict, color = ("right", BLUE) if answer.is_right else ("wrong", ORANGE)
        return [
            Panel(answer.image, f"{names[answer.label]}, {verdict}", "what the model sees", color),
            *(Panel(m.image, f"for {names[m.label]}", f"probability {m.prob:.0%}") for m in answer.maps),
        ]

    return plots.plot_pictures(
        [panels(wrong, 3) + panels(right, 2) for wrong, right in pairs], "Grad-CAM: what speaks for a class"
    )
