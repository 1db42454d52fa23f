"""`looked_at_by_eye.csv`: two independent looks at labels of the development photographs, by sha256, without pictures.

`rank` is the place among 748 pictures of `dances_b` by the answers of a model that had learned from other collections,
`loss_rank` that by the losses of a final model on what it had learned from and was chosen by; the rows without either
were drawn at random.
"""

import csv
import hashlib
from pathlib import Path

import pytest

from tests.conftest import SHARED

ROWS = list(csv.DictReader(Path(__file__).with_name("looked_at_by_eye.csv").read_text("utf-8").splitlines()))


def _wrong(row: dict[str, str]) -> int:
    return (row["first"] == "wrong") + (row["second"] == "wrong")


@pytest.mark.parametrize(("column", "both", "either"), [("rank", [3, 7], [5, 9]), ("loss_rank", [4, 6], [4, 6])])
def test_what_was_found(column: str, both: list[int], either: list[int]) -> None:
    ranked = sorted((row for row in ROWS if row[column]), key=lambda row: int(row[column]))
    assert [int(row[column]) for row in ranked] == list(range(1, 51))
    assert [sum(_wrong(row) == 2 for row in ranked[:most]) for most in (20, 50)] == both
    assert [sum(_wrong(row) >= 1 for row in ranked[:most]) for most in (20, 50)] == either


def test_every_picture_was_looked_at_once_and_has_another_name_where_it_is_wrong() -> None:
    assert len({row["sha256"] for row in ROWS}) == len(ROWS)
    assert all(bool(row["instead"]) == bool(_wrong(row)) for row in ROWS)
    drawn = [_wrong(row) for row in ROWS if not row["rank"] and not row["loss_rank"]]
    assert (len(drawn), drawn.count(2), drawn.count(1)) == (21, 1, 0)


@pytest.mark.shared
def test_the_pictures_and_labels_are_those_of_the_collection() -> None:
    folder = SHARED / "data" / "dances_b"
    there = {hashlib.sha256(file.read_bytes()).hexdigest(): file.parent.name for file in folder.glob("*/*")}
    assert all(there[row["sha256"]] == row["label"] for row in ROWS)
