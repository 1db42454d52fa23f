from pathlib import Path

from PIL import Image

from dataset_card.provenance import Provenance
from dataset_card.reading.images import inspect_photo
from dataset_card.writing.contact_sheet import write_contact_sheet
from dataset_card.write.parquet import Row


def test_a_row_shows_each_group_before_a_copy(tmp_path: Path) -> None:
    colours = ["red", "red", "red", "lime", "blue"]
    rows = []
    for number, colour in enumerate(colours):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (160, 160), colour).save(path)
        rows.append(Row(inspect_photo(path, "kathak", 1024), group=colour, provenance=Provenance(path.name)))
    with Image.open(write_contact_sheet(tmp_path, rows, ["kathak"])) as sheet:
        middles = [sheet.getpixel((6 + 156 * column + 75, 6 + 30 + 75)) for column in range(6)]
    shown = [max(zip(pixel, ("red", "lime", "blue"), strict=True))[1] for pixel in middles[:5]]
    assert shown == ["red", "lime", "blue", "red", "red"]
    assert min(middles[5]) > 240
