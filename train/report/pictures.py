"""The pictures of a split: opened one at a time, made small, and whose they are."""

import base64
import io
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import datasets
from PIL import Image

from files.atomic import atomic_write_text
from train.data import read_image

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
        sha256: Of its file; empty where the dataset has none.
        license: Its licence, as the dataset spells it; empty where that is unknown.
        author: Who made it; empty where that is unknown.
        source_url: Its page; empty where there is none, or none on the web.
    """

    sha256: str
    license: str
    author: str
    source_url: str

    @property
    def may_be_passed_on(self) -> bool:
        """Whether its licence lets anybody publish a scaled copy, and what it asks is known."""
        return self.license in _FREE or bool(_WITH_AUTHOR.fullmatch(self.license) and self.author.strip())

    @property
    def line(self) -> str:
        """Author and licence."""
        return ", ".join(filter(None, (self.author, self.license or "licence unknown")))


def write_credits(report: Path, page: str, credits: list[Credit]) -> None:
    """Adds the credits of a page's pictures to a report's `credits.json`; those of other pages stay."""
    report.mkdir(parents=True, exist_ok=True)
    path = report / _FILE
    previous = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entries = [{**asdict(credit), "may_be_passed_on": credit.may_be_passed_on} for credit in credits]
    atomic_write_text(path, json.dumps({**previous, page: entries}, indent=1, ensure_ascii=False) + "\n")


def may_be_pushed(model_folder: Path) -> bool:
    """Returns whether every picture in a model folder's report may be published; not without its credits."""
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
        """Returns a picture, upright sRGB, its longer side at most `side` pixels where that is given.

        Raises:
            DatasetError: It can't be decoded.
        """
        # Twice the side leaves the resampling filter something to work on.
        picture = read_image(self._rows, index, side and 2 * side)
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


def data_uri(picture: Image.Image, quality: int) -> str:
    """Returns a picture as the source of an `<img>`, in WebP, without metadata."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
