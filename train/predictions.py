"""One table of answers: a row per picture, whether one model judged a split or the models of several folds did.

`evaluate` and `cross-validate` write it as `predictions.parquet`; the report, the cleaner and `--compare` read it.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from files.atomic import atomic_write
from files.errors import UserError, first_line
from model_folder.reference_features import Nearest

FOLDS = "folds"
"""Stands for a split where out-of-fold answers are asked for."""
_NEEDED = ("sha256", "split", "label", "logits")
_AGAIN = "python -m train evaluate, or cross-validate, writes it anew"


class PredictionsError(UserError):
    """Predictions that are no numbers, can't be read, or belong to other pictures or another model."""


@dataclass(frozen=True)
class Predictions:
    """Answers to pictures, a row each.

    Attributes:
        sha256: Names of the pictures; empty strings where the dataset has none.
        labels: True classes, int64 of shape (pictures,).
        logits: float32 of shape (pictures, classes).
        label_names: Class names, in the order of the columns.
        nearest: The training pictures that look most like each; None for a model without reference features. Where
            only some pictures have any, the others have rows of -1.
        splits: The split of every picture.
        folds: Which fold held a picture out, counted from 1; 0 where one model answers for a whole split.
        groups: The group of near-duplicates of every picture; empty where it has none.
        weights: By split, the SHA-256 of the weights that judged it, where that is known.
    """

    sha256: list[str]
    labels: np.ndarray
    logits: np.ndarray
    label_names: list[str]
    nearest: Nearest | None = None
    splits: list[str] = field(default_factory=list)
    folds: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    groups: list[str] = field(default_factory=list)
    weights: dict[str, str] = field(default_factory=dict)

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
        nearest = self.nearest
        if nearest is not None:
            has_any = (nearest.rows[index] >= 0).any(0)
            kept = Nearest(nearest.distances[index][:, has_any], nearest.rows[index][:, has_any])
            nearest = kept if has_any.any() else None
        lists: dict[str, Any] = {
            name: [getattr(self, name)[row] for row in index] for name in ("sha256", "splits", "groups")
        }
        arrays: dict[str, Any] = {name: getattr(self, name)[index] for name in ("labels", "logits", "folds")}
        weights = {split: sha256 for split, sha256 in self.weights.items() if split in lists["splits"]}
        return replace(self, **lists, **arrays, nearest=nearest, weights=weights)


def join(parts: Sequence[Predictions]) -> Predictions:
    """Returns the rows of several tables on the same classes."""
    width = max(part.nearest.rows.shape[1] if part.nearest else 0 for part in parts)

    def padded(part: Predictions) -> Nearest:
        there = part.nearest or Nearest(*(np.empty((len(part.labels), 0)),) * 2)
        room = ((0, 0), (0, width - there.rows.shape[1]))
        return Nearest(*(np.pad(values, room, constant_values=-1) for values in (there.distances, there.rows)))

    near = [padded(part) for part in parts]
    lists: dict[str, Any] = {
        name: [v for part in parts for v in getattr(part, name)] for name in ("sha256", "splits", "groups")
    }
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "logits", "folds")
    }
    return replace(
        parts[0],
        **lists,
        **arrays,
        nearest=Nearest(*(np.concatenate([getattr(n, name) for n in near]) for name in ("distances", "rows")))
        if width
        else None,
        weights={split: sha256 for part in parts for split, sha256 in part.weights.items()},
    )


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


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Writes `predictions.parquet`; rows that it brings replace those that are there.

    Answers of one model to a split replace those to the same split, out-of-fold answers all out-of-fold ones. Columns
    are sha256, split, fold, group, label (its name), logits, probs, loss, and `distances` and `nearest`, lists of the
    nearest training pictures: how far, and which rows of the model's reference features. The schema's metadata have,
    as JSON, the order of the logits, `label_names`, and `weights`, the SHA-256 of those that judged each split.

    Raises:
        PredictionsError: What is there is of a model with other classes, or is no such file.
    """
    if path.exists():
        there = read_predictions(path)
        if there.label_names != predictions.label_names:
            raise PredictionsError(
                f"{path} has answers of a model with other classes ({', '.join(there.label_names)}): choose another "
                "output_dir"
            )
        judged = there.folds == 0
        stay = judged if predictions.folds.any() else ~(judged & np.isin(there.splits, predictions.splits))
        predictions = join([there.select(stay), predictions])
    nearest = predictions.nearest or Nearest(*(np.empty((len(predictions.labels), 0)),) * 2)
    table = pa.table(
        {
            "sha256": pa.array(predictions.sha256, pa.string()),
            "split": pa.array(predictions.splits, pa.string()),
            "fold": pa.array(predictions.folds, pa.int64()),
            "group": pa.array(predictions.groups, pa.string()),
            "label": pa.array(predictions.label_texts, pa.string()),
            "logits": _lists(predictions.logits.astype(np.float32)),
            "probs": _lists(predictions.probs),
            "loss": pa.array(predictions.losses),
            "distances": _lists(nearest.distances.astype(np.float32), nearest.rows >= 0),
            "nearest": _lists(nearest.rows.astype(np.int32), nearest.rows >= 0),
        },
        metadata={
            name: json.dumps(getattr(predictions, name), ensure_ascii=False) for name in ("label_names", "weights")
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        pq.write_table(table, draft)


def read_predictions(path: Path, split: str | None = None) -> Predictions:
    """Reads what `write_predictions` wrote, or wrote before there were folds and groups in it.

    Args:
        path: The file.
        split: Only one model's answers to this split, or, for "folds", the out-of-fold answers.

    Raises:
        PredictionsError: There is no such file, it is damaged, it has an unknown label or no numbers, or no such
            answers.
    """
    try:
        table = pq.read_table(path).combine_chunks()
    except FileNotFoundError:
        raise PredictionsError(f"there is no {path}: {_AGAIN}") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise PredictionsError(f"{path} can't be read ({first_line(error)}): move it away, and {_AGAIN}") from None
    metadata = table.schema.metadata or {}
    if not {*_NEEDED} <= {*table.column_names} or b"label_names" not in metadata:
        raise PredictionsError(
            f"{path} has not the columns {', '.join(_NEEDED)} with label_names: move it away, and {_AGAIN}"
        )
    names, count = json.loads(metadata[b"label_names"]), len(table)
    labels = pc.index_in(table["label"], value_set=pa.array(names, pa.string()))
    if labels.null_count:
        strangers = sorted(map(str, set(table["label"].to_pylist()) - {*names}))
        raise PredictionsError(
            f"{path} has labels that its model does not know ({', '.join(strangers)}): it knows {', '.join(names)}; "
            f"{_AGAIN}"
        )
    logits, sizes = _values(table, "logits", np.float32)
    if (sizes != len(names)).any():
        raise PredictionsError(f"{path} has not {len(names)} numbers for every picture: {_AGAIN}")

    def column(name: str, default: object) -> list:
        return table[name].to_pylist() if name in table.column_names else [default] * count

    splits, folds = table["split"].to_pylist(), np.array(column("fold", 0), np.int64)
    predictions = Predictions(
        table["sha256"].to_pylist(), labels.to_numpy().astype(np.int64), logits.reshape(count, len(names)), names,
        _neighbours(path, table, splits, folds), splits, folds, column("group", ""),
        json.loads(metadata.get(b"weights", b"{}")),
    )  # fmt: skip
    check_numbers(predictions, str(path))
    if split is None:
        return predictions
    rows = folds > 0 if split == FOLDS else (folds == 0) & (np.array(splits, object) == split)
    if not rows.any():
        judged = [*dict.fromkeys(FOLDS if fold else name for name, fold in zip(splits, folds, strict=True))]
        command = "cross-validate" if split == FOLDS else "evaluate"
        raise PredictionsError(
            f"{path} has no answers on {split}, only on {', '.join(judged)}: python -m train {command} makes them"
        )
    return predictions.select(rows)


def _neighbours(path: Path, table: pa.Table, splits: list[str], folds: np.ndarray) -> Nearest | None:
    """Returns the nearest training pictures of every row; all of one split have as many, and others may have none."""
    if "nearest" not in table.column_names:
        return None
    (distances, sizes), (rows, as_many) = _values(table, "distances", np.float32), _values(table, "nearest", np.int64)
    kinds = list(zip(splits, folds > 0, strict=True))
    if (sizes != as_many).any() or len({*zip(kinds, sizes.tolist(), strict=True)}) > len({*kinds}):
        raise PredictionsError(f"{path} has not as many neighbours for every picture: {_AGAIN}")
    if not len(rows):
        return None
    there = np.arange(sizes.max()) < sizes[:, None]
    near = Nearest(np.full(there.shape, -1, np.float32), np.full(there.shape, -1, np.int64))
    near.distances[there], near.rows[there] = distances, rows
    return near


def _lists(values: np.ndarray, there: np.ndarray | None = None) -> pa.Array:
    """Returns a list per row, of shape (rows, any), without what is not there."""
    there = np.ones(values.shape, bool) if there is None else there
    offsets = np.concatenate([[0], there.sum(1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values[there])


def _values(table: pa.Table, name: str, kind: type) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the lists of a column hold, one after the other, and the length of each."""
    lists = table[name].combine_chunks()
    return pc.list_flatten(lists).to_numpy().astype(kind), pc.list_value_length(lists).to_numpy().astype(np.int64)
