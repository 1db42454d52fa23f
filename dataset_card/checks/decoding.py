"""Can every picture be seen, by everybody, as it was meant?"""

from collections import Counter
from collections.abc import Iterator, Sequence

from dataset_card.checks.pictures import Picture
from dataset_card.checks.result import Result, judge
from pictures.decoding import MAX_PIXELS, MIN_SIDE

_SIZES = {"too small", "too large"}


def check_decoding(pictures: Sequence[Picture]) -> Iterator[Result]:
    """Looks at whether pictures decode, at their sizes, modes and orientation tags."""
    refused = [p for p in pictures if p.refusal]
    yield judge(
        "decoding",
        "FOUND",
        [f"{p.where}: {p.refusal}" for p in refused if p.refusal not in _SIZES],
        what="pictures that nobody can see",
        advice="replace these pictures or leave their rows out",
        fine="every picture decodes to its end",
    )
    looks = [p.look for p in pictures if p.look]
    sides = [side for look in looks for side in look.size]
    yield judge(
        "size",
        "FOUND",
        [f"{p.where}: {p.refusal}" for p in refused if p.refusal in _SIZES],
        what=f"sides under {MIN_SIDE}, or more than {MAX_PIXELS:,} pixels",
        advice="replace or scale these pictures",
        fine=f"sides of {min(sides)} to {max(sides)} pixels" if sides else "",
    )
    modes = Counter(look.mode for look in looks)
    yield judge(
        "mode",
        "NOTE",
        [f"{p.where}: {p.look.mode}" for p in pictures if p.look and p.look.mode != "RGB"],
        what=", ".join(f"{mode} {count}" for mode, count in modes.most_common()),
        advice='convert when loading: cast_column("image", Image(mode="RGB"))',
        fine="RGB",
    )
    yield judge(
        "orientation",
        "FOUND",
        [p.where for p in pictures if p.look and p.look.turned],
        what="pictures that lie on their side wherever the EXIF tag is not read",
        advice="turn the pixels and remove the tag",
        fine="no orientation tag is left",
    )
