"""One picture that shows a dataset: a row of thumbnails per class."""

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from dataset_card.reading.images import published_bytes
from dataset_card.writing.captions import FONT, MOST_CLASSES, captions
from dataset_card.writing.tables import Row

_COLUMNS = 10
_THUMBNAIL = 150
_GAP = 6
_CAPTION = 30
_PAPER = (250, 248, 244)
_INK = (60, 48, 44)


def write_contact_sheet(folder: Path, rows: list[Row], label_names: list[str]) -> Path:
    """Writes `figures/contact_sheet.jpg` below `folder`: ten different pictures of every class, of the first hundred.

    Args:
        folder: The dataset folder.
        rows: Pictures to choose from, such as those of the train split.
        label_names: Class names, from top to bottom.
    """
    step = _THUMBNAIL + _GAP
    shown = list(zip(label_names, captions(label_names), strict=True))[:MOST_CLASSES]
    size = (_COLUMNS * step + _GAP, len(shown) * (step + _CAPTION) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(FONT, 18)
    for line, (label, caption) in enumerate(shown):
        top = line * (step + _CAPTION) + _GAP
        draw.text((_GAP + 2, top + 3), caption, _INK, font)
        chosen = _varied([row for row in rows if row.photo.label == label])
        for column, row in enumerate(chosen):
            picture = Image.open(io.BytesIO(published_bytes(row.photo, 2 * _THUMBNAIL))).convert("RGB")
            # Dancers' heads are near the upper edge: crop more from below.
            thumbnail = ImageOps.fit(picture, (_THUMBNAIL, _THUMBNAIL), centering=(0.5, 0.3))
            sheet.paste(thumbnail, (_GAP + column * step, top + _CAPTION))
    path = folder / "figures" / "contact_sheet.jpg"
    path.parent.mkdir(exist_ok=True)
    sheet.save(path, quality=90)
    return path


def _varied(rows: list[Row]) -> list[Row]:
    """Returns as many rows as there are columns, one of each group before a second of any."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.group, row)
    copies = [row for row in rows if first[row.group] is not row]
    return [*first.values(), *copies][:_COLUMNS]
