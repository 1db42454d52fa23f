"""Many pictures at once: a row for each, whatever became of it, and the rows as a spreadsheet reads them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from demo.telling.verdict import Verdict
from demo.words import ENGLISH, languages_of
from model_folder.facts import Dance

MOST = 100
"""Pictures at once."""
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Row:
    """What became of a file.

    Attributes:
        file: Its name, as the visitor's device has it.
        verdict: The answer; None where there is none.
        probs: By label, 0 to 1; empty where there is no answer.
        uri: A small copy for an `img` of HTML, or "".
        fault: Why there is no answer; None where there is one.
    """

    file: str
    verdict: Verdict | None = None
    probs: Mapping[str, float] = field(default_factory=dict)
    uri: str = ""
    fault: str | None = None


def as_csv(rows: Sequence[Row], label_names: Sequence[str], dances: Mapping[str, Dance]) -> str:
    """Returns a line per file: file, verdict, prediction set, probability of every class, fault.

    The columns' names and the verdicts are English, for programs to rely on; a set's classes are separated by "; ". No
    cell is a formula.
    """
    text, english = io.StringIO(), languages_of(dances)[ENGLISH]
    writer = csv.writer(text)
    writer.writerow(["file", "verdict", "prediction_set", *map(_cell, label_names), "fault"])
    for row in rows:
        verdict = row.verdict.sentence(dances, english) if row.verdict else ""
        possible = "; ".join(row.verdict.prediction_set) if row.verdict else ""
        shares = [f"{row.probs[label]:.4f}" if row.probs else "" for label in label_names]
        writer.writerow([_cell(row.file), _cell(verdict), _cell(possible), *shares, row.fault or ""])
    return text.getvalue()


def as_json(row: Row, dances: Mapping[str, Dance]) -> dict[str, object]:
    """Returns a row as the API gives it."""
    if row.verdict is None:
        return {"file": row.file, "verdict": None, "probabilities": None, "prediction_set": None, "error": row.fault}
    return {
        "file": row.file,
        "verdict": row.verdict.sentence(dances, languages_of(dances)[ENGLISH]),
        "probabilities": dict(row.probs),
        "prediction_set": list(row.verdict.prediction_set),
        "error": None,
    }


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
