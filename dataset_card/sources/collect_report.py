"""What a collector says at its end."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dataset_card.knowing.dances import DANCES
from dataset_card.knowing.licenses import UNKNOWN, license_of
from dataset_card.sources.shelf import STAGING
from files.errors import UserError

AGAIN = "run the same command again later, what is here is not fetched twice"


class CollectError(UserError):
    """Not everything could be collected."""


@dataclass(frozen=True)
class CollectReport:
    """What `collect` did.

    Attributes:
        label: The sub-folder.
        limit: How many pictures it should hold.
        count: How many it holds.
        found: Pictures that were looked at.
        licenses: New pictures, by licence.
        left_out: Pictures that were not taken, by reason.
        undelivered: What hindered each of those that may arrive another time.
    """

    label: str
    limit: int
    count: int
    found: int
    licenses: Counter[str]
    left_out: Counter[str]
    undelivered: list[str]


def summary(report: CollectReport, photos: Path) -> str:
    """Returns what `collect` prints at the end: pictures by licence, what was left out and why, what to do next."""
    new = report.licenses.total()
    names = {license_id: license_of(license_id).name for license_id in report.licenses}
    width = max(map(len, [*names.values(), "licence"]))
    lines = [f"{'licence':{width}}{'new pictures':>14}"] if new else []
    lines += [f"{names[license_id]:{width}}{count:14}" for license_id, count in most_first(report.licenses)]
    lines += [f"left out, {reason}: {count}" for reason, count in most_first(report.left_out)]
    if report.undelivered:
        lines.append(f"not arrived: {len(report.undelivered)}")
    lines.append(f"{photos / report.label}: {new} new, {report.count} in all")
    if UNKNOWN.id in report.licenses:
        lines.append("Nobody knows their licences: train with them, but push --public will refuse them.")
    if report.count:
        others = [p.name for p in photos.iterdir() if p.is_dir() and p.name not in (report.label, STAGING)]
        following = next((label for label in DANCES if label != report.label), "")
        build = f"build {photos} --out DATASET" if others else f"collect {photos} --dance {following} --contact YOU"
        lines.append(f"Next: python -m dataset_card {build}")
    return "\n".join(lines)


def check(report: CollectReport) -> None:
    """Raises where not everything was done.

    Raises:
        CollectError: Says what to try.
    """
    if report.count >= report.limit:
        return
    other_ways = "try other words with --query, a greater --depth, or another --source"
    if not report.found:
        raise CollectError(f"nothing found for {report.label}: {other_ways}")
    if report.undelivered:
        raise CollectError(
            f"{len(report.undelivered)} of the pictures did not arrive ({report.undelivered[0]}): {AGAIN}"
        )
    if not report.count:
        why = counted(report.left_out)
        raise CollectError(f"{report.found} found for {report.label}, none of use ({why}): {other_ways}")


def counted(reasons: Counter[str], at_most: int | None = None) -> str:
    """Returns reasons with their numbers, in one line; the first few of them where `at_most` says so."""
    return ", ".join(f"{count} {reason}" for reason, count in most_first(reasons)[:at_most])


def most_first(counts: Counter[str]) -> list[tuple[str, int]]:
    """Returns what was counted, equal numbers by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
