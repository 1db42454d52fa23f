"""Where photographs come from: one JSON line per file, beside them in `provenance.jsonl`."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from dataset_card.errors import UserError

FILE_NAME = "provenance.jsonl"
DRAWING = "drawing"
"""The `source` of pictures that the project draws itself."""


class ProvenanceError(UserError):
    """A `provenance.jsonl` that can't be read."""


@dataclass(frozen=True)
class Provenance:
    """Origin of one file. Unknown facts are empty, an unknown licence is "unknown".

    Attributes:
        file: Path below the photographs' folder, with forward slashes.
        source: Who gave it, such as "commons", or "drawing" for our own drawings.
        source_url: Page that shows the picture and its licence.
        author: Whom to name.
        license: Licence id as the Hub spells it, such as "cc-by-sa-4.0".
    """

    file: str
    source: str = ""
    source_url: str = ""
    author: str = ""
    license: str = "unknown"


_FIELDS = {field.name for field in fields(Provenance)}


def read_provenance(photos: Path) -> dict[str, Provenance]:
    """Reads `photos/provenance.jsonl`, if there is one, into a table by file.

    Raises:
        ProvenanceError: A line is no JSON object with a "file", or a value is no text.
    """
    path = photos / FILE_NAME
    if not path.exists():
        return {}
    table = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ProvenanceError(f"{path}, line {number}: not JSON ({error.msg}): mend or remove it") from None
        if not isinstance(record, dict) or "file" not in record:
            raise ProvenanceError(f'{path}, line {number}: expected an object with "file": mend or remove it')
        known = {key: value for key, value in record.items() if key in _FIELDS and value is not None}
        if wrong := [key for key, value in known.items() if not isinstance(value, str)]:
            raise ProvenanceError(f"{path}, line {number}: {', '.join(wrong)} must be text: mend or remove it")
        table[record["file"]] = Provenance(**known)
    return table


def write_provenance(photos: Path, records: list[Provenance]) -> None:
    """Writes `photos/provenance.jsonl`, sorted by file."""
    lines = [json.dumps(asdict(record), ensure_ascii=False) for record in sorted(records, key=lambda r: r.file)]
    (photos / FILE_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
