"""What `build` tells the person who ran it."""

from collections import Counter
from dataclasses import dataclass

from dataset_card.writing.leaks import Leaks
from dataset_card.writing.tables import Contents, class_counts


@dataclass(frozen=True)
class BuildReport:
    """What `build` did.

    Attributes:
        contents: What is in the dataset and what was left out.
        notes: What people should know about their input, a line each.
    """

    contents: Contents
    notes: list[str]


def summary(report: BuildReport) -> str:
    """Returns the table that `build` prints: pictures per class and split, then what was left out and why."""
    contents = report.contents
    width = max(map(len, [*contents.label_names, "class"]))
    lines = [f"{'class':{width}}" + "".join(f"{split:>12}" for split in contents.rows)]
    for label, counts in class_counts(contents).items():
        lines.append(f"{label:{width}}" + "".join(f"{count:12}" for count in counts.values()))
    lines.append(f"{'all':{width}}" + "".join(f"{len(rows):12}" for rows in contents.rows.values()))
    if "test" not in contents.rows:
        lines.append("there is no test split: judge by cross-validation, or on pictures from elsewhere")
    reasons = Counter(r.reason for r in contents.rejected)
    lines += [f"left out, {reason}: {count}" for reason, count in reasons.most_common()]
    if contents.taken_down:
        lines.append(f"left out, taken down: {contents.taken_down}")
    if contents.corrected:
        lines.append(f"corrections replayed: {contents.corrected}")
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines)


def unknown_pictures(unknown: list[str]) -> list[str]:
    """Returns a note on corrections whose picture is not here, if there are any."""
    if not unknown:
        return []
    few = ", ".join(sha256[:12] for sha256 in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
    return [f"{len(unknown)} corrections name pictures that are not here ({few}): nothing was done for them"]


def about_leaks(leaks: list[Leaks]) -> list[str]:
    """Returns a note on every two splits that share pictures: only such as folders gave can."""
    return [
        f"{pair.left} and {pair.right} leak: {pair.exact} pictures of {pair.left} are in {pair.right}, too, "
        f"{pair.near} look like one there, and {pair.events} events are in both; --move-leaks leaves these out of "
        f"{pair.left}"
        for pair in leaks
        if pair.exact or pair.near or pair.events
    ]
