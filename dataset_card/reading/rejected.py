"""What was left out of a dataset, and why: `rejected.csv`."""

import csv
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "rejected.csv"


@dataclass(frozen=True)
class Rejected:
    """A file that did not become a row.

    Attributes:
        path: The file.
        label: The class it would have had.
        reason: Short, the same for every file of its kind, so that it can be counted.
        detail: What was found in this file.
        sha256: Of the file, where it could be read: what a correction names it by.
    """

    path: Path
    label: str
    reason: str
    detail: str
    sha256: str = ""


def write_rejected(folder: Path, photos: Path, rejected: list[Rejected]) -> None:
    """Writes `rejected.csv` into `folder`: a line per file, its path relative to `photos`."""
    lines = sorted((r.path.relative_to(photos).as_posix(), r.label, r.reason, r.detail, r.sha256) for r in rejected)
    with (folder / FILE_NAME).open("w", newline="", encoding="utf-8", errors="backslashreplace") as target:
        writer = csv.writer(target)
        writer.writerow(["file", "label", "reason", "detail", "sha256"])
        writer.writerows(lines)
