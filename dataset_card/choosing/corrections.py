"""What people decided about single pictures: `corrections.csv`, replayed on every build."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dataset_card.choosing.duplicates import pixel_names
from dataset_card.choosing.spreadsheet import read_spreadsheet
from dataset_card.reading.images import Photo
from dataset_card.reading.rejected import Rejected
from files.errors import UserError

ACTIONS = ("keep", "delete", "relabel")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CorrectionsError(UserError):
    """A `corrections.csv` that says what can't be done."""


@dataclass(frozen=True)
class Correction:
    """A decision about one picture.

    Attributes:
        sha256: Of the file as it was collected; its exact copies are meant as well.
        action: "keep" it as it is, even where its near-duplicates have another label; "delete" it; or "relabel" it.
        label: The new class of a "relabel", else empty.
    """

    sha256: str
    action: str
    label: str = ""


@dataclass(frozen=True)
class Corrected:
    """What became of the pictures.

    Attributes:
        photos: Those that stay, some with another label.
        deleted: Those that went.
        confirmed: SHA-256 of the pictures whose class a person decided, by "keep" or "relabel".
        done: How many corrections found their picture.
        unknown: SHA-256 of corrections whose picture is not here.
    """

    photos: list[Photo]
    deleted: list[Rejected]
    confirmed: frozenset[str]
    done: int
    unknown: list[str]


def read_corrections(path: Path, label_names: Sequence[str]) -> list[Correction]:
    """Reads a file with the columns sha256, action and label; others are passed over.

    Args:
        path: The file.
        label_names: The classes that a picture may be given.

    Returns:
        A correction per picture: where a file decides twice about one, the last line counts.

    Raises:
        SpreadsheetError: It can't be read.
        CorrectionsError: Names the line and what is wrong with it.
    """
    found: dict[str, Correction] = {}
    for number, line in read_spreadsheet(path, ("sha256", "action", "label")):
        sha256, action, label = (line.get(key, "") for key in ("sha256", "action", "label"))
        sha256, action = sha256.lower(), action.lower()
        where = f"{path}, line {number}"
        if not _SHA256.fullmatch(sha256):
            raise CorrectionsError(
                f"{where}: {sha256!r} is no sha256 of 64 hex digits: take it from the dataset's rows"
            )
        if action not in ACTIONS:
            raise CorrectionsError(f"{where}: {action!r} is no action: use keep, delete or relabel")
        if action == "relabel" and label not in label_names:
            raise CorrectionsError(f"{where}: {label!r} is none of the classes: use one of {', '.join(label_names)}")
        found[sha256] = Correction(sha256, action, label if action == "relabel" else "")
    return list(found.values())


def apply_corrections(photos: Sequence[Photo], corrections: Sequence[Correction]) -> Corrected:
    """Replays corrections, on exact copies too: else the copy would come back, or stand against its twin."""
    by_name = {photo.sha256: photo for photo in photos}
    pixels = dict(zip(by_name, pixel_names(list(by_name.values())), strict=True))
    decided: dict[str, tuple[str, str]] = {}
    for correction in corrections:
        if photo := by_name.get(correction.sha256):
            decided[pixels[photo.sha256]] = correction.action, correction.label or photo.label
    stay: list[Photo] = []
    deleted: list[Rejected] = []
    confirmed: set[str] = set()
    for photo in photos:
        action, label = decided.get(pixels[photo.sha256], (None, photo.label))
        if action == "delete":
            deleted.append(Rejected(photo.path, photo.label, "deleted by a correction", "", photo.sha256))
            continue
        if action:
            confirmed.add(photo.sha256)
        stay.append(replace(photo, label=label))
    unknown = [c.sha256 for c in corrections if c.sha256 not in by_name]
    return Corrected(stay, deleted, frozenset(confirmed), len(corrections) - len(unknown), unknown)
