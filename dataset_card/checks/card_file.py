"""The card of a dataset, as it lies there: README.md, its metadata and its text."""

from dataclasses import dataclass
from typing import Any

import yaml
from datasets.data_files import resolve_pattern, sanitize_patterns
from fsspec import AbstractFileSystem
from huggingface_hub import DatasetCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK

FILE_NAME = "README.md"


@dataclass(frozen=True)
class Card:
    """A README.md.

    Attributes:
        metadata: Its YAML block; empty without one.
        text: What follows the block.
        fault: Why there is no metadata, in words; empty when there is.
        broken: `load_dataset` can't get past it.
    """

    metadata: dict[str, Any]
    text: str
    fault: str = ""
    broken: bool = False

    def configs(self) -> list[dict[str, Any]]:
        """Returns the configurations that the metadata describe."""
        return [config for config in self.metadata.get("configs") or [] if isinstance(config, dict)]

    def data_files(self) -> dict[str, dict[str, list[str]]]:
        """Returns the patterns of data files, by configuration and split."""
        return {
            str(config.get("config_name", "default")): sanitize_patterns(config["data_files"])
            for config in self.configs()
            if "data_files" in config
        }


def read_card(files: AbstractFileSystem) -> Card:
    """Reads the card of a dataset.

    Args:
        files: The dataset's files, by their paths below it.
    """
    if not files.exists(FILE_NAME):
        return Card({}, "", f"there is no {FILE_NAME}")
    content = files.read_bytes(FILE_NAME).decode("utf-8", "replace")
    if not REGEX_YAML_BLOCK.search(content):
        return Card({}, content, f"{FILE_NAME} does not begin with a block of YAML")
    try:
        card = DatasetCard(content, ignore_metadata_errors=True)
    except (yaml.YAMLError, ValueError) as error:
        return Card({}, content, f"the YAML of {FILE_NAME} can't be read ({str(error).splitlines()[0]})", True)
    return Card(card.data.to_dict(), card.text)


def unmatched(root: str, patterns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Finds the patterns that no file of the dataset matches, by split.

    Args:
        root: The dataset's folder, or its `hf://` address.
        patterns: As `Card.data_files` gives them for one configuration.
    """
    lacking = {split: [pattern for pattern in of if not matching(root, pattern)] for split, of in patterns.items()}
    return {split: of for split, of in lacking.items() if of}


def matching(root: str, pattern: str) -> list[str]:
    """Lists the files below `root` that a pattern matches."""
    try:
        return resolve_pattern(pattern, root)
    except FileNotFoundError:
        return []
