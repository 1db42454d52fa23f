"""One table of answers: a row per picture, whether one model judged a split or the models of several folds did.

`evaluate` and `cross-validate` write it as `predictions.parquet`; the report, the cleaner and `--compare` read it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from files.atomic import atomic_write
from files.errors import UserError, first_line
from model_folder.reference_features import Nearest
from train.prediction_set import KEY, prediction_sets

if TYPE_CHECKING:
    import datasets

FOLDS = "folds"
"""Stands for a split where out-of-fold answers are asked for."""
_COLUMNS = {
    "sha256": pa.string(),
    "split": pa.string(),
    "fold": pa.int64(),
    "group": pa.string(),
    "label": pa.string(),
    "logits": pa.list_(pa.float32()),
    "probs": pa.list_(pa.float64()),
    "loss": pa.float64(),
    "distances": pa.list_(pa.float32()),
    "nearest": pa.list_(pa.int32()),
    KEY: pa.list_(pa.string()),
}
# Of earlier versions, which had neither folds nor groups in one file, no neighbours, or no sets.
_DEFAULTS: dict[str, Any] = {"fold": 0, "group": "", "distances": [], "nearest": [], KEY: []}
_AGAIN = "python -m train evaluate, or cross-validate, writes it anew"


class PredictionsError(UserError):
    """Predictions that are no numbers, can't be read, or belong to other pictures or another model."""


class NotJudgedError(PredictionsError):
    """A model that has not answered what is asked for."""


@dataclass(frozen=True)
class Predictions:
    """Answers to pictures, a row each.

    Attributes:
        sha256: Names of the pictures; empty strings where the dataset has none.
        labels: True classes, int64 of shape (pictures,).
        logits: float32 of shape (pictures, classes).
        label_names: Class names, in the order of the columns.
        nearest: The training pictures that look most like each; None for a model without reference features.
        splits: The split of every picture.
        folds: Which fold held a picture out, counted from 1; 0 where one model answers for a whole split.
        groups: The group of near-duplicates of every picture; empty where it has none.
        weights: The SHA-256 of the weights that answered; empty where nobody knows, or several did.
    """

    sha256: list[str]
    labels: np.ndarray
    logits: np.ndarray
    label_names: list[str]
    nearest: Nearest | None = None
    splits: list[str] = field(default_factory=list)
    folds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    groups: list[str] = field(default_factory=list)
    weights: str = ""

    def __post_init__(self) -> None:
        """Fills what was left out: no splits, no folds, no groups."""
        blank = [""] * len(self.labels)
        for name, values in (("splits", blank), ("groups", blank), ("folds", np.zeros(len(blank), np.int64))):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, values)

    @property
    def probs(self) -> np.ndarray:
        """Softmax of the logits, float64 of shape (pictures, classes)."""
        shifted = np.exp(self.logits.astype(np.float64) - self.logits.max(1, keepdims=True))
        return shifted / shifted.sum(1, keepdims=True)

    @property
    def losses(self) -> np.ndarray:
        """Negative log-likelihood of the true class, float64 of shape (pictures,)."""
        return -np.log(np.maximum(self.probs[np.arange(len(self.labels)), self.labels], 1e-300))

    @property
    def answers(self) -> np.ndarray:
        """The most probable class, int64 of shape (pictures,)."""
        return self.logits.argmax(1)

    @property
    def right(self) -> np.ndarray:
        """Whether that is the true one, bool of shape (pictures,)."""
        return self.answers == self.labels

    @property
    def label_texts(self) -> list[str]:
        """The name of every picture's true class."""
        return [self.label_names[label] for label in self.labels]

    @property
    def group_numbers(self) -> np.ndarray:
        """A number for every group, int64 of shape (pictures,); a picture without a group has one of its own."""
        numbers: dict[object, int] = {}
        keys = (group or row for row, group in enumerate(self.groups))
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)

    @property
    def resampled(self) -> str:
        """What intervals are computed over."""
        return "groups of near-duplicates" if any(self.groups) else "pictures"

    def select(self, rows: np.ndarray) -> "Predictions":
        """Returns some rows: those of a bool mask of shape (pictures,), or of indices in their order."""
        index = np.arange(len(self.labels))[rows]
        near = self.nearest and Nearest(self.nearest.distances[index], self.nearest.rows[index])
        lists: Any = {name: [getattr(self, name)[row] for row in index] for name in ("sha256", "splits", "groups")}
        arrays: Any = {name: getattr(self, name)[index] for name in ("labels", "logits", "folds")}
        return replace(self, **lists, **arrays, nearest=near)


def join(parts: Sequence[Predictions]) -> Predictions:
    """Returns the rows of several tables on the same classes, without their nearest training pictures."""
    lists: Any = {name: [v for part in parts for v in getattr(part, name)] for name in ("sha256", "splits", "groups")}
    arrays: Any = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "logits", "folds")
    }
    return replace(parts[0], **lists, **arrays, nearest=None)


def names_of(rows: "datasets.Dataset") -> list[str]:
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


def fit_to(
    predictions: Predictions,
    sha256: Sequence[str],
    labels: Sequence[str],
    where: str,
    remedy: str = _AGAIN,
    splits: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
) -> Predictions:
    """Returns the answers to some pictures, in the order of these.

    Args:
        predictions: What was read.
        sha256: The pictures' names; pictures without a name are taken in their order.
        labels: The names of their classes.
        where: Names the predictions and the pictures, to begin an error with.
        remedy: Ends it.
        splits: The pictures' splits, instead of those that the predictions state.
        groups: Likewise.

    Raises:
        PredictionsError: They are answers to other pictures, or these had other labels; says how many.
    """
    ours, theirs = Counter(sha256), Counter(predictions.sha256)
    missing, gone = (ours - theirs).total(), (theirs - ours).total()
    there = Counter(zip(predictions.sha256, predictions.label_texts, strict=True))
    changed = (Counter(zip(sha256, labels, strict=True)) - there).total() - missing
    fitting = predictions
    if not missing and not gone:
        # Sorting is stable: of pictures with one name, the first here is the first there.
        to, by = (sorted(range(len(sha256)), key=names.__getitem__) for names in (sha256, predictions.sha256))
        order = np.empty(len(sha256), np.int64)
        order[to] = by
        fitting = predictions.select(order)
        changed = sum(one != other for one, other in zip(labels, fitting.label_texts, strict=True))
    if missing or gone or changed:
        raise PredictionsError(
            f"{where}: other pictures or labels ({missing} of {len(sha256)} have no answer, {changed} had another "
            f"label, {gone} answers are to pictures that are not there): {remedy}"
        )
    return replace(fitting, splits=list(splits or fitting.splits), groups=list(groups or fitting.groups))


def write_predictions(path: Path, predictions: Predictions, cut: float | None = None) -> None:
    """Writes `predictions.parquet`; rows that it brings replace those that are there.

    Answers of one model to a split replace those to the same split, out-of-fold answers all out-of-fold ones. Columns
    are sha256, split, fold, group, label (its name), logits, probs, loss, `distances` and `nearest`, lists of the
    nearest training pictures: how far, and which rows of the model's reference features, and `prediction_set`, the
    classes that a picture may be of, the likeliest first; empty for a model without sets. The schema's metadata have,
    as JSON, the order of the logits, `label_names`, and `weights`, the SHA-256 of those that judged each split.

    Args:
        path: The file.
        predictions: The rows.
        cut: From which probability on a class belongs to a picture's set; None for a model without sets.

    Raises:
        PredictionsError: What is there is of a model with other classes, or is no such file.
    """
    nearest = predictions.nearest or Nearest(*(np.empty((len(predictions.labels), 0)),) * 2)
    columns = [
        predictions.sha256, predictions.splits, predictions.folds, predictions.groups, predictions.label_texts,
        _lists(predictions.logits), _lists(predictions.probs), predictions.losses, _lists(nearest.distances),
        _lists(nearest.rows), set_names(predictions.probs, predictions.label_names, cut),
    ]  # fmt: skip
    table = pa.table(
        [pa.array(column).cast(kind) for column, kind in zip(columns, _COLUMNS.values(), strict=True)],
        schema=pa.schema(_COLUMNS),
    )
    brought = [FOLDS] if predictions.folds.any() else [*dict.fromkeys(predictions.splits)]
    names, weights = predictions.label_names, dict.fromkeys(brought, predictions.weights)
    if path.exists():
        there, their_names, their_weights = _read_table(path)
        if their_names != names:
            raise PredictionsError(
                f"{path} has answers of a model with other classes ({', '.join(their_names)}): choose another "
                "output_dir"
            )
        stay = [split not in brought for split in _judged(there)]
        table, weights = pa.concat_tables([there.filter(stay), table]), their_weights | weights
    metadata = {"label_names": json.dumps(names, ensure_ascii=False), "weights": json.dumps(weights)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        pq.write_table(table.combine_chunks().replace_schema_metadata(metadata), draft)


def read_predictions(path: Path, split: str) -> Predictions:
    """Reads what `write_predictions` wrote, or wrote before there were folds and groups in it.

    Args:
        path: The file.
        split: One model's answers to this split, or, for "folds", the out-of-fold answers.

    Raises:
        NotJudgedError: There is no such file, or it has no such answers.
        PredictionsError: It is damaged, or has an unknown label or no numbers.
    """
    table, names, weights = _read_table(path)
    judged = _judged(table)
    table = table.filter([name == split for name in judged])
    if not len(table):
        command = "cross-validate" if split == FOLDS else "evaluate"
        raise NotJudgedError(
            f"{path} has no answers on {split}, only on {', '.join(dict.fromkeys(judged))}: python -m train {command} "
            "makes them"
        )
    labels = pc.index_in(table["label"], value_set=pa.array(names, pa.string()))
    if labels.null_count:
        strangers = sorted(map(str, set(table["label"].to_pylist()) - {*names}))
        raise PredictionsError(
            f"{path} has labels that its model does not know ({', '.join(strangers)}): it knows {', '.join(names)}; "
            f"{_AGAIN}"
        )
    logits, distances, rows = (_matrix(path, table, name) for name in ("logits", "distances", "nearest"))
    if logits.shape[1] != len(names) or distances.shape != rows.shape:
        raise PredictionsError(
            f"{path} has not {len(names)} logits and as many neighbours for every picture: {_AGAIN}"
        )
    predictions = Predictions(
        table["sha256"].to_pylist(),
        labels.to_numpy().astype(np.int64),
        logits.astype(np.float32),
        names,
        Nearest(distances.astype(np.float32), rows.astype(np.int64)) if rows.size else None,
        table["split"].to_pylist(),
        table["fold"].to_numpy(),
        table["group"].to_pylist(),
        weights.get(split, ""),
    )
    check_numbers(predictions, f"{path}, {split}")
    return predictions


def _read_table(path: Path) -> tuple[pa.Table, list[str], dict[str, str]]:
    """Returns a file's columns, its label names, and the weights by split."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise NotJudgedError(f"there is no {path}: {_AGAIN}") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise PredictionsError(f"{path} can't be read ({first_line(error)}): move it away, and {_AGAIN}") from None
    metadata = table.schema.metadata or {}
    for name in _DEFAULTS.keys() - {*table.column_names}:
        table = table.append_column(name, pa.array([_DEFAULTS[name]] * len(table), _COLUMNS[name]))
    if not _COLUMNS.keys() <= {*table.column_names} or b"label_names" not in metadata:
        raise PredictionsError(
            f"{path} has not the columns {', '.join(_COLUMNS)} with label_names: move it away, and {_AGAIN}"
        )
    table = table.select([*_COLUMNS]).cast(pa.schema(_COLUMNS)).combine_chunks()
    return table, json.loads(metadata[b"label_names"]), json.loads(metadata.get(b"weights", b"{}"))


def _judged(table: pa.Table) -> list[str]:
    """Returns what every row answers: its split, or "folds"."""
    rows = zip(table["split"].to_pylist(), table["fold"].to_pylist(), strict=True)
    return [FOLDS if fold else split for split, fold in rows]


def set_names(probs: np.ndarray, label_names: Sequence[str], cut: float | None) -> list[list[str]]:
    """Returns the prediction set of every picture: names of classes, the likeliest first; empty without a cut."""
    sets, order = prediction_sets(probs, cut), np.argsort(-probs, axis=1, kind="stable")
    if sets is None:
        return [[]] * len(probs)
    return [[label_names[name] for name in names if held[name]] for names, held in zip(order, sets, strict=True)]


def _lists(values: np.ndarray) -> pa.Array:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(offsets, values.ravel())


def _matrix(path: Path, table: pa.Table, name: str) -> np.ndarray:
    """Returns a column of lists, which are all of one length, of shape (rows, length)."""
    lists = table[name].combine_chunks()
    if len(lengths := pc.list_value_length(lists).unique()) > 1:
        raise PredictionsError(f"{path} has rows of {lengths.to_pylist()} {name}: {_AGAIN}")
    return pc.list_flatten(lists).to_numpy().reshape(len(table), -1 if lengths[0].as_py() else 0)
