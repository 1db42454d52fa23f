"""Do the files tell more than the pictures show?"""

from collections import Counter
from collections.abc import Iterator, Sequence

from dataset_card.checks.pictures import Picture
from dataset_card.checks.result import Result, judge

# Says how colours are meant, and nothing about a person or a place.
_HARMLESS = {"ICC profile"}


def check_privacy(pictures: Sequence[Picture]) -> Iterator[Result]:
    """Looks for metadata that was left in the pictures' files."""
    # A file that does not decode is to be replaced anyway.
    told = {p.where: p.metadata for p in pictures if p.metadata and p.look}
    names = Counter(name for of in told.values() for name in of)
    telling = [f"{where}: {', '.join(of)}" for where, of in told.items() if not _HARMLESS.issuperset(of)]
    yield judge(
        "metadata",
        "FOUND" if telling else "NOTE",
        telling or [f"{where}: {', '.join(of)}" for where, of in told.items()],
        what=", ".join(f"{name} {count}" for name, count in names.most_common()),
        advice="write these files anew, pixels only (`dataset_card build` does)"
        if telling
        else "nothing, or make it sRGB",
        fine="nothing but the pictures",
    )
    yield judge(
        "containers",
        "NOTE",
        [p.where for p in pictures if p.metadata is None and p.look],
        what="neither JPEG nor PNG nor WebP, so not looked into",
        advice="store them as one of the three",
        fine="JPEG, PNG or WebP",
    )
