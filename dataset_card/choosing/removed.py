"""Pictures that must never come back: the takedown list `removed.csv`."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from dataset_card.choosing.spreadsheet import read_spreadsheet
from dataset_card.knowing.provenance import Provenance
from dataset_card.reading.images import Photo
from files.errors import UserError

FILE_NAME = "removed.csv"
_SHA256 = re.compile(r"[0-9a-f]{64}")
COLUMNS = ("sha256", "source_url", "reason", "date")


class RemovedError(UserError):
    """A `removed.csv` that names no picture: building on would bring back what somebody asked to take away."""


@dataclass(frozen=True)
class Removed:
    """What the takedown list names.

    Attributes:
        sha256s: SHA-256 of files as they were collected.
        pages: Pages that showed a picture, as `same_page` spells them.
        lines: The list as it stands, in the order of `COLUMNS`.
    """

    sha256s: frozenset[str] = frozenset()
    pages: frozenset[str] = frozenset()
    lines: tuple[tuple[str, str, str, str], ...] = ()


def read_removed(photos: Path) -> Removed:
    """Reads `photos/removed.csv`, if there is one: the columns sha256, source_url, reason, date.

    A line names its picture by sha256, by source_url, or by both.

    Raises:
        SpreadsheetError: It can't be read.
        RemovedError: Names the line that names no picture.
    """
    path = photos / FILE_NAME
    if not path.exists():
        return Removed()
    lines = []
    for number, row in read_spreadsheet(path, COLUMNS[:2]):
        sha256, source_url, reason, date = (row.get(key, "") for key in COLUMNS)
        sha256 = sha256.lower()
        if sha256 and not _SHA256.fullmatch(sha256):
            raise RemovedError(f"{path}, line {number}: {sha256!r} is no sha256 of 64 hex digits: mend it")
        if not sha256 and not source_url:
            raise RemovedError(f"{path}, line {number}: names neither a sha256 nor a source_url: add one")
        lines.append((sha256, source_url, reason, date))
    return Removed(
        frozenset(sha256 for sha256, _, _, _ in lines if sha256),
        frozenset(same_page(url) for _, url, _, _ in lines if url),
        tuple(lines),
    )


def may_stay(
    photos: Sequence[Photo],
    near: Sequence[str],
    origin: Sequence[Provenance],
    removed: Removed,
    like_removed: Sequence[bool],
) -> list[bool]:
    """Tells which pictures the list leaves: neither those that it names, nor their copies and near-duplicates.

    Args:
        photos: The pictures.
        near: For every picture its group of near-duplicates: a smaller copy of a picture is the same picture.
        origin: For every picture where it comes from.
        removed: The list.
        like_removed: For every picture whether it looks like one of the list that is not here.
    """
    named = {
        group
        for photo, group, record, is_like in zip(photos, near, origin, like_removed, strict=True)
        if photo.sha256 in removed.sha256s or same_page(record.source_url) in removed.pages or is_like
    }
    return [group not in named for group in near]


def same_page(url: str) -> str:
    """Returns one spelling for the several that a page's address can have."""
    return unquote(url).strip().replace(" ", "_").rstrip("/")


def write_removed(folder: Path, removed: Removed) -> None:
    """Writes `folder/removed.csv`, so that whoever builds on the dataset does not bring a picture back.

    The reasons stay at home: they may tell about a person.
    """
    with (folder / FILE_NAME).open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(COLUMNS)
        writer.writerows((sha256, url, "", date) for sha256, url, _, date in removed.lines)
