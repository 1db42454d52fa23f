from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from train.predictions import (
    OutOfFold,
    OutOfFoldError,
    Predictions,
    join_folds,
    read_out_of_fold,
    write_out_of_fold,
    write_predictions,
)


def _answers(fold: int, *names: str) -> OutOfFold:
    chance = np.random.default_rng(fold)
    predictions = Predictions(
        list(names), chance.integers(0, 3, len(names)), chance.normal(size=(len(names), 3)).astype(np.float32),
        ["kathak", "odissi", "सत्रिया"],
    )  # fmt: skip
    return OutOfFold(predictions, ["train"] * len(names), np.full(len(names), fold))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    joined = join_folds([_answers(1, "a", "b"), _answers(2, "c")])
    write_out_of_fold(tmp_path / "predictions.parquet", joined)
    again = read_out_of_fold(tmp_path / "predictions.parquet")
    assert again.predictions.sha256 == ["a", "b", "c"]
    assert again.predictions.label_names == ["kathak", "odissi", "सत्रिया"]
    assert again.splits == ["train"] * 3
    assert again.folds.tolist() == [1, 1, 2]
    np.testing.assert_array_equal(again.predictions.labels, joined.predictions.labels)
    np.testing.assert_array_equal(again.predictions.logits, joined.predictions.logits)
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.column_names == ["sha256", "split", "label", "logits", "probs", "loss", "fold"]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.parquet"]


def test_predictions_of_one_model_are_none(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", "train", _answers(1, "a").predictions)
    with pytest.raises(OutOfFoldError, match="holds no out-of-fold predictions"):
        read_out_of_fold(tmp_path / "predictions.parquet")


def test_logits_that_are_no_numbers(tmp_path: Path) -> None:
    answers = _answers(1, "a", "b")
    answers.predictions.logits[1, 2] = np.nan
    write_out_of_fold(tmp_path / "predictions.parquet", answers)
    with pytest.raises(OutOfFoldError, match="holds logits that are no numbers"):
        read_out_of_fold(tmp_path / "predictions.parquet")


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "predictions.parquet").write_text("nothing")
    with pytest.raises(OutOfFoldError, match="can't be read"):
        read_out_of_fold(tmp_path / "predictions.parquet")
