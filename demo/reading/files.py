"""Files as Gradio hands them to an event with `preprocess=False`: uploaded, looked at by nobody yet.

Gradio would decode them, and fail in ways of its own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.reading.upload import UnreadableError

File = Mapping[str, Any]


def path_of(file: File) -> Path:
    """Returns where a file lies.

    Raises:
        UnreadableError: It lies nowhere.
    """
    if not file.get("path"):
        raise UnreadableError("gone")
    return Path(file["path"])


def name_of(file: File) -> str:
    """Returns what a file is called on the visitor's device."""
    return file.get("orig_name") or Path(file.get("path") or "").name
