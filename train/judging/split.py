"""A split as a model sees it: its classes under the model's numbers, nothing it has learned from, not empty."""

import logging
from typing import Any

import datasets

from files.errors import UserError
from train.fitting.data import LabelledImages, fingerprint

logger = logging.getLogger(__name__)


class LabelsError(UserError):
    """A dataset whose labels are not those of the model."""


class EmptySplitError(UserError):
    """A split without a picture."""


def split_for_model(
    images: LabelledImages, split: str, config: dict[str, Any], label_names: list[str], model_id: str
) -> datasets.Dataset:
    """Returns the rows of a split to judge a model on.

    Args:
        images: The dataset.
        split: Which split of it.
        config: The model's config.json.
        label_names: Its classes.
        model_id: Names it in errors.

    Raises:
        DatasetError: There is no such split, or it has rows without a label.
        EmptySplitError: There is nothing in it.
        LabelsError: The dataset has a class that the model does not know.
    """
    rows = images.split(split)
    if not len(rows):
        raise EmptySplitError(f"{images.name} has no picture in {split}: add some, or choose another split")
    warn_of_leak(images, config)
    counts = [images.label_names[label] for label in rows["label"]]
    if len(rows) == len(set(counts)):
        logger.warning(
            "%s has one picture of each of %d classes only in %s: no number from so few says anything",
            images.name,
            len(rows),
            split,
        )
    return as_numbered(images, rows, label_names, model_id)


def groups_of(rows: datasets.Dataset) -> list[str] | None:
    """Returns the group of near-duplicates of every picture, or None where nobody has looked for any."""
    if "group" not in rows.column_names:
        return None
    # A picture without a group has no near-duplicate.
    return [f"{number} alone" if group is None else str(group) for number, group in enumerate(rows["group"])]


def warn_of_leak(images: LabelledImages, config: dict[str, Any]) -> None:
    """Warns when the model learned from another build of this dataset: its splits may have been others."""
    data = config.get("training_data", {})
    if data.get("name") != images.title or "train" not in images.splits:
        return
    if data.get("fingerprint") != fingerprint(images.splits["train"]):
        logger.warning(
            "%s has been built anew since the model was trained: pictures that it learned from may be among those "
            "it is judged on now",
            images.name,
        )


def as_numbered(
    images: LabelledImages, rows: datasets.Dataset, label_names: list[str], model_id: str
) -> datasets.Dataset:
    """Returns the rows with their labels numbered as the model numbers them.

    Raises:
        LabelsError: The dataset has a class that the model does not know.
    """
    if strangers := sorted(set(images.label_names) - set(label_names)):
        raise LabelsError(
            f"{images.name} has classes that {model_id} does not know ({', '.join(strangers)}): "
            f"it knows {', '.join(label_names)}"
        )
    if images.label_names == label_names:
        return rows
    numbers = [label_names.index(name) for name in images.label_names]
    features = datasets.Features({**rows.features, "label": datasets.ClassLabel(names=label_names)})
    return rows.map(lambda label: {"label": numbers[label]}, input_columns="label", features=features)
