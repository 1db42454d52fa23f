import csv
import io

import pytest

from demo.telling.many import Row, as_csv, as_json
from demo.telling.verdict import judge
from model_folder.facts import PredictionSets, Threshold, read_dances

PROBS = {"kathak": 0.9, "=odissi": 0.1}
DANCES = read_dances({"label_names": list(PROBS)})


def _answered(file: str) -> Row:
    return Row(file, judge(PROBS, Threshold(), sets=PredictionSets(0.05, 0.95)), PROBS)


def test_every_file_has_its_line_whatever_became_of_it() -> None:
    text = as_csv([_answered("a.jpg"), Row("b.txt", fault="no picture")], list(PROBS), DANCES)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows == [
        ["file", "verdict", "prediction_set", "kathak", "'=odissi", "fault"],
        ["a.jpg", "Kathak, 90 %", "kathak; =odissi", "0.9000", "0.1000", ""],
        ["b.txt", "", "", "", "", "no picture"],
    ]


@pytest.mark.parametrize("name", ["=1+1.jpg", "+x", "-x", "@x", "\tx", "\rx", "\nx"])
def test_no_cell_is_a_formula(name: str) -> None:
    cell = list(csv.reader(io.StringIO(as_csv([_answered(name)], list(PROBS), DANCES), newline="")))[1][0]
    assert cell == f"'{name}"


def test_a_name_with_commas_and_quotes_stays_one_cell() -> None:
    name = 'a, "b"\n.jpg'
    rows = list(csv.reader(io.StringIO(as_csv([_answered(name)], list(PROBS), DANCES), newline="")))
    assert rows[1][0] == name
    assert len(rows) == 2


def test_the_api_gives_numbers_or_an_error() -> None:
    assert as_json(_answered("a.jpg"), DANCES) == {
        "file": "a.jpg", "verdict": "Kathak, 90 %", "probabilities": PROBS,
        "prediction_set": ["kathak", "=odissi"], "error": None,
    }  # fmt: skip
    assert as_json(Row("b", fault="no picture"), DANCES)["error"] == "no picture"
