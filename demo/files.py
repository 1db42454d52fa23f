"""Files as Gradio hands them to a function when nothing decodes them on the way."""

from pathlib import Path
from typing import Any


def as_it_came(component: Any) -> Any:
    """Lets a component hand on its files as they came: Gradio would decode them, and fail in ways of its own."""
    component.preprocess = lambda payload: payload
    return component


def path_of(file: Any) -> Path:
    """Returns where a file lies."""
    return Path(file.path)


def name_of(file: Any) -> str:
    """Returns what a file is called on the visitor's device."""
    return file.orig_name or Path(file.path).name
