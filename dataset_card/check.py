"""The story of `dataset_card check`: everything that may be wrong with a dataset of pictures, in one table."""

import textwrap
from dataclasses import dataclass

from dataset_card.checks import Result, Verdict
from dataset_card.checks.card import check_card
from dataset_card.checks.leaks import check_leaks
from dataset_card.checks.licences import check_licences
from dataset_card.checks.opening import open_dataset
from dataset_card.checks.pictures import check_pictures, check_privacy
from dataset_card.checks.rows import inspect_rows
from dataset_card.checks.shortcuts import check_shortcuts
from dataset_card.checks.structure import check_balance, check_structure

CHECKS = {
    "structure": check_structure,
    "pictures": check_pictures,
    "balance": check_balance,
    "leaks": check_leaks,
    "shortcuts": check_shortcuts,
    "privacy": check_privacy,
    "licences": check_licences,
    "card": check_card,
}
"""What looks for faults, by kind: each takes the open dataset and the table of its rows, and yields results."""

_WIDTH = 119


@dataclass(frozen=True)
class CheckReport:
    """What `check` found: the dataset's name, how many pictures it has, the results of each kind of check."""

    name: str
    pictures: int
    results: dict[str, list[Result]]

    def ended(self, verdict: Verdict) -> list[tuple[str, Result]]:
        """Returns the results with this verdict, each after its kind."""
        return [(kind, result) for kind, of in self.results.items() for result in of if result.verdict == verdict]


def check(name: str, config: str | None = None) -> CheckReport:
    """Checks a dataset of labelled pictures, made by `build` or not.

    Every picture is read and decoded once; only hashes are kept.

    Args:
        name: A folder or Hub id, maybe with a revision.
        config: Which configuration, where there are several.

    Raises:
        UserError: No dataset of pictures, or one that can't be read.
        HubError: The Hub, or the way to it, says no.
    """
    dataset = open_dataset(name, config)
    rows = inspect_rows(dataset)
    return CheckReport(name, len(rows), {kind: list(run(dataset, rows)) for kind, run in CHECKS.items()})


def table(report: CheckReport) -> str:
    """Returns what `check` prints: a line per check, what to do about each that did not end well, the totals."""
    rows = [("", "check", "result", "count", "what")]
    for kind, of in report.results.items():
        for number, result in enumerate(of):
            rows.append((kind * (number == 0), result.name, result.verdict, str(result.count or ""), result.what))
    first, second, third, fourth = (max(len(row[column]) for row in rows) for column in range(4))
    lines = []
    for kind, name, verdict, count, what in rows:
        head = f"{kind:{first}}  {name:{second}}  {verdict:{third}}  {count:>{fourth}}  "
        wrapped = textwrap.wrap(what, _WIDTH - len(head), break_on_hyphens=False) or [""]
        lines += [head + wrapped[0], *(" " * len(head) + more for more in wrapped[1:])]
    found, notes = report.ended("FOUND"), report.ended("NOTE")
    if found or notes:
        lines += ["", "What to do"]
    for kind, result in found + notes:
        advice = f"{result.verdict:{third}}  {kind}, {result.name}: {result.advice}"
        lines += textwrap.wrap(advice, _WIDTH, subsequent_indent=" " * (third + 2), break_on_hyphens=False)
    total = f"{report.name}: {report.pictures} pictures, {len(found)} found, {len(notes)} noted"
    return "\n".join([*map(str.rstrip, lines), "", total])
