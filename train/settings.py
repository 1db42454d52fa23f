"""Settings from a YAML file and `key=value` words, with every fault reported at once."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from files.errors import UserError


class SettingsError(UserError):
    """A recipe or a `key=value` that can't be used; the message lists all faults."""


class Settings(BaseModel):
    """Flat and frozen; a key that is no field is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Settings)


def load_settings(kind: type[S], file: Path | None, words: Sequence[str]) -> S:
    """Reads settings of one kind.

    Args:
        kind: The class to fill.
        file: A YAML file with one `key: value` per line, or None.
        words: `key=value` words, which win over the file.

    Raises:
        SettingsError: Lists every unknown key, wrong type, bad range and missing key together.
    """
    values: dict[str, Any] = read_yaml(file) if file else {}
    faults = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            values[key] = None if value.lower() in ("null", "none", "") else value
        else:
            faults.append(f"{word}: expected key=value")
    try:
        settings = kind(**values)
    except ValidationError as error:
        faults += [_describe(kind, fault) for fault in error.errors()]
    if faults:
        where = f"{file}: " if file else ""
        raise SettingsError("\n  ".join([f"{where}{len(faults)} fault{'s'[: len(faults) > 1]}", *faults]))
    return settings


def read_yaml(file: Path) -> dict[str, Any]:
    """Reads a flat YAML mapping.

    Raises:
        SettingsError: No such file, not YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{file} can't be read ({error.strerror}): give a recipe such as recipes/sample.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not YAML ({' '.join(str(error).split())})") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{file} holds a {type(values).__name__}: expected one `key: value` per line")
    return {str(key): value for key, value in values.items()}


def _describe(kind: type[Settings], fault: Any) -> str:
    key = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, kind.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(kind.model_fields)}"
        return f"{key}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{key}: missing; add {key}=..."
    message = fault["msg"].removeprefix("Value error, ")
    if not key:
        # Settings that don't go together.
        return message
    return f"{key}={fault['input']}: {message[0].lower()}{message[1:]}"
