import dataclasses
import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_folder.reference_features import Nearest
from train.predictions import (
    Predictions,
    PredictionsError,
    check_fit,
    read_predictions,
    read_split,
    write_predictions,
)

NAMES = ["kathak", "odissi", "ಕಥಕ್"]


def _predictions(pictures: int = 5, seed: int = 0) -> Predictions:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(pictures, 3)).astype(np.float32)
    return Predictions(
        [f"{number:064x}" for number in range(pictures)], random.integers(0, 3, pictures), logits, NAMES
    )


def _change(path: Path, column: str, values: list[object]) -> None:
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, table.schema.field(column), pa.array(values, table[column].type)), path)


def test_neighbours_are_read_beside_splits_that_have_none(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    rows = np.arange(25).reshape(5, 5)
    near = dataclasses.replace(_predictions(5), nearest=Nearest(rows.astype(np.float32) / 25, rows))
    write_predictions(path, "test", near)
    write_predictions(path, "validation", _predictions(3, seed=1))
    read = read_predictions(path)
    assert read["validation"].nearest is None
    assert read["test"].nearest is not None
    assert (read["test"].nearest.rows == rows).all()
    np.testing.assert_array_equal(read["test"].nearest.distances, rows.astype(np.float32) / 25)
    _change(path, "nearest", [*[[]] * 3, *rows[:4].tolist(), [1, 2]])
    with pytest.raises(PredictionsError, match="has not as many neighbours for every picture of test"):
        read_predictions(path)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictions.parquet"
    test, validation = _predictions(5), _predictions(3, seed=1)
    write_predictions(path, "test", _predictions(4, seed=2))
    write_predictions(path, "validation", validation)
    write_predictions(path, "test", test)
    read = read_predictions(path)
    assert list(read) == ["validation", "test"]
    for split, expected in (("test", test), ("validation", validation)):
        assert read[split].sha256 == expected.sha256
        assert read[split].label_names == NAMES
        np.testing.assert_array_equal(read[split].labels, expected.labels)
        np.testing.assert_array_equal(read[split].logits, expected.logits)
    assert [file.name for file in path.parent.iterdir()] == ["predictions.parquet"]


def test_others_find_columns_types_and_label_names(tmp_path: Path) -> None:
    path, expected = tmp_path / "predictions.parquet", _predictions()
    write_predictions(path, "test", expected)
    table = pq.read_table(path)
    assert json.loads(table.schema.metadata[b"label_names"]) == NAMES
    assert [(field.name, str(field.type).replace("element", "item")) for field in table.schema] == [
        ("sha256", "string"),
        ("split", "string"),
        ("label", "string"),
        ("logits", "list<item: float>"),
        ("probs", "list<item: double>"),
        ("loss", "double"),
        ("distances", "list<item: float>"),
        ("nearest", "list<item: int32>"),
    ]
    assert table["label"].to_pylist() == [NAMES[label] for label in expected.labels]
    np.testing.assert_array_equal(np.array(table["probs"].to_pylist()), expected.probs)
    np.testing.assert_array_equal(table["loss"].to_numpy(), expected.losses)


class TestBadInput:
    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(PredictionsError, match=r"there is no .*none\.parquet: python -m train evaluate writes it"):
            read_predictions(tmp_path / "none.parquet")

    def test_no_parquet(self, tmp_path: Path) -> None:
        path = tmp_path / "predictions.parquet"
        path.write_text("a,b")
        with pytest.raises(PredictionsError, match="is no parquet file"):
            read_predictions(path)
        with pytest.raises(PredictionsError, match="is no parquet file"):
            write_predictions(path, "test", _predictions())

    def test_other_columns(self, tmp_path: Path) -> None:
        path = tmp_path / "predictions.parquet"
        write_predictions(path, "test", _predictions())
        pq.write_table(pq.read_table(path).drop_columns("loss"), path)
        with pytest.raises(PredictionsError, match=r"has not the columns sha256, split, label, .* with label_names"):
            read_predictions(path)

    def test_an_unknown_label(self, tmp_path: Path) -> None:
        path = tmp_path / "predictions.parquet"
        write_predictions(path, "test", _predictions())
        _change(path, "label", ["tango"] * 5)
        with pytest.raises(PredictionsError, match=r"does not know \(tango\): it knows kathak, odissi, "):
            read_predictions(path)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_answers_that_are_no_numbers(self, tmp_path: Path, value: float) -> None:
        path = tmp_path / "predictions.parquet"
        write_predictions(path, "test", _predictions())
        _change(path, "logits", [[0.0, 0.0, 0.0], [0.0, value, 0.0], *[[0.0, 0.0, 0.0]] * 2, [value, 0.0, 0.0]])
        with pytest.raises(PredictionsError, match=r"for 2 of 5 pictures, first for row 1, sha256 0+1: the model's"):
            read_predictions(path)

    def test_too_few_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "predictions.parquet"
        write_predictions(path, "test", _predictions())
        _change(path, "logits", [[0.0, 0.0]] * 5)
        with pytest.raises(PredictionsError, match="has not 3 numbers for every picture of test"):
            read_predictions(path)

    def test_a_model_with_other_classes(self, tmp_path: Path) -> None:
        path = tmp_path / "predictions.parquet"
        write_predictions(path, "test", _predictions())
        before = path.read_bytes()
        other = Predictions([""], np.array([0]), np.zeros((1, 2), np.float32), ["a", "b"])
        with pytest.raises(PredictionsError, match=r"of a model with other classes .*: choose another output_dir"):
            write_predictions(path, "test", other)
        assert path.read_bytes() == before

    def test_a_split_that_was_not_judged(self, tmp_path: Path) -> None:
        path = tmp_path / "predictions.parquet"
        write_predictions(path, "test", _predictions())
        with pytest.raises(PredictionsError, match="has no answers on train, only on test"):
            read_split(path, "train")

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("more", "5 answers for 6 pictures"),
            ("order", "4 of 5 answers are to other pictures"),
            ("label", "1 of 5 pictures had another label then"),
        ],
    )
    def test_predictions_that_do_not_fit_the_dataset(self, fault: str, message: str) -> None:
        predictions = _predictions()
        columns = {"sha256": list(predictions.sha256), "label": predictions.labels.tolist()}
        check_fit(predictions, datasets.Dataset.from_dict(columns), "p")
        if fault == "more":
            columns = {name: [*values, values[0]] for name, values in columns.items()}
        elif fault == "order":
            columns["sha256"].reverse()
        else:
            columns["label"][2] = (columns["label"][2] + 1) % 3
        with pytest.raises(PredictionsError, match=f"p: {message}"):
            check_fit(predictions, datasets.Dataset.from_dict(columns), "p")
