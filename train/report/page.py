"""The page of a report: one HTML file that fetches nothing, whatever its classes are called."""

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence
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

_TEMPLATE = Path(__file__).with_name("template")
_BARS, _NEIGHBOURS = 3, 3
# Of the small copies: pixels of a neighbour's longer side, and the quality of WebP.
_SIDE, _QUALITY = 96, 72


@dataclass(frozen=True)
class PictureEntry:
    """A picture with its answer, as the page has it.

    Attributes:
        label: The true class.
        answer: The predicted one.
        bars: Classes and their probabilities, 0 to 1: the three highest, and the true class.
        loss: Negative log-likelihood of the true class, in nats.
        image: Source of its `<img>`.
        file: Its file's name.
        credit: Author and licence.
        url: Its page; may be empty.
        nearest: Positions among the page's neighbours, and distances, nearest first; empty for a right answer.
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


def make_entry(
    pictures: Pictures, row: int, label: int, probs: np.ndarray, nearest: list[tuple[int, float]], side: int
) -> PictureEntry:
    """Makes the entry of a picture.

    Args:
        pictures: Of the split.
        row: Of the picture.
        label: Its true class.
        probs: Its probabilities, of shape (classes,).
        nearest: The training pictures nearest to it.
        side: How many pixels its longer side may have.
    """
    highest, credit = (-probs).argsort(kind="stable")[:_BARS].tolist(), pictures.credit(row)
    return PictureEntry(
        label,
        highest[0],
        [(number, round(float(probs[number]), 4)) for number in dict.fromkeys([*highest, label])],
        round(-math.log(max(probs[label], 1e-300)), 3),
        data_uri(pictures.open(row, side), _QUALITY),
        pictures.file(row),
        credit.line,
        credit.source_url,
        nearest,
    )


@dataclass(frozen=True)
class Neighbour:
    """A training picture, as the page has it.

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


@dataclass(frozen=True)
class Neighbours:
    """The training pictures that are nearest to some pictures of a split, each of them once.

    Attributes:
        pictures: The training pictures.
        nearest: By row of the split: positions in `pictures`, and cosine distances, nearest first.
        credits: Of the training pictures that the page shows.
        numbers: Which rows of the reference features `pictures` are.
    """

    pictures: list[Neighbour]
    nearest: dict[int, list[tuple[int, float]]]
    credits: list[Credit]
    numbers: list[int]


def find_neighbours(
    rows: Iterable[int],
    nearest: Nearest | None,
    reference: Sequence[ReferencePicture],
    train: datasets.Dataset | None,
) -> Neighbours:
    """Finds the training pictures nearest to some rows of a split, and an image of each where one may be shown.

    Args:
        rows: Of the split.
        nearest: As the predictions have it; None for a model without reference features.
        reference: The pictures of the reference features, with small copies where licences allow it.
        train: The training split, where it is at hand: an image of everything that is in it.
    """
    if nearest is None or not reference:
        return Neighbours([], {}, [], [])
    pictures, row_of = None, {}
    if train is not None and {"sha256", "image"} <= set(train.column_names):
        pictures, row_of = Pictures(train), {sha256: row for row, sha256 in enumerate(train["sha256"]) if sha256}
    numbers = {row: nearest.rows[row, :_NEIGHBOURS].tolist() for row in rows}
    position = {
        number: place for place, number in enumerate(dict.fromkeys(n for near in numbers.values() for n in near))
    }
    neighbours, credits = [], []
    for copy in (reference[number] for number in position):
        row = row_of.get(copy.sha256)
        if pictures and row is not None:
            credit, image = pictures.credit(row), data_uri(pictures.open(row, _SIDE), _QUALITY)
        else:
            credit = Credit(copy.sha256, copy.license, copy.author, copy.source_url)
            image = f"data:image/jpeg;base64,{base64.b64encode(copy.jpeg).decode()}" if copy.jpeg else ""
        neighbours.append(Neighbour(copy.label, image, credit.line, credit.source_url))
        credits += [credit] if image else []
    return Neighbours(
        neighbours,
        {
            row: [(position[n], round(float(nearest.distances[row, k]), 3)) for k, n in enumerate(near)]
            for row, near in numbers.items()
        },
        credits,
        list(position),
    )


def render_page(**content: Any) -> str:
    """Returns the page as HTML.

    Args:
        content: What `template/page.html` needs: split, metrics, config, label_names, charts (files by kind), training
            (files), gallery and top_losses (entries), neighbours, map, pairs (of explanations), held_back (a count).
    """
    style, script = (_TEMPLATE.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, picture=_picture_uri, file=_file_uri)
    # The browser runs this script and no other one, even if a class's name slipped one in.
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = {
        "labels": content["label_names"],
        "pictures": [asdict(entry) for entry in content["gallery"]],
        "neighbours": [asdict(neighbour) for neighbour in content["neighbours"]],
        "map": content["map"],
    }
    return environment.get_template("page.html").render(
        **content, style=Markup(style), script=Markup(script), script_hash=script_hash, data=data
    )


def percent(share: float, decimals: int = 0) -> str:
    """Returns a share as a percentage that no browser breaks."""
    return f"{100 * share:.{decimals}f}\N{NARROW NO-BREAK SPACE}%"


def _picture_uri(image: Image.Image) -> str:
    return data_uri(image, _QUALITY)


def _file_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
