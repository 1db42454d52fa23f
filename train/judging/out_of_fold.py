"""Out-of-fold predictions: for every picture the answer of a model that never saw it, nor one that looks like it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from files.atomic import atomic_write
from files.errors import UserError
from train.judging.predict import Predictions

_COLUMNS = {"sha256", "split", "label", "logits", "fold"}


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
    if not set(table.column_names) >= _COLUMNS or names is None:
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
