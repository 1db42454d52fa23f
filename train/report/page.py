"""The page of a report: everything in one file, nothing fetched from anywhere, whatever the classes are called."""

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from model_folder.reference_features import Nearest
from model_folder.reference_pictures import ReferencePicture
from train.report.pictures import Credit, Pictures, data_uri

MOST = 3
"""Of a picture."""
_SIDE, _QUALITY = 96, 70


@dataclass(frozen=True)
class Neighbour:
    """A training picture, as the page shows it.

    Attributes:
        label: Its class.
        image: Source of its `<img>`; empty where it is not at hand.
        credit: Author and licence.
        url: Its page; may be empty.
    """

    label: str
    image: str
    credit: str
    url: str


class Neighbours:
    """Training pictures for one report, each of them once, however many pictures it is near to.

    Attributes:
        shown: In the order in which they were asked for.
        credits: Whose those are that can be seen.
    """

    def __init__(
        self, nearest: Nearest | None, learned: Sequence[ReferencePicture], train: datasets.Dataset | None
    ) -> None:
        """Takes what is near to the pictures of a split, and where it can be seen.

        Args:
            nearest: As the predictions have it; without it, and without `learned`, there is nothing to show.
            learned: The pictures of the model's reference features, which hold small copies where licences allow it.
            train: The training split, where it is at hand: it shows all of those that it has.
        """
        self._nearest, self._learned = nearest if learned else None, learned
        at_hand = train is not None and {"sha256", "image"} <= set(train.column_names)
        self._pictures = Pictures(train) if train is not None and at_hand else None
        self._row_of = {name: row for row, name in enumerate(train["sha256"])} if train is not None and at_hand else {}
        self._places: dict[int, int] = {}
        self.shown: list[Neighbour] = []
        self.credits: list[Credit] = []

    def of(self, index: int) -> list[tuple[int, float]]:
        """Returns what is nearest to a picture: places in `shown`, and distances; nothing where nobody knows."""
        if self._nearest is None:
            return []
        rows, distances = self._nearest.rows[index, :MOST].tolist(), self._nearest.distances[index, :MOST].tolist()
        return [(self._place(row), round(distance, 3)) for row, distance in zip(rows, distances, strict=True)]

    def _place(self, row: int) -> int:
        if row not in self._places:
            self._places[row] = len(self.shown)
            self.shown.append(self._look_up(self._learned[row]))
        return self._places[row]

    def _look_up(self, learned: ReferencePicture) -> Neighbour:
        here = self._row_of.get(learned.sha256) if learned.sha256 else None
        if self._pictures is not None and here is not None:
            credit = self._pictures.credit(here)
            image = data_uri(self._pictures.open(here, _SIDE), _QUALITY)
        else:
            credit = Credit(learned.sha256, learned.license, learned.author, learned.source_url)
            copied = learned.jpeg
            image = f"data:image/jpeg;base64,{base64.b64encode(copied).decode()}" if copied else ""
        if image:
            self.credits.append(credit)
        return Neighbour(learned.label, image, credit.line, credit.source_url)


_TEMPLATE = Path(__file__).with_name("template")
_BARS = 3
_QUALITY = 72


@dataclass(frozen=True)
class Card:
    """A picture with its answer, as the page shows it.

    Attributes:
        label: The true class.
        answer: The predicted one.
        bars: Classes and their probabilities, 0 to 1: the three highest, and the true class.
        loss: Negative log-likelihood of the true class, in nats.
        image: Source of its `<img>`.
        file: Its file's name.
        credit: Author and licence.
        url: Its page; may be empty.
        nearest: Places among the page's neighbours, and distances, nearest first; empty for a right answer.
    """

    label: int
    answer: int
    bars: list[tuple[int, float]]
    loss: float
    image: str
    file: str
    credit: str
    url: str
    nearest: list[tuple[int, float]]


def make_card(
    pictures: Pictures, index: int, label: int, probs: np.ndarray, nearest: list[tuple[int, float]], side: int
) -> Card:
    """Makes the card of a picture.

    Args:
        pictures: Of the split.
        index: Its row.
        label: Its true class.
        probs: Its probabilities, of shape (classes,).
        nearest: The training pictures nearest to it.
        side: How many pixels its longer side may have.
    """
    highest = (-probs).argsort(kind="stable")[:_BARS].tolist()
    credit = pictures.credit(index)
    return Card(
        label,
        highest[0],
        [(number, round(float(probs[number]), 4)) for number in dict.fromkeys([*highest, label])],
        round(-math.log(max(probs[label], 1e-300)), 3),
        data_uri(pictures.open(index, side), _QUALITY),
        pictures.file(index),
        credit.line,
        credit.source_url,
        nearest,
    )


def render_page(**content: Any) -> str:
    """Returns the page as HTML.

    Args:
        content: What `template/page.html` shows: split, metrics, config, label_names, charts, training (files),
            shown and losses (cards), neighbours, pairs, held_back (a count).
    """
    style, script = (_TEMPLATE.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, picture=_picture, file=_file)
    # The browser runs this script and no other one, even if a class's name slipped one in.
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = {
        "labels": content["label_names"],
        "pictures": [asdict(card) for card in content["shown"]],
        "neighbours": [asdict(neighbour) for neighbour in content["neighbours"]],
    }
    return environment.get_template("page.html").render(
        **content, style=Markup(style), script=Markup(script), script_hash=script_hash, data=data
    )


def percent(share: float, decimals: int = 0) -> str:
    """Returns a share as people write it, on one line."""
    return f"{100 * share:.{decimals}f}\N{NARROW NO-BREAK SPACE}%"


def _picture(image: Image.Image) -> str:
    return data_uri(image, _QUALITY)


def _file(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
