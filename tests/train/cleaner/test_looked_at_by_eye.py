"""`looked_at_by_eye.csv`: two independent looks at labels of the development photographs, by sha256, without pictures.

`rank` is the place among 748 pictures of `dances_b` by the answers of a model that had learned from other collections;
the rows without one were drawn at random from the others.
"""

import csv
import hashlib
from pathlib import Path

import pytest

from tests.conftest import SHARED

ROWS = list(csv.DictReader(Path(__file__).with_name("looked_at_by_eye.csv").read_text("utf-8").splitlines()))


def _wrong(row: dict[str, str]) -> int:
    return (row["first"] == "wrong") + (row["second"] == "wrong")


def test_what_was_found() -> None:
    ranked = [row for row in ROWS if row["rank"]]
    assert [int(row["rank"]) for row in ranked] == list(range(1, 51))
    assert [sum(_wrong(row) == 2 for row in ranked[:most]) for most in (20, 50)] == [3, 7]
    assert [sum(_wrong(row) >= 1 for row in ranked[:most]) for most in (20, 50)] == [5, 9]
    assert sum(map(_wrong, ROWS[50:])) == 0
    assert all(bool(row["instead"]) == bool(_wrong(row)) for row in ROWS)


@pytest.mark.shared
def test_the_pictures_and_labels_are_those_of_the_collection() -> None:
    folder = SHARED / "data" / "dances_b"
    there = {hashlib.sha256(file.read_bytes()).hexdigest(): file.parent.name for file in folder.glob("*/*")}
    assert all(there[row["sha256"]] == row["label"] for row in ROWS)
