"""Whether every picture decodes, as it was meant to be seen, and what its file carries besides."""

from collections import Counter
from collections.abc import Iterator

import pandas as pd

from dataset_card.checks import Result, judge
from dataset_card.checks.opening import OpenDataset
from pictures.decoding import MAX_PIXELS, MIN_SIDE

# Says how colours are meant, and nothing about a person or a place.
_HARMLESS = {"ICC profile"}


def check_pictures(dataset: OpenDataset, table: pd.DataFrame) -> Iterator[Result]:
    """Looks at whether pictures decode, at their sizes, modes and orientation tags."""
    decoded, refused = table[table["reason"] == ""], table[table["reason"] != ""]
    why = (
        refused["row"] + ": " + refused["reason"] + (" (" + refused["detail"] + ")").where(refused["detail"] != "", "")
    )
    too_large = refused["reason"] == "too large"
    yield judge(
        "decoding",
        "FOUND",
        why[~too_large].tolist(),
        what="pictures that nobody can see",
        advice="replace these pictures or leave their rows out",
        fine="every picture decodes to its end",
    )
    sides = decoded[["width", "height"]]
    yield judge(
        "size",
        "FOUND",
        why[too_large].tolist(),
        what=f"more than {MAX_PIXELS:,} pixels, or as much work to decode",
        advice="replace or scale these pictures",
        fine=f"sides of {sides.min(axis=None)} to {sides.max(axis=None)} pixels" if len(sides) else "",
    )
    small = decoded[sides.min(axis=1) < MIN_SIDE]
    yield judge(
        "small",
        "NOTE",
        [f"{row} {width} x {height}" for row, width, height in small[["row", "width", "height"]].to_numpy()],
        what=f"under {MIN_SIDE} pixels",
        advice="look for larger ones: the demo refuses such pictures",
        fine=f"no side under {MIN_SIDE} pixels",
    )
    other = decoded[decoded["mode"] != "RGB"]
    yield judge(
        "mode",
        "NOTE",
        (other["row"] + ": " + other["mode"]).tolist(),
        what=", ".join(f"{mode} {count}" for mode, count in decoded["mode"].value_counts().items()),
        advice='convert when loading: cast_column("image", Image(mode="RGB"))',
        fine="RGB",
    )
    yield judge(
        "orientation",
        "FOUND",
        decoded["row"][decoded["turned"]].tolist(),
        what="pictures that lie on their side wherever the EXIF tag is not read",
        advice="turn the pixels and remove the tag",
        fine="no orientation tag is left",
    )


def check_privacy(dataset: OpenDataset, table: pd.DataFrame) -> Iterator[Result]:
    """Looks for metadata that was left in the pictures' files."""
    # A file that does not decode is to be replaced anyway.
    decoded = table[table["reason"] == ""]
    metadata = {row: names for row, names in zip(decoded["row"], decoded["metadata"], strict=True) if names}
    counts = Counter(name for names in metadata.values() for name in names)
    harmful = {row: names for row, names in metadata.items() if not _HARMLESS.issuperset(names)}
    yield judge(
        "metadata",
        "FOUND" if harmful else "NOTE",
        [f"{row}: {', '.join(names)}" for row, names in (harmful or metadata).items()],
        what=", ".join(f"{name} {count}" for name, count in counts.most_common()),
        advice="write these files anew, pixels only (`dataset_card build` does)"
        if harmful
        else "nothing, or convert the pictures to sRGB and leave the profile out",
        fine="nothing but the pictures",
    )
    yield judge(
        "containers",
        "NOTE",
        decoded["row"][decoded["metadata"].isna()].tolist(),
        what="neither JPEG nor PNG nor WebP, so not looked into",
        advice="store them as one of the three",
        fine="JPEG, PNG or WebP",
    )
