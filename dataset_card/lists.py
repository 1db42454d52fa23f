"""Lists that people keep about single pictures: corrections, the takedown list, and labels taught on a page."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from files.errors import UserError

ACTIONS = ("keep", "delete", "relabel")
REMOVED = "removed.csv"
REJECTED = "rejected.csv"
"""Names every file that a build left out; it stays on the machine of whoever builds."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_TAUGHT = "nritya-classes"


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
class Removed:
    """The pictures that a takedown list names.

    Attributes:
        sha256s: SHA-256 of files as they were collected.
        pages: Pages that showed a picture, as `same_page` spells them.
        dates: When each sha256 was put on the list; may be empty.
    """

    sha256s: frozenset[str] = frozenset()
    pages: frozenset[str] = frozenset()
    dates: tuple[tuple[str, str], ...] = ()


def read_corrections(path: Path, label_names: Sequence[str]) -> list[Correction]:
    """Reads a file with the columns sha256, action and label; others are ignored.

    Args:
        path: The file.
        label_names: The classes that a picture may be given.

    Returns:
        A correction per picture: where a file decides twice about one, the last line counts.

    Raises:
        UserError: It can't be read, or a line of it makes no sense.
    """
    corrections: dict[str, Correction] = {}
    for number, line in read_spreadsheet(path, ("sha256", "action", "label")):
        sha256, action, label = (line.get(key, "") for key in ("sha256", "action", "label"))
        sha256, action = sha256.lower(), action.lower()
        where = f"{path}, line {number}"
        if not _SHA256.fullmatch(sha256):
            raise UserError(f"{where}: {sha256!r} is no sha256 of 64 hex digits: take it from the dataset's rows")
        if action not in ACTIONS:
            raise UserError(f"{where}: {action!r} is no action: use keep, delete or relabel")
        if action == "relabel" and label not in label_names:
            raise UserError(f"{where}: {label!r} is none of the classes: use one of {', '.join(label_names)}")
        corrections[sha256] = Correction(sha256, action, label if action == "relabel" else "")
    return list(corrections.values())


def read_labels(path: Path) -> dict[str, str]:
    """Reads what a visitor taught the page without a server, as demo/static_page/assets/saved_classes.js saves it.

    Returns:
        The name of the class of every picture, by sha256 of its file.

    Raises:
        UserError: It can't be read or is no such file, or tells no sha256, or two classes of one picture.
    """
    try:
        saved = json.loads(path.read_bytes())
        if saved["format"] != _TAUGHT:
            raise ValueError(f"its format is {str(saved['format'])[:40]!r}")
        pictures = [(str(p["sha256"]), str(c["name"]).strip()) for c in saved["classes"] for p in c["pictures"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise UserError(
            f"{path} can't be read ({reason}): give the file that the page without a server saves of taught classes"
        ) from None
    labels: dict[str, str] = {}
    for sha256, name in pictures:
        if not _SHA256.fullmatch(sha256):
            raise UserError(
                f"{path}: a picture of {name!r} has no sha256: browsers give one only on pages that came encrypted, or"
                " from this machine; teach the classes on such a page"
            )
        if labels.setdefault(sha256, name) != name:
            raise UserError(f"{path}: {sha256[:12]} is of {labels[sha256]!r} and of {name!r}: keep it in one class")
    return labels


def read_removed(photos: Path) -> Removed:
    """Reads `photos/removed.csv`, if there is one: the columns sha256, source_url, reason, date.

    A line names its picture by sha256, by source_url, or by both.

    Raises:
        UserError: It can't be read, or a line names no picture: building on would bring back what somebody asked to
            take away.
    """
    path = photos / REMOVED
    if not path.exists():
        return Removed()
    dates, pages = {}, set()
    for number, line in read_spreadsheet(path, ("sha256",)):
        sha256, page = line.get("sha256", "").lower(), line.get("source_url", "")
        if sha256 and not _SHA256.fullmatch(sha256):
            raise UserError(f"{path}, line {number}: {sha256!r} is no sha256 of 64 hex digits: correct it")
        if not sha256 and not page:
            raise UserError(f"{path}, line {number}: names neither a sha256 nor a source_url: add one")
        if sha256:
            dates[sha256] = line.get("date", "")
        if page:
            pages.add(same_page(page))
    return Removed(frozenset(dates), frozenset(pages), tuple(dates.items()))


def write_removed(folder: Path, removed: Removed, taken_down: Iterable[str]) -> None:
    """Writes `folder/removed.csv`, so that whoever builds on the dataset does not bring a picture back.

    It holds hashes alone: addresses and reasons would make it a directory of what people asked to hide.

    Args:
        folder: The dataset folder.
        removed: The list.
        taken_down: SHA-256 of the pictures that it kept out, also of those that it names by their page.
    """
    dates = dict.fromkeys(sorted(taken_down), "") | dict(removed.dates)
    with (folder / REMOVED).open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(("sha256", "date"))
        writer.writerows(sorted(dates.items()))


def same_page(url: str) -> str:
    """Returns one spelling for the several that a page's address can have."""
    return unquote(url).strip().replace(" ", "_").rstrip("/")


def read_spreadsheet(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a list with a line of column names on top, as CSV or as spreadsheet programs save it.

    Commas, semicolons or tabs separate the columns, the names may be in any letter case, empty lines are skipped.

    Args:
        path: The file.
        needed: Columns, in lower case, that must be there; others may be.

    Yields:
        The number of a line, and its texts by column, without spaces around them.

    Raises:
        UserError: It can't be read, or lacks a column.
    """
    advice = f"give a CSV file with {', '.join(needed)}"
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
        head = text.lstrip("\r\n").partition("\n")[0]
        # Strict, for a quote that nobody closed would swallow every line after it.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} can't be read ({error}): {advice}") from None
    # Some programs name the separator first: "sep=;".
    lines = [line for line in lines if any(line[1]) and not (line[0] == 1 and line[1][0].startswith("sep="))]
    names = [name.lower() for name in lines[0][1]] if lines else []
    if missing := [name for name in needed if name not in names]:
        raise UserError(f"{path} has no column {', '.join(missing)} on top: {advice}")
    for number, cells in lines[1:]:
        # A line may be cut short, or longer than its columns.
        yield number, dict(zip(names, cells, strict=False))
