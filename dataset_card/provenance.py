"""Where photographs come from: one JSON line per file, beside them in `provenance.jsonl`."""

import json
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from files.errors import UserError

FILE_NAME = "provenance.jsonl"
DRAWING = "drawing"
"""The `source` of pictures that the project draws itself."""


@dataclass(frozen=True)
class Provenance:
    """Origin of one file. Unknown facts are empty, an unknown licence is "unknown".

    Attributes:
        file: Path below the photographs' folder, with forward slashes.
        source: Who gave it, such as "commons", or "drawing" for our own drawings.
        source_url: Page that shows the picture and its licence.
        title: What that page calls it.
        author: Whom to name.
        author_url: The author's page.
        license: Licence, in any spelling that `licenses.license_of` knows.
        license_url: The licence's text, exact where `license` is general (a ported version, say).
        event: What `author` photographed on that occasion. Pictures of one class, author and event show the
            same dancer in the same costume, and so never part.
        retrieved_at: When it was fetched, ISO 8601 in UTC.
        sha1: SHA-1 of the original at its source, in hex: the picture's identity there.
    """

    file: str
    source: str = ""
    source_url: str = ""
    title: str = ""
    author: str = ""
    author_url: str = ""
    license: str = "unknown"
    license_url: str = ""
    event: str = ""
    retrieved_at: str = ""
    sha1: str = ""


# JSON can write half of a character, which no file can hold.
_HALF = re.compile(r"[\ud800-\udfff]")
_FIELDS = [field.name for field in fields(Provenance)]


def read_provenance(photos: Path) -> dict[str, Provenance]:
    """Reads `photos/provenance.jsonl`, if there is one, into a table by file.

    A file that is named twice has what its last line says, so that a correction may simply be appended.

    Raises:
        UserError: A line is no JSON object with a "file", or a value is no text.
    """
    path = photos / FILE_NAME
    if not path.exists():
        return {}
    table = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}): save it as such") from None
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}): correct or remove it") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise UserError(f"{path}, line {number}: not JSON ({why}): correct or remove it") from None
        if not isinstance(record, dict) or record.get("file") is None:
            raise UserError(f'{path}, line {number}: expected an object with "file": correct or remove it')
        known = {key: value for key, value in record.items() if key in _FIELDS and value is not None}
        if wrong := [key for key, value in known.items() if not isinstance(value, str) or _HALF.search(value)]:
            raise UserError(f"{path}, line {number}: {', '.join(wrong)} must be text: correct or remove it")
        table[record["file"]] = Provenance(**known)
    return table


def match_provenance(files: Iterable[str], records: dict[str, Provenance]) -> tuple[list[Provenance], list[str]]:
    """Finds the record of every file, also where the record spells the path as another system does.

    Unicode in composed or decomposed form (macOS), backslashes (Windows) and a leading "./" make no difference.

    Args:
        files: Paths below the photographs' folder.
        records: As `read_provenance` gives them.

    Returns:
        A record per file, an empty one where nothing is known, and the paths of the records that match no file.
    """
    by_key = {_key(name): record for name, record in records.items()}
    matched = [records.get(file) or by_key.get(_key(file)) or Provenance(file) for file in files]
    known = set(map(id, matched))
    return matched, [name for name, record in records.items() if id(record) not in known]


def write_provenance(photos: Path, records: Iterable[Provenance]) -> None:
    """Writes `photos/provenance.jsonl`, sorted by file."""
    lines = [_line(record) for record in sorted(records, key=lambda r: r.file)]
    (photos / FILE_NAME).write_text("".join(lines), encoding="utf-8")


def append_provenance(photos: Path, record: Provenance) -> None:
    """Adds a line to `photos/provenance.jsonl`; it is on disk when this returns.

    A last line that a killed process left unfinished is taken away first.
    """
    path = photos / FILE_NAME
    content = path.read_bytes() if path.exists() else b""
    with path.open("ab") as target:
        start = content.rfind(b"\n") + 1
        if start < len(content):
            if _is_json(content[start:]):
                target.write(b"\n")
            else:
                target.truncate(start)
        target.write(_line(record).encode())
        target.flush()
        os.fsync(target.fileno())


def _key(file: str) -> str:
    return posixpath.normpath(unicodedata.normalize("NFC", file).replace("\\", "/"))


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _line(record: Provenance) -> str:
    return json.dumps(asdict(record), ensure_ascii=False) + "\n"
