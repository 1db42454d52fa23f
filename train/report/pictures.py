"""The pictures of a report: which of them, how small, whose."""

import base64
import io
import json
import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

from files.atomic import atomic_write_text
from train.data import read_image
from train.predictions import Predictions

FOLDER = "report"
_FILE = "credits.json"
# Licences by which a scaled copy may be passed on: of the first kind as it is, of the second with its author named.
# Those that forbid changes ("nd") forbid thumbnails.
_FREE = {"cc0-1.0", "public-domain", "pddl", "unlicense"}
_WITH_AUTHOR = re.compile(r"cc-by(-nc)?(-sa)?-\d\.\d|apache-2\.0|mit|odc-by|etalab-2\.0|godl-india|ogl")


@dataclass(frozen=True)
class Credit:
    """Whose a picture is.

    Attributes:
        sha256: Its name; empty where the dataset has none.
        license: Its licence, as the dataset spells it; empty where nobody says.
        author: Who made it; empty where nobody says.
        source_url: Its page; empty where there is none, or none on the web.
    """

    sha256: str
    license: str
    author: str
    source_url: str

    @property
    def may_be_passed_on(self) -> bool:
        """Tells whether its licence is one that lets anybody publish a scaled copy, and what it asks is known."""
        return self.license in _FREE or bool(_WITH_AUTHOR.fullmatch(self.license) and self.author.strip())

    @property
    def line(self) -> str:
        """Names author and licence."""
        return ", ".join(filter(None, (self.author, self.license or "licence unknown")))


def write_credits(report: Path, page: str, credits: list[Credit]) -> None:
    """Writes whose the pictures of a page are into a report's folder; what is there about other pages stays."""
    report.mkdir(parents=True, exist_ok=True)
    path = report / _FILE
    former = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entries = [{**asdict(credit), "may_be_passed_on": credit.may_be_passed_on} for credit in credits]
    atomic_write_text(path, json.dumps({**former, page: entries}, indent=1, ensure_ascii=False) + "\n")


def may_be_pushed(model_folder: Path) -> bool:
    """Tells whether everybody may publish every picture in a model folder's report; without a word on it, no."""
    path = model_folder / FOLDER / _FILE
    if not path.exists():
        return False
    pages = json.loads(path.read_text(encoding="utf-8"))
    return all(credit["may_be_passed_on"] for credits in pages.values() for credit in credits)


class Pictures:
    """The pictures of a split, opened one at a time."""

    def __init__(self, rows: datasets.Dataset) -> None:
        """Takes rows with `image`, and maybe `sha256`, `license`, `author` and `source_url`."""
        self._rows = rows

    def open(self, index: int, side: int | None = None) -> Image.Image:
        """Returns a picture, upright RGB, its longer side at most `side` pixels where that is given."""
        picture = read_image(self._rows, index, 2 * side if side else None)
        if side:
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        return picture

    def file(self, index: int) -> str:
        """Returns the name of a picture's file, or the beginning of its sha256, or its row's number."""
        row = self._rows[index]
        return Path(row["image"]["path"] or "").name or row.get("sha256", "")[:16] or f"row {index}"

    def credit(self, index: int) -> Credit:
        """Returns whose a picture is."""
        row = self._rows[index]
        sha256, license_id, author, url = (row.get(k) or "" for k in ("sha256", "license", "author", "source_url"))
        license_id = "" if license_id == "unknown" else license_id
        # A dataset may come from anywhere, and a link of another kind may run something.
        return Credit(sha256, license_id, author, url if re.match(r"https?://", url) else "")


def choose_shown(predictions: Predictions, most: int) -> list[int]:
    """Chooses the pictures to show: of every cell of the confusion matrix those with the highest loss.

    Every cell gets its first picture before any gets a second one, so that rare mistakes, whose cells are small, are
    there completely, and of what is right or frequent the part that was hardest.

    Args:
        predictions: Of the whole split.
        most: How many at most.

    Returns:
        Rows of the split, the highest loss first.
    """
    losses = predictions.losses
    answers = predictions.probs.argmax(1)
    seen: dict[tuple[int, int], int] = defaultdict(int)
    ranked = []
    for index in np.argsort(-losses, kind="stable").tolist():
        cell = (int(predictions.labels[index]), int(answers[index]))
        ranked.append((seen[cell], -losses[index], index))
        seen[cell] += 1
    return sorted((index for _, _, index in sorted(ranked)[:most]), key=lambda index: -losses[index])


@dataclass(frozen=True)
class Pair:
    """A wrong answer and a right one to pictures of the same class; rows of the split.

    Attributes:
        wrong: None when the model was not wrong about the class.
        right: None when it was never right.
    """

    wrong: int | None
    right: int | None


def choose_pairs(predictions: Predictions, most: int) -> list[Pair]:
    """Chooses what to look into: the worst mistake about each class beside its surest right answer.

    Args:
        predictions: Of the whole split.
        most: How many pairs at most; classes with the worst mistakes come first.
    """
    losses, right = predictions.losses, predictions.probs.argmax(1) == predictions.labels
    pairs = []
    for number in np.unique(predictions.labels):
        of_class = predictions.labels == number
        wrong, good = np.flatnonzero(of_class & ~right), np.flatnonzero(of_class & right)
        worst = int(wrong[losses[wrong].argmax()]) if len(wrong) else None
        surest = int(good[losses[good].argmin()]) if len(good) else None
        pairs.append((-losses[worst] if worst is not None else 0.0, int(number), Pair(worst, surest)))
    return [pair for _, _, pair in sorted(pairs, key=lambda entry: entry[:2])[:most]]


def data_uri(picture: Image.Image, quality: int) -> str:
    """Returns a picture as the source of an `<img>`, in WebP, with nothing hidden in it."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
