"""What `build` tells the person who ran it."""

from collections import Counter
from dataclasses import dataclass

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
