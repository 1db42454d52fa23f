"""Out-of-fold predictions: for every picture the answer of a model that never saw it, nor one that looks like it."""

import json
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from files.atomic import atomic_write
from files.errors import UserError, first_line
from model_folder.reference_features import Nearest

_COLUMNS = ["sha256", "split", "label", "logits", "probs", "loss", "distances", "nearest"]
_AGAIN = "python -m train evaluate writes it anew"


class PredictionsError(UserError):
    """Predictions that are no numbers, can't be read, or belong to other pictures or another model."""


@dataclass(frozen=True)
class Predictions:
    """A model's answers on one split, a row per picture, in the split's order.

    Attributes:
        sha256: Names of the pictures; empty strings where the dataset has none.
        labels: True classes, int64 of shape (pictures,).
        logits: float32 of shape (pictures, classes).
        label_names: Class names, in the order of the columns.
        nearest: The training pictures that look most like each; None for a model without reference features.
    """

    sha256: list[str]
    labels: np.ndarray
    logits: np.ndarray
    label_names: list[str]
    nearest: Nearest | None = None

    @property
    def probs(self) -> np.ndarray:
        """Softmax of the logits, float64 of shape (pictures, classes)."""
        shifted = np.exp(self.logits.astype(np.float64) - self.logits.max(1, keepdims=True))
        return shifted / shifted.sum(1, keepdims=True)

    @property
    def losses(self) -> np.ndarray:
        """Negative log-likelihood of the true class, float64 of shape (pictures,)."""
        return -np.log(np.maximum(self.probs[np.arange(len(self.labels)), self.labels], 1e-300))


def names_of(rows: datasets.Dataset) -> list[str]:
    """Returns the sha256 of every picture, or empty strings where the dataset has none."""
    return list(rows["sha256"]) if "sha256" in rows.column_names else [""] * len(rows)


def check_numbers(predictions: Predictions, where: str) -> None:
    """Makes sure that every answer is a number.

    Raises:
        PredictionsError: Some are not; says how many, and names the first picture.
    """
    bad = np.flatnonzero(~np.isfinite(predictions.logits).all(1))
    if len(bad):
        name = predictions.sha256[bad[0]]
        raise PredictionsError(
            f"{where}: no numbers (NaN or infinite) for {len(bad)} of {len(predictions.labels)} pictures, first for "
            f"row {bad[0]}{f', sha256 {name}' if name else ''}: the model's weights are damaged, train it again"
        )


def check_fit(predictions: Predictions, rows: datasets.Dataset, where: str) -> None:
    """Makes sure that predictions are those of a split, row by row.

    Args:
        predictions: What was read.
        rows: Has `label`, numbered as the predictions' label names, and maybe `sha256`.
        where: Names the predictions and the split, to begin an error with.

    Raises:
        PredictionsError: Other pictures, another order, or other labels.
    """
    names, labels = names_of(rows), np.array(rows["label"])
    if len(names) != len(predictions.sha256):
        raise PredictionsError(f"{where}: {len(predictions.sha256)} answers for {len(names)} pictures: {_AGAIN}")
    if strangers := sum(name != other for name, other in zip(names, predictions.sha256, strict=True)):
        raise PredictionsError(f"{where}: {strangers} of {len(names)} answers are to other pictures: {_AGAIN}")
    if others := int((labels != predictions.labels).sum()):
        raise PredictionsError(f"{where}: {others} of {len(names)} pictures had another label then: {_AGAIN}")


def write_predictions(path: Path, split: str, predictions: Predictions) -> None:
    """Writes `predictions.parquet`: sha256, split, label, logits, probs, loss; other splits in it stay.

    So do `distances` and `nearest`, lists of the nearest training pictures: which rows of the model's reference
    features, and how far; empty for a model without. The schema's metadata have the order of the logits,
    `label_names`, as JSON.

    Raises:
        PredictionsError: What is there is of a model with other classes, or is no such file.
    """
    names = predictions.label_names
    nothing = np.empty((len(predictions.labels), 0))
    nearest = predictions.nearest or Nearest(nothing, nothing)
    table = pa.table(
        {
            "sha256": pa.array(predictions.sha256, pa.string()),
            "split": pa.array([split] * len(predictions.labels), pa.string()),
            "label": pa.array(np.array(names)[predictions.labels], pa.string()),
            "logits": _lists(predictions.logits.astype(np.float32)),
            "probs": _lists(predictions.probs),
            "loss": pa.array(predictions.losses),
            "distances": _lists(nearest.distances.astype(np.float32)),
            "nearest": _lists(nearest.rows.astype(np.int32)),
        },
        metadata={"label_names": json.dumps(names, ensure_ascii=False)},
    )
    if path.exists():
        former, theirs = _open(path)
        if theirs != names:
            raise PredictionsError(
                f"{path} has answers of a model with other classes ({', '.join(theirs)}): choose another output_dir"
            )
        table = pa.concat_tables([former.filter(pc.field("split") != split).cast(table.schema), table])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        pq.write_table(table, draft)


def read_predictions(path: Path) -> dict[str, Predictions]:
    """Reads what `write_predictions` wrote.

    Returns:
        Predictions by split.

    Raises:
        PredictionsError: There is no such file, it is damaged, or it has an unknown label or no numbers.
    """
    table, names = _open(path)
    numbers = {name: number for number, name in enumerate(names)}
    splits = {}
    for split in table["split"].unique().to_pylist():
        part = table.filter(pc.field("split") == split).combine_chunks()
        if strangers := sorted(set(part["label"].unique().to_pylist()) - set(names)):
            raise PredictionsError(
                f"{path} has labels that its model does not know ({', '.join(map(str, strangers))}): "
                f"it knows {', '.join(names)}; {_AGAIN}"
            )
        labels = np.array([numbers[label] for label in part["label"].to_pylist()])
        values = pc.list_flatten(part["logits"]).to_numpy()
        if len(values) != len(labels) * len(names):
            raise PredictionsError(f"{path} has not {len(names)} numbers for every picture of {split}: {_AGAIN}")
        logits = values.reshape(len(labels), len(names))
        distances, rows = (pc.list_flatten(part[name]).to_numpy() for name in ("distances", "nearest"))
        if len(distances) != len(rows) or len(rows) % len(labels):
            raise PredictionsError(f"{path} has not as many neighbours for every picture of {split}: {_AGAIN}")
        nearest = Nearest(*(of.reshape(len(labels), -1) for of in (distances, rows))) if len(rows) else None
        splits[split] = Predictions(part["sha256"].to_pylist(), labels, logits, names, nearest)
        check_numbers(splits[split], f"{path}, {split}")
    return splits


def read_split(path: Path, split: str) -> Predictions:
    """Reads the predictions of one split.

    Raises:
        PredictionsError: As `read_predictions`, or there are none of this split.
    """
    splits = read_predictions(path)
    if split not in splits:
        raise PredictionsError(f"{path} has no answers on {split}, only on {', '.join(splits)}: {_AGAIN}")
    return splits[split]


def _lists(values: np.ndarray) -> pa.Array:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(offsets, values.ravel())


def _open(path: Path) -> tuple[pa.Table, list[str]]:
    """Returns the table and its label names."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise PredictionsError(f"there is no {path}: {_AGAIN}") from None
    except pa.ArrowInvalid as error:
        raise PredictionsError(f"{path} is no parquet file ({first_line(error)}): remove it; {_AGAIN}") from None
    stated = (table.schema.metadata or {}).get(b"label_names")
    if table.column_names != _COLUMNS or stated is None:
        raise PredictionsError(
            f"{path} has not the columns {', '.join(_COLUMNS)} with label_names: remove it; {_AGAIN}"
        )
    return table, json.loads(stated)


_FOLD_COLUMNS = {"sha256", "split", "label", "logits", "fold"}


class OutOfFoldError(UserError):
    """Predictions that are no out-of-fold ones, or not of this dataset."""


@dataclass(frozen=True)
class OutOfFold:
    """Answers of several models, a row per picture, each by the model that has not learned from it.

    Attributes:
        predictions: The answers; those of several splits.
        splits: The split of every picture.
        folds: Which fold held it out, counted from 1; int64 of shape (pictures,).
    """

    predictions: Predictions
    splits: list[str]
    folds: np.ndarray


def join_folds(folds: list[OutOfFold]) -> OutOfFold:
    """Returns the pictures of all folds."""
    first = folds[0].predictions
    return OutOfFold(
        Predictions(
            [sha256 for fold in folds for sha256 in fold.predictions.sha256],
            np.concatenate([fold.predictions.labels for fold in folds]),
            np.concatenate([fold.predictions.logits for fold in folds]),
            first.label_names,
        ),
        [split for fold in folds for split in fold.splits],
        np.concatenate([fold.folds for fold in folds]),
    )


def write_out_of_fold(path: Path, answers: OutOfFold) -> None:
    """Writes a parquet file as `evaluate` does, with one column more, `fold`; it appears whole or not at all."""
    predictions = answers.predictions
    table = pa.table(
        {
            "sha256": predictions.sha256,
            "split": answers.splits,
            "label": [predictions.label_names[number] for number in predictions.labels],
            "logits": list(predictions.logits),
            "probs": list(predictions.probs),
            "loss": predictions.losses,
            "fold": answers.folds,
        }
    ).replace_schema_metadata({"label_names": json.dumps(predictions.label_names, ensure_ascii=False)})
    with atomic_write(path) as draft:
        pq.write_table(table, draft)


def read_out_of_fold(path: Path) -> OutOfFold:
    """Reads what `write_out_of_fold` wrote.

    Raises:
        OutOfFoldError: It holds something else, or logits that are no numbers.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise OutOfFoldError(f"{path} can't be read ({str(error).splitlines()[0]}): remove it") from None
    names = (table.schema.metadata or {}).get(b"label_names")
    if not set(table.column_names) >= _FOLD_COLUMNS or names is None:
        raise OutOfFoldError(f"{path} holds no out-of-fold predictions (it lacks a column `fold`)")
    label_names = json.loads(names)
    logits = np.array(table["logits"].to_pylist(), np.float32).reshape(len(table), len(label_names))
    if not np.isfinite(logits).all():
        raise OutOfFoldError(f"{path} holds logits that are no numbers: remove it and cross-validate again")
    labels = np.array([label_names.index(name) for name in table["label"].to_pylist()], np.int64)
    return OutOfFold(
        Predictions(table["sha256"].to_pylist(), labels, logits, label_names),
        table["split"].to_pylist(),
        table["fold"].to_numpy(),
    )
