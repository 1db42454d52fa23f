import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_folder.reference_features import Nearest
from train.predictions import (
    FOLDS,
    NotJudgedError,
    Predictions,
    PredictionsError,
    fit_to,
    join,
    read_predictions,
    write_predictions,
)

NAMES = ["kathak", "odissi", "ಕಥಕ್"]


def _predictions(split: str = "test", pictures: int = 5, seed: int = 0, fold: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    return Predictions(
        [f"{number:064x}" for number in range(pictures)],
        rng.integers(0, 3, pictures),
        rng.normal(size=(pictures, 3)).astype(np.float32),
        NAMES,
        splits=[split] * pictures,
        folds=np.full(pictures, fold),
        groups=[f"{split} {number // 2}" for number in range(pictures)],
    )


def _same(one: Predictions, other: Predictions) -> None:
    for name in ("sha256", "label_names", "splits", "groups", "weights"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("labels", "logits", "folds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def _change(path: Path, column: str, values: list[object]) -> None:
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, table.schema.field(column), pa.array(values, table[column].type)), path)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.parquet"
    test, validation = _predictions(), _predictions("validation", 3, 1)
    write_predictions(path, _predictions(pictures=4, seed=2))
    write_predictions(path, dataclasses.replace(validation, weights="ab"))
    write_predictions(path, dataclasses.replace(test, weights="cd"))
    _same(read_predictions(path, "test"), dataclasses.replace(test, weights="cd"))
    _same(read_predictions(path, "validation"), dataclasses.replace(validation, weights="ab"))
    assert [file.name for file in path.parent.iterdir()] == ["predictions.parquet"]


def test_out_of_fold_answers_stand_beside_those_of_one_model(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, _predictions("train", 6, 3, fold=1))
    write_predictions(path, judged := _predictions("train", 4))
    folds = join([_predictions("train", 2, fold=1), _predictions("validation", 3, 1, fold=2)])
    write_predictions(path, folds)
    _same(read_predictions(path, "train"), judged)
    _same(read_predictions(path, FOLDS), folds)
    assert read_predictions(path, FOLDS).folds.tolist() == [1, 1, 2, 2, 2]


def test_neighbours_are_read_beside_splits_that_have_none(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    rows = np.arange(25).reshape(5, 5)
    near = dataclasses.replace(_predictions(), nearest=Nearest(rows.astype(np.float32) / 25, rows))
    write_predictions(path, near)
    write_predictions(path, _predictions("validation", 3, 1))
    assert read_predictions(path, "validation").nearest is None
    read = read_predictions(path, "test").nearest
    assert read is not None
    np.testing.assert_array_equal(read.rows, rows)
    np.testing.assert_array_equal(read.distances, rows.astype(np.float32) / 25)
    _change(path, "nearest", [*rows[:4].tolist(), [1, 2], *[[]] * 3])
    with pytest.raises(PredictionsError, match=r"has rows of \[5, 2\] nearest: "):
        read_predictions(path, "test")


def test_others_find_columns_types_and_label_names(tmp_path: Path) -> None:
    path, expected = tmp_path / "predictions.parquet", _predictions()
    write_predictions(path, expected)
    table = pq.read_table(path)
    assert json.loads(table.schema.metadata[b"label_names"]) == NAMES
    assert [(field.name, str(field.type).replace("element", "item")) for field in table.schema] == [
        ("sha256", "string"),
        ("split", "string"),
        ("fold", "int64"),
        ("group", "string"),
        ("label", "string"),
        ("logits", "list<item: float>"),
        ("probs", "list<item: double>"),
        ("loss", "double"),
        ("distances", "list<item: float>"),
        ("nearest", "list<item: int32>"),
        ("prediction_set", "list<item: string>"),
    ]
    assert table["label"].to_pylist() == [NAMES[label] for label in expected.labels]
    np.testing.assert_array_equal(np.array(table["probs"].to_pylist()), expected.probs)
    np.testing.assert_array_equal(table["loss"].to_numpy(), expected.losses)


def test_the_set_of_every_picture_is_there_the_likeliest_class_first(tmp_path: Path) -> None:
    path, answers = tmp_path / "predictions.parquet", _predictions()
    write_predictions(path, answers, cut=0.0)
    # Answers to another split, of a model without sets, leave those that are there.
    write_predictions(path, _predictions("validation", 3, 1))
    rows = pq.read_table(path).to_pylist()
    for row, probs in zip(rows, answers.probs, strict=False):
        assert row["prediction_set"] == [NAMES[name] for name in np.argsort(-probs)]
    assert [row["prediction_set"] for row in rows if row["split"] == "validation"] == [[]] * 3
    write_predictions(path, answers, cut=1.0)
    rows = pq.read_table(path, filters=[("split", "=", "test")]).to_pylist()
    assert [row["prediction_set"] for row in rows] == [[NAMES[name]] for name in answers.answers]


@pytest.mark.parametrize(
    "lacking", [["fold", "group"], ["group", "distances", "nearest"], ["group", "prediction_set"]]
)
def test_files_of_earlier_versions_are_read_and_added_to(tmp_path: Path, lacking: list[str]) -> None:
    path, split = tmp_path / "predictions.parquet", FOLDS if "fold" not in lacking else "test"
    write_predictions(path, expected := _predictions(fold=int(split == FOLDS)))
    table = pq.read_table(path).drop_columns(lacking)
    pq.write_table(table.replace_schema_metadata({"label_names": json.dumps(NAMES)}), path)
    _same(read_predictions(path, split), dataclasses.replace(expected, groups=[""] * 5))
    write_predictions(path, _predictions("validation", 3))
    assert len(read_predictions(path, "validation").labels) == 3
    _same(read_predictions(path, split), dataclasses.replace(expected, groups=[""] * 5))


def test_a_picture_without_a_group_is_one_of_its_own() -> None:
    predictions = dataclasses.replace(_predictions(), groups=["a", "", "a", "", "b"])
    assert predictions.group_numbers.tolist() == [0, 1, 0, 2, 3]
    assert predictions.resampled == "groups of near-duplicates"
    assert dataclasses.replace(predictions, groups=[""] * 5).resampled == "pictures"


def test_losses_of_hopeless_logits_are_finite() -> None:
    predictions = Predictions([""], np.array([1]), np.array([[5000.0, -5000.0]], np.float32), ["a", "b"])
    assert np.isfinite(predictions.losses).all()


class TestFit:
    def test_answers_come_in_the_order_that_is_asked_for(self) -> None:
        there, order = _predictions(), [3, 1, 4, 0, 2]
        asked = there.select(np.array(order))
        fitting = fit_to(there, asked.sha256, asked.label_texts, "p", groups=list("abcde"))
        _same(fitting, dataclasses.replace(asked, groups=list("abcde")))

    def test_two_pictures_of_one_name_and_pictures_without_one_stay_in_their_order(self) -> None:
        for names in ([""] * 5, ["b", "a", "a", "c", "a"]):
            there = dataclasses.replace(_predictions(), sha256=names)
            _same(fit_to(there, names, there.label_texts, "p"), there)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda names, labels: (names[1:], labels[1:]), "0 of 4 have no answer, 0 had another label, 1 answers"),
            (lambda names, labels: ([*names, "z"], [*labels, "odissi"]), "1 of 6 have no answer, 0 had another label"),
            (lambda names, labels: (names, ["tango", *labels[1:]]), "0 of 5 have no answer, 1 had another label, 0"),
            (
                lambda names, labels: (["z", *names[1:]], ["odissi", "tango", *labels[2:]]),
                "1 of 5 .*, 1 had .*, 1 ans",
            ),
        ],
    )
    def test_other_pictures_or_labels(self, change: Callable[..., tuple[list, list]], message: str) -> None:
        there = _predictions()
        with pytest.raises(PredictionsError, match=f"p: other pictures or labels .{message}.*: do it again"):
            fit_to(there, *change(there.sha256, there.label_texts), "p", "do it again")


class TestBadInput:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """A file with answers to five pictures."""
        write_predictions(tmp_path / "predictions.parquet", _predictions())
        return tmp_path / "predictions.parquet"

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(NotJudgedError, match=r"there is no .*none\.parquet: python -m train evaluate, or"):
            read_predictions(tmp_path / "none.parquet", "test")

    def test_no_parquet(self, path: Path) -> None:
        path.write_text("a,b")
        with pytest.raises(
            PredictionsError, match=r"can't be read .*: move it away, and python -m train evaluate, or"
        ):
            read_predictions(path, "test")
        with pytest.raises(PredictionsError, match="can't be read"):
            write_predictions(path, _predictions())

    def test_other_columns(self, path: Path) -> None:
        pq.write_table(pq.read_table(path).drop_columns("loss"), path)
        with pytest.raises(PredictionsError, match=r"has not the columns sha256, split, fold, .* with label_names"):
            read_predictions(path, "test")

    def test_an_unknown_label(self, path: Path) -> None:
        _change(path, "label", ["tango"] * 5)
        with pytest.raises(PredictionsError, match=r"does not know \(tango\): it knows kathak, odissi, "):
            read_predictions(path, "test")

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_answers_that_are_no_numbers(self, path: Path, value: float) -> None:
        _change(path, "logits", [[0.0, 0.0, 0.0], [0.0, value, 0.0], *[[0.0, 0.0, 0.0]] * 2, [value, 0.0, 0.0]])
        with pytest.raises(PredictionsError, match=r"for 2 of 5 pictures, first for row 1, sha256 0+1: the model's"):
            read_predictions(path, "test")

    def test_too_few_numbers(self, path: Path) -> None:
        _change(path, "logits", [[0.0, 0.0]] * 5)
        with pytest.raises(PredictionsError, match="has not 3 logits and as many neighbours for every picture"):
            read_predictions(path, "test")

    def test_a_model_with_other_classes(self, path: Path) -> None:
        before = path.read_bytes()
        other = Predictions([""], np.array([0]), np.zeros((1, 2), np.float32), ["a", "b"])
        with pytest.raises(PredictionsError, match=r"of a model with other classes .*: choose another output_dir"):
            write_predictions(path, other)
        assert path.read_bytes() == before

    @pytest.mark.parametrize(("split", "command"), [("train", "evaluate"), (FOLDS, "cross-validate")])
    def test_a_split_that_was_not_judged(self, path: Path, split: str, command: str) -> None:
        with pytest.raises(
            NotJudgedError, match=f"has no answers on {split}, only on test: python -m train {command}"
        ):
            read_predictions(path, split)
