"""The Hub's rules for the metadata of a card: the YAML header of a README.md and its model-index."""

import re
from typing import Any

import yaml

SDKS = ("gradio", "streamlit", "docker", "static")
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
HEADER = re.compile(r"---[ \t]*\r?\n(.*?)\r?\n?---[ \t]*(\r?\n|$)", re.S)


def metadata_of(text: str) -> tuple[dict[str, Any], str | None]:
    """The metadata of a card, and what is wrong with it or `None`."""
    header = HEADER.match(text)
    try:
        metadata = yaml.safe_load(header[1]) if header else None
    except yaml.YAMLError as error:
        return {}, f"YAML: {error}"
    if metadata is None:
        return {}, None
    return (metadata, None) if isinstance(metadata, dict) else ({}, "metadata must be a mapping")


def check_card(text: str, repo_type: str | None) -> tuple[list[str], list[str]]:
    """Errors and warnings for the text of a README.md; a `repo_type` of `None` means a model."""
    card, problem = metadata_of(text)
    errors = [problem] if problem else []
    warnings = [] if card or problem else ["empty or missing yaml metadata in repo card"]
    errors += [
        f'"{key}" must be an array of strings' for key in ("tags", "datasets", "metrics") if not _texts(card, key)
    ]
    if repo_type == "space" and card:
        errors += _space_errors(card)
    if repo_type in (None, "model"):
        index = card.get("model-index") or []
        if isinstance(index, list) and all(isinstance(model, dict) for model in index):
            errors += _model_index_errors(index)
        else:
            errors.append('"model-index" must be an array of objects')
    return errors, warnings


def _texts(card: dict[str, Any], key: str) -> bool:
    value = card.get(key, [])
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _space_errors(card: dict[str, Any]) -> list[str]:
    errors = [] if card.get("sdk") in SDKS else [f'"sdk" must be one of {SDKS}']
    errors += [
        f'"{key}" must be one of {COLORS}'
        for key in ("colorFrom", "colorTo")
        if key in card and card[key] not in COLORS
    ]
    if len(str(card.get("short_description", ""))) > 60:
        errors.append('"short_description" length must be less than or equal to 60 characters long')
    return errors


def _model_index_errors(index: list[dict[str, Any]]) -> list[str]:
    errors = []
    for i, model in enumerate(index):
        for j, result in enumerate(model.get("results") or []):
            needed = {
                f"{part}.{key}": (result.get(part) or {}).get(key)
                for part, key in (("task", "type"), ("dataset", "type"), ("dataset", "name"))
            }
            for n, metric in enumerate(result.get("metrics") or []):
                needed |= {f"metrics[{n}].{key}": metric.get(key) for key in ("type", "value")}
            errors += [
                f'"model-index[{i}].results[{j}].{name}" is required'
                for name, value in needed.items()
                if value is None
            ]
    return errors
