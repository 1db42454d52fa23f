"""The pictures that a model folder offers, each with its author and licence."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from demo.reading.upload import UnreadableError, read_upload
from model_folder.facts import plain

_THUMBNAIL = 160
_LONGEST_CREDIT = 80


@dataclass(frozen=True)
class Example:
    """A picture to offer.

    Attributes:
        path: The file.
        label: Its class.
        credit: Author and licence; empty where nobody says.
        uri: A small copy of it, for an `img` of HTML.
    """

    path: Path
    label: str
    credit: str
    uri: str


def read_examples(paths: Sequence[Path]) -> list[Example]:
    """Reads pictures and the `examples.json` beside them, which anybody may have written; passes by broken ones."""
    told = _told(paths[0].with_name("examples.json")) if paths else {}
    found = []
    for path in paths:
        try:
            image = read_upload(path)
        except UnreadableError:
            continue
        entry = told.get(path.name, {})
        credit = [plain(entry.get(key), _LONGEST_CREDIT) for key in ("author", "license")]
        label = plain(entry.get("label")) or path.stem
        found.append(Example(path, label, ", ".join(filter(None, credit)), jpeg_uri(image, _THUMBNAIL)))
    return found


def jpeg_uri(image: Image.Image, side: int) -> str:
    """Returns a copy of a picture for an `img` of HTML, its longer side at most `side` pixels."""
    small = image.copy()
    small.thumbnail((side, side))
    small.info.clear()
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _told(path: Path) -> dict[str, dict[str, object]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(entries, list):
        return {}
    return {str(entry.get("file")): entry for entry in entries if isinstance(entry, dict)}
