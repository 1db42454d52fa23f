"""Pictures that somebody asked to take away: `removed.csv` beside them, written by hand, obeyed by every command."""

import csv
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "removed.csv"


@dataclass(frozen=True)
class Removed:
    """What must not come back.

    Attributes:
        source_urls: Pages of pictures.
        sha256s: Hashes of files, in lower-case hex.
    """

    source_urls: frozenset[str]
    sha256s: frozenset[str]


def read_removed(photos: Path) -> Removed:
    """Reads `photos/removed.csv` (columns sha256, source_url, reason, date), if there is one."""
    path = photos / FILE_NAME
    if not path.exists():
        return Removed(frozenset(), frozenset())
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    urls = {(row.get("source_url") or "").strip() for row in rows}
    hashes = {(row.get("sha256") or "").strip().lower() for row in rows}
    return Removed(frozenset(urls - {""}), frozenset(hashes - {""}))
