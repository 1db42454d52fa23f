"""The story of `dataset_card check`: everything that may be wrong with a dataset of pictures, in one table."""

import textwrap
from dataclasses import dataclass

from dataset_card.checks.balance import check_balance
from dataset_card.checks.card_claims import check_card
from dataset_card.checks.decoding import check_decoding
from dataset_card.checks.leaks import check_leaks
from dataset_card.checks.licences import check_licences
from dataset_card.checks.opening import open_dataset
from dataset_card.checks.pictures import look_at_all
from dataset_card.checks.privacy import check_privacy
from dataset_card.checks.result import Result, Verdict
from dataset_card.checks.structure import check_structure

_WIDTH = 119


@dataclass(frozen=True)
class CheckReport:
    """What `check` found: the dataset's name, how many pictures it has, the results of each kind of check."""

    name: str
    pictures: int
    results: dict[str, list[Result]]

    def ended(self, verdict: Verdict) -> list[tuple[str, Result]]:
        """Returns the results that ended so, each after its kind."""
        return [(area, result) for area, of in self.results.items() for result in of if result.verdict == verdict]


def check(name: str, config: str | None = None) -> CheckReport:
    """Checks a dataset of labelled pictures, of our own make or not.

    Every picture is read and decoded once; only hashes are kept.

    Args:
        name: A folder or Hub id, maybe with a revision.
        config: Which configuration, where there are several.

    Raises:
        UserError: No dataset of pictures, or one that can't be read.
        HubError: The Hub, or the way to it, says no.
    """
    dataset = open_dataset(name, config)
    pictures = look_at_all(dataset)
    results = {
        "structure": check_structure(dataset, pictures),
        "pictures": check_decoding(pictures),
        "balance": check_balance(dataset, pictures),
        "leaks": check_leaks(dataset, pictures),
        "privacy": check_privacy(pictures),
        "licences": check_licences(dataset, pictures),
        "card": check_card(dataset, pictures),
    }
    return CheckReport(name, len(pictures), {area: list(of) for area, of in results.items()})


def table(report: CheckReport) -> str:
    """Returns what `check` prints: a line per check, what to do about each that did not end well, the sum."""
    rows = [("", "check", "result", "count", "what")]
    for area, of in report.results.items():
        for number, result in enumerate(of):
            rows.append((area * (number == 0), result.name, result.verdict, str(result.count or ""), result.what))
    first, second, third, fourth = (max(len(row[column]) for row in rows) for column in range(4))
    lines = []
    for area, name, verdict, count, what in rows:
        head = f"{area:{first}}  {name:{second}}  {verdict:{third}}  {count:>{fourth}}  "
        wrapped = textwrap.wrap(what, _WIDTH - len(head), break_on_hyphens=False) or [""]
        lines += [head + wrapped[0], *(" " * len(head) + more for more in wrapped[1:])]
    found, notes = report.ended("FOUND"), report.ended("NOTE")
    if found or notes:
        lines += ["", "What to do"]
    for area, result in found + notes:
        advice = f"{result.verdict:{third}}  {area}, {result.name}: {result.advice}"
        lines += textwrap.wrap(advice, _WIDTH, subsequent_indent=" " * (third + 2), break_on_hyphens=False)
    total = f"{report.name}: {report.pictures} pictures, {len(found)} found, {len(notes)} noted"
    return "\n".join([*map(str.rstrip, lines), "", total])
