"""Has every class enough pictures, everywhere?"""

from collections import Counter
from collections.abc import Iterator, Sequence

from dataset_card.checks.opening import OpenDataset
from dataset_card.checks.pictures import Picture
from dataset_card.checks.result import Result, judge

FEW = 10
"""A class with fewer pictures in a split can neither be learned nor judged there: one answer is over 10 points."""
UNEVEN = 3
"""Times as many pictures in the largest class as in the smallest."""


def check_balance(dataset: OpenDataset, pictures: Sequence[Picture]) -> Iterator[Result]:
    """Counts pictures per class and split."""
    counts = Counter((p.label, p.split) for p in pictures if p.label is not None)
    classes = dataset.label_names or sorted({label for label, _ in counts})
    cells = {(label, split): counts[label, split] for split in dataset.splits for label in classes}
    yield judge(
        "missing",
        "FOUND",
        [f"no {label} in {split}" for (label, split), count in cells.items() if not count],
        what="classes that a split lacks",
        advice="add pictures, split again, or remove the class",
        fine="every class is in every split",
    )
    few = sorted((count, label, split) for (label, split), count in cells.items() if 0 < count < FEW)
    yield judge(
        "few",
        "NOTE",
        [f"{count} x {label} in {split}" for count, label, split in few],
        what=f"classes with under {FEW} pictures in a split",
        advice="add pictures before you trust a number per class",
        fine=f"{min(cells.values(), default=0)} or more everywhere",
    )
    totals = Counter(label for label, _ in counts.elements())
    if not totals:
        return
    (largest, most), (smallest, least) = totals.most_common()[0], totals.most_common()[-1]
    ratio = f"largest to smallest {most / least:.1f} ({largest} {most}, {smallest} {least})"
    yield judge(
        "ratio",
        "NOTE",
        [ratio] if most > UNEVEN * least else [],
        advice="report macro F1 beside accuracy, and weigh or add pictures",
        fine=ratio,
    )
