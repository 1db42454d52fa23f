import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
from PIL import Image

from dataset_card.scan import inspect_image
from dataset_card.write.figures import captions, write_contact_sheet
from tests.conftest import ROOT


def test_names_are_short_and_in_letters_that_the_font_has() -> None:
    names = ["kathak", "தமிழ்", "Кот", "x" * 41, "עברית", "$\\frac$"]
    assert captions(names) == ["kathak", "class 1", "Кот", "x" * 39 + "…", "class 4", "$\\frac$"]


def test_a_row_shows_each_group_before_a_copy(tmp_path: Path) -> None:
    rows = []
    for number, colour in enumerate(["red", "red", "red", "lime", "blue"]):
        Image.new("RGB", (160, 160), colour).save(tmp_path / f"{number}.png")
        facts = inspect_image((tmp_path / f"{number}.png").read_bytes())
        rows.append({**facts, "file": f"{number}.png", "label": "kathak", "group": colour})
    write_contact_sheet(tmp_path, tmp_path, pd.DataFrame(rows), ["kathak"])
    with Image.open(tmp_path / "figures" / "contact_sheet.jpg") as sheet:
        middles = [sheet.getpixel((6 + 156 * column + 75, 6 + 30 + 75)) for column in range(6)]
    colours = [max(zip(pixel, ("red", "lime", "blue"), strict=True))[1] for pixel in middles[:5]]
    assert colours == ["red", "lime", "blue", "red", "red"]
    assert min(middles[5]) > 240


def test_a_notebooks_backend_is_neither_loaded_nor_changed(pile: Path, tmp_path: Path) -> None:
    # What every cell of a notebook hands on to the commands that it starts; the module is not installed here.
    script = (
        "import sys; from pathlib import Path; from dataset_card.build import build;"
        "build(Path(sys.argv[1]), Path(sys.argv[2])); assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    subprocess.run([sys.executable, "-c", script, pile, tmp_path / "out"], cwd=ROOT, env=environment, check=True)
    assert (tmp_path / "out" / "figures" / "class_balance.png").exists()
