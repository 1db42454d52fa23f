"""What a dataset tells about its classes, to travel on with the model."""

import json
from pathlib import Path

from huggingface_hub import hf_hub_download

from hub.errors import CLIENT_ERRORS
from hub.repo import RepoId, parse

FILE_NAME = "classes.json"


def read_class_facts(dataset: str, label_names: list[str]) -> dict[str, dict[str, str]]:
    """Reads `classes.json` of a dataset: name, native name, region, a fact and what to look for, by label.

    Args:
        dataset: Dataset folder or Hub id.
        label_names: The classes to tell about.

    Returns:
        The facts of those classes that have some; empty for a dataset of another make.
    """
    place = parse(dataset)
    try:
        if isinstance(place, RepoId):
            path = Path(hf_hub_download(place.repo_id, FILE_NAME, repo_type="dataset", revision=place.revision))
        else:
            path = Path(dataset) / FILE_NAME
        told = json.loads(path.read_text(encoding="utf-8"))
    except (*CLIENT_ERRORS, ValueError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {label: told[label] for label in label_names if isinstance(told.get(label), dict) and told[label]}
