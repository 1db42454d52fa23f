"""The pictures behind a model folder's reference features: their credits, and small copies of those to share."""

import json
import re
import zipfile
from dataclasses import dataclass
from typing import Any

from model_folder.folder import PICTURES, ModelFolder, ModelFolderError

LIST = "pictures.json"
"""In the archive, an object per picture, in the order of the features: label, sha256, license, author, source_url and
file; the last is null, and author and page are empty, where the licence does not let a small copy be shared."""
_LARGEST_LIST, _LARGEST_PICTURE = 4_000_000, 100_000
_LONGEST = 300
_TEXTS = ("label", "sha256", "license", "author", "source_url")
_UNREADABLE = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError, KeyError)


@dataclass(frozen=True)
class ReferencePicture:
    """A training picture.

    Attributes:
        label: Its class.
        sha256: Of its file, as in the dataset; may be empty.
        license: Its licence, as the dataset spells it; may be empty.
        author: Its author; may be empty.
        source_url: Its page on the web; may be empty.
        jpeg: A small copy; None where the licence does not let one be shared.
    """

    label: str
    sha256: str
    license: str
    author: str
    source_url: str
    jpeg: bytes | None


def open_pictures(folder: ModelFolder, count: int) -> list[ReferencePicture]:
    """Reads the pictures behind a model folder's reference features into memory.

    Args:
        folder: One that has reference features.
        count: How many features, and so pictures, there are.

    Returns:
        An empty list where the folder has no such file.

    Raises:
        ModelFolderError: It is damaged or hostile, or has another number of pictures.
    """
    file = folder.path / PICTURES
    if not file.is_file():
        return []
    try:
        with zipfile.ZipFile(file) as archive:
            entries = json.loads(_read(archive, LIST, _LARGEST_LIST))
            if not isinstance(entries, list) or len(entries) != count:
                raise ValueError(f"{LIST} does not tell of {count} pictures")
            return [_picture(archive, entry) for entry in entries]
    except _UNREADABLE as error:
        raise ModelFolderError(f"{folder.name} is not to be trusted: {PICTURES}: {str(error)[:160]}") from None


def _picture(archive: zipfile.ZipFile, entry: Any) -> ReferencePicture:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in _TEXTS):
        raise ValueError(f"{LIST} has an entry without {', '.join(_TEXTS)}")
    texts = {key: " ".join(entry[key].split())[:_LONGEST] for key in _TEXTS}
    # A link of another kind may run something.
    texts["source_url"] = texts["source_url"] if re.match(r"https?://", texts["source_url"]) else ""
    jpeg = None if entry.get("file") is None else _read(archive, str(entry["file"]), _LARGEST_PICTURE)
    if jpeg is not None and not jpeg.startswith(b"\xff\xd8\xff"):
        raise ValueError(f"{str(entry['file'])[:60]} is no JPEG")
    return ReferencePicture(**texts, jpeg=jpeg)


def _read(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    # One byte more than allowed: the sizes that the archive states may be false.
    with archive.open(name) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"{name[:60]} has more than {largest:,} bytes")
    return content
