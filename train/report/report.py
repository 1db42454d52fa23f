"""The report on a judged model: figures, and one page that opens from disk and shows the pictures behind them."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from tqdm import tqdm

from files.atomic import atomic_write_text
from model_folder.reference_pictures import ReferencePicture
from train.metrics import wilson_interval
from train.predictions import Predictions, read_predictions
from train.report import plots
from train.report.grad_cam import Explained, ExplainedPair, NoMapError, explain
from train.report.page import Neighbours, make_card, render_page
from train.report.pictures import FOLDER, Pair, Pictures, choose_pairs, choose_shown, write_credits
from train.report.plots import BLUE, FONT, INK, ORANGE, caption, captions

_SIDE, _GAP, _TITLE, _LINE = 340, 18, 36, 24
_PAPER = "#f6f3ee"


@dataclass(frozen=True)
class Tile:
    """A picture with what stands above it.

    Attributes:
        picture: RGB.
        title: The first line above it, in the colour of what it shows.
        notes: The lines that follow.
        right: Whether it shows a right answer or a wrong one; None where it shows none.
    """

    picture: Image.Image
    title: str
    notes: tuple[str, ...]
    right: bool | None = None


def draw_tiles(path: Path, lines: Sequence[Sequence[Tile | None]], title: str) -> None:
    """Draws lines of pictures.

    Args:
        path: The JPEG file to write.
        lines: From top to bottom, each from left to right; None leaves a place empty.
        title: Stands above them.
    """
    head = _TITLE + _LINE * max(len(tile.notes) for line in lines for tile in line if tile)
    across, down = _SIDE + _GAP, head + _SIDE + _GAP
    size = (max(map(len, lines)) * across + _GAP, len(lines) * down + 60)
    sheet = Image.new("RGB", size, "white")
    ImageDraw.Draw(sheet).text((_GAP, 14), title, INK, ImageFont.truetype(FONT, 27))
    for number, line in enumerate(lines):
        for column, tile in enumerate(line):
            if tile:
                sheet.paste(_drawn(tile, head), (_GAP + column * across, 60 + number * down))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=90)


def _drawn(tile: Tile, head: int) -> Image.Image:
    drawn = Image.new("RGB", (_SIDE, head + _SIDE), "white")
    draw = ImageDraw.Draw(drawn)
    draw.text((0, 2), tile.title, {True: BLUE, False: ORANGE, None: INK}[tile.right], ImageFont.truetype(FONT, 22))
    for number, note in enumerate(tile.notes):
        draw.text((0, _TITLE + number * _LINE), note, INK, ImageFont.truetype(FONT, 17))
    drawn.paste(ImageOps.pad(tile.picture, (_SIDE, _SIDE), color=_PAPER), (0, head))
    return drawn


logger = logging.getLogger(__name__)

MOST_SHOWN = 1000
"""Thumbnails in a page; a thousand photographs are about ten megabytes."""
_THUMBNAIL, _LARGER = 240, 320
_TOP_LOSSES, _IN_FIGURE, _PAIRS = 24, 12, 6


def write_report(
    folder: Path,
    images: datasets.Dataset,
    split: str,
    model: Any,
    config: dict[str, Any],
    learned: Sequence[ReferencePicture] = (),
    train: datasets.Dataset | None = None,
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
        learned: The pictures of its reference features: every wrong answer has the nearest of them beside it.
        train: The training split, where it is at hand, which shows them.

    Returns:
        The page: `report/index.html` for the test split, `report/SPLIT.html` for another one.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))[split]
    predictions = read_predictions(folder / "predictions.parquet")[split]
    pictures = Pictures(images)
    chosen, to_explain = choose_shown(predictions, MOST_SHOWN), choose_pairs(predictions, _PAIRS)
    worst = np.argsort(-predictions.losses, kind="stable")[:_TOP_LOSSES].tolist()
    explained = {index for pair in to_explain for index in (pair.wrong, pair.right) if index is not None}
    answers, neighbours = predictions.probs.argmax(1), Neighbours(predictions.nearest, learned, train)
    near = {index: neighbours.of(index) for index in {*chosen, *worst} if answers[index] != predictions.labels[index]}
    credits = [pictures.credit(index) for index in sorted({*chosen, *worst, *explained})]
    credits += [credit for credit in neighbours.credits if credit not in set(credits)]

    report = folder / FOLDER
    page = report / ("index.html" if split == "test" else f"{split}.html")
    # Before the first picture is there: `push` must never meet one of which it has not been told.
    write_credits(report, page.name, credits)
    charts = draw_charts(folder / "figures", split, metrics, predictions.label_names)
    draw_top_losses(report / f"top_losses_{split}.jpg", pictures, predictions, worst[:_IN_FIGURE])
    pairs = explain_answers(report / f"grad_cam_{split}.jpg", pictures, predictions, to_explain, model)
    probs, labels = predictions.probs, predictions.labels.tolist()
    shown = [
        make_card(pictures, index, labels[index], probs[index], near.get(index, []), _THUMBNAIL)
        for index in tqdm(chosen, desc="Report", unit="picture")
    ]
    html = render_page(
        split=split,
        metrics=metrics,
        config=config,
        label_names=predictions.label_names,
        charts=charts,
        training=[
            figure
            for pattern in ("training.png", "lr_finder-*.png", "learning_curve.png")
            for figure in sorted((folder / "figures").glob(pattern))
        ],
        shown=shown,
        losses=[
            make_card(pictures, index, labels[index], probs[index], near.get(index, []), _LARGER) for index in worst
        ],
        neighbours=neighbours.shown,
        pairs=pairs,
        held_back=sum(not credit.may_be_passed_on for credit in credits),
    )
    atomic_write_text(page, html)
    return page


def draw_charts(folder: Path, split: str, metrics: dict[str, Any], label_names: list[str]) -> dict[str, Path]:
    """Draws the figures that hold no pictures.

    Returns:
        Files by kind: confusion_matrix, per_class, reliability and risk_coverage.
    """
    charts = {
        kind: folder / f"{kind}_{split}.png"
        for kind in ("confusion_matrix", "per_class", "reliability", "risk_coverage")
    }
    right = f"{metrics['accuracy']:.1%} of {metrics['pictures']} pictures right ({split})"
    plots.plot_confusion_matrix(charts["confusion_matrix"], np.array(metrics["confusion_matrix"]), label_names, right)
    plots.plot_per_class(charts["per_class"], metrics["per_class"], f"Each class ({split})")
    before = (metrics.get("calibrated_from") or {}).get("reliability", [])
    plots.plot_reliability(
        charts["reliability"],
        _with_intervals(metrics["reliability"]),
        before,
        f"Is it as sure as it is right? ({split})",
    )
    reject = metrics.get("reject") or {}
    plots.plot_risk_coverage(
        charts["risk_coverage"],
        _with_intervals(metrics["risk_coverage"]),
        reject if reject.get("answered") else None,
        f"Right, when it may abstain ({split})",
    )
    return charts


def _with_intervals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"accuracy_interval": wilson_interval(round(row["accuracy"] * row["pictures"]), row["pictures"]), **row}
        for row in rows
    ]


def draw_top_losses(path: Path, pictures: Pictures, predictions: Predictions, chosen: list[int]) -> None:
    """Draws the pictures with the highest losses: true and predicted class, probability of the answer, file."""
    names = captions(predictions.label_names)
    tiles = []
    for index in chosen:
        label, probs = int(predictions.labels[index]), predictions.probs[index]
        answer = int(probs.argmax())
        said = f"{names[answer]}, {probs[answer]:.0%}"
        notes = (f"true class: {names[label]}", caption(pictures.file(index), f"row {index}"))
        tiles.append(Tile(pictures.open(index, 2 * _LARGER), said, notes, answer == label))
    lines = [tiles[start : start + 6] for start in range(0, len(tiles), 6)]
    draw_tiles(path, lines, "Top losses: the answer with its probability, and the truth")


def explain_answers(
    path: Path, pictures: Pictures, predictions: Predictions, pairs: list[Pair], model: Any
) -> list[ExplainedPair]:
    """Explains answers with Grad-CAM and draws them; nothing, with a warning, for a model that has no map."""
    try:
        explained = explain(model, pictures, predictions, pairs)
    except NoMapError as error:
        path.unlink(missing_ok=True)
        logger.warning("the report goes without Grad-CAM: %s", error)
        return []
    draw_pairs(path, explained, predictions.label_names)
    return explained


def draw_pairs(path: Path, pairs: list[ExplainedPair], label_names: list[str]) -> None:
    """Draws explained answers: a wrong one on the left, a right one to the same class on the right."""
    names = captions(label_names)

    def tiles(answer: Explained | None, heats: int) -> list[Tile | None]:
        if answer is None:
            return [None] * (1 + heats)
        right = len(answer.heats) == 1
        said = "right" if right else "wrong"
        shown: list[Tile | None] = [
            Tile(answer.picture, f"{names[answer.label]}, {said}", ("what it was shown",), right)
        ]
        for heat in answer.heats:
            shown.append(Tile(heat.picture, f"for {names[heat.number]}", (f"probability {heat.prob:.0%}",)))
        return shown

    lines = [tiles(pair.wrong, 2) + tiles(pair.right, 1) for pair in pairs]
    draw_tiles(path, lines, "Grad-CAM: what speaks for a class")
