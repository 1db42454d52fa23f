"""The figures of a dataset folder: how many pictures every class has, and a contact sheet of some of them."""

import io
from functools import cache
from pathlib import Path

import pandas as pd

from figures import subplots  # isort: skip - before matplotlib
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont, ImageOps

from dataset_card.curate import Curated
from dataset_card.write.parquet import Encoding, published_bytes

MOST_CLASSES = 100
"""In one figure: neither JPEG nor a person's patience has room for thousands."""
FONT = Path(findfont(FontProperties(family="DejaVu Sans"), fallback_to_default=False))
"""Comes with matplotlib, and so is the same everywhere: Latin, Greek, Cyrillic and others, no script of India."""

_LONGEST = 40
_COLOURS = {"train": "#1f5f8b", "validation": "#8db6cd", "test": "#d1603d"}
_COLUMNS = 10
_THUMBNAIL = 150
_GAP = 6
_CAPTION = 30
_PAPER = (250, 248, 244)
_INK = (60, 48, 44)


def captions(label_names: list[str]) -> list[str]:
    """Returns what to write beside the pictures of every class: its name, or its number where a letter is lacking."""
    return [
        _shortened(label) if _letters().issuperset(map(ord, label)) else f"class {number}"
        for number, label in enumerate(label_names)
    ]


def write_class_balance(folder: Path, curated: Curated) -> None:
    """Writes `figures/class_balance.png` below `folder`: a bar per class, divided by split, the longest on top.

    Of more than a hundred classes the largest are shown.
    """
    counts = curated.counts()
    caption_of = dict(zip(curated.label_names, captions(curated.label_names), strict=True))
    counts = counts.loc[counts.sum(axis=1).sort_values(kind="stable").index[-MOST_CLASSES:]]
    places = range(len(counts))
    figure, axis = subplots(figsize=(8, 0.9 + 0.36 * len(counts)))
    left = pd.Series(0, index=counts.index)
    for split in counts.columns:
        axis.barh(places, counts[split], left=left, color=_COLOURS[split], label=split, height=0.72)
        left = left + counts[split]
    for place, total in enumerate(left):
        axis.text(total, place, f" {total}", va="center", fontsize=9)
    # A name may hold a dollar, which would begin a formula.
    names = [caption_of[label] for label in counts.index]
    axis.set_yticks(places, names, parse_math=False, fontfamily="DejaVu Sans")
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("pictures")
    axis.legend(frameon=False, ncols=len(counts.columns), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    path = folder / "figures" / "class_balance.png"
    path.parent.mkdir(exist_ok=True)
    # No version, no date: the same pictures give the same bytes.
    figure.savefig(path, dpi=150, bbox_inches="tight", metadata={"Software": None})


def write_contact_sheet(folder: Path, photos: Path, rows: pd.DataFrame, label_names: list[str]) -> None:
    """Writes `figures/contact_sheet.jpg` below `folder`: ten different pictures of every class, of the first hundred.

    Args:
        folder: The dataset folder.
        photos: The folder that the files lie below.
        rows: Pictures to choose from, such as those of the train split.
        label_names: Class names, from top to bottom.
    """
    step = _THUMBNAIL + _GAP
    encoding = Encoding(max_side=2 * _THUMBNAIL)
    named = list(zip(label_names, captions(label_names), strict=True))[:MOST_CLASSES]
    size = (_COLUMNS * step + _GAP, len(named) * (step + _CAPTION) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(FONT, 18)
    for line, (label, caption) in enumerate(named):
        top = line * (step + _CAPTION) + _GAP
        draw.text((_GAP + 2, top + 3), caption, _INK, font)
        # One of each group before a second of any.
        rows_of = rows[rows["label"] == label]
        copy = rows_of.groupby("group", sort=False).cumcount() > 0
        chosen = rows_of.iloc[copy.argsort(kind="stable")].head(_COLUMNS)
        for column, row in enumerate(chosen.itertuples()):
            picture = Image.open(io.BytesIO(published_bytes(photos / row.file, row, encoding))).convert("RGB")
            # Dancers' heads are near the upper edge: crop more from below.
            thumbnail = ImageOps.fit(picture, (_THUMBNAIL, _THUMBNAIL), centering=(0.5, 0.3))
            sheet.paste(thumbnail, (_GAP + column * step, top + _CAPTION))
    path = folder / "figures" / "contact_sheet.jpg"
    path.parent.mkdir(exist_ok=True)
    sheet.save(path, quality=90)


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


@cache
def _letters() -> frozenset[int]:
    # Neither Pillow nor matplotlib turns lines of Hebrew or Arabic round on every machine.
    return frozenset(code for code in FT2Font(str(FONT)).get_charmap() if not 0x590 <= code <= 0x8FF)
