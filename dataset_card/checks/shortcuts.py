"""Whether the class of a picture can be told from what has nothing to do with what it shows."""

from collections.abc import Iterator

import pandas as pd

from dataset_card.checks import Result, Verdict
from dataset_card.checks.opening import OpenDataset
from dataset_card.shortcuts import find_shortcuts

_ADVICE = (
    "look whether one source, photographer or agency gave most of these classes, and judge on pictures from elsewhere "
    "(train cross-validate folds=source); colour may be the costume's"
)


def check_shortcuts(dataset: OpenDataset, table: pd.DataFrame) -> Iterator[Result]:
    """Measures what a model is worth that sees light, colour, borders, size, shape, compression or a strip only."""
    rows = table[(table["marks"] != b"") & table["label"].notna()]
    # Pictures that no group names stand alone, under the number of their row.
    groups = [group or f"alone {number}" for number, group in enumerate(rows["group"])]
    found = find_shortcuts(rows["marks"].tolist(), rows["label"].tolist(), groups)
    if not found:
        yield Result("all", "ok", 0, "too few pictures to tell (100, and five groups of every class, would do)")
    for shortcut in found:
        verdict: Verdict = "NOTE" if shortcut.tells else "ok"
        yield Result(shortcut.name, verdict, 0, shortcut.sentence(), _ADVICE if shortcut.tells else "")
