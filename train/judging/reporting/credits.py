"""Whose the pictures in a report are, and whether they may leave this machine with it."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from files.atomic import atomic_write_text

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
