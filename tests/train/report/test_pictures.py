import io
from pathlib import Path

import datasets
import pytest
from PIL import Image

from train.report.pictures import FOLDER, Credit, Pictures, may_be_pushed, write_credits


def _rows(**columns: list[str]) -> datasets.Dataset:
    file = io.BytesIO()
    # Lies on its side, as phones save it: 40 wide and 80 high once it is turned.
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (80, 40), (200, 30, 30)).save(file, "JPEG", exif=exif)
    image = [{"bytes": file.getvalue(), "path": "folder/one.jpg"}]
    return datasets.Dataset.from_dict({"image": image, **columns}).cast_column("image", datasets.Image(decode=False))


def test_pictures_are_upright_small_and_named() -> None:
    pictures = Pictures(_rows(sha256=["ab" * 32]))
    assert pictures.open(0).size == (40, 80)
    assert pictures.open(0, 20).size == (10, 20)
    assert pictures.file(0) == "one.jpg"
    assert pictures.credit(0) == Credit("ab" * 32, "", "", "")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", " https://x", None])
def test_only_links_to_the_web_are_links(url: str | None) -> None:
    assert Pictures(_rows(source_url=[url])).credit(0).source_url == ""
    assert Pictures(_rows(source_url=["https://x.org/y"])).credit(0).source_url == "https://x.org/y"


@pytest.mark.parametrize(
    ("license_id", "author", "may"),
    [
        ("cc0-1.0", "", True),
        ("public-domain", "", True),
        ("cc-by-sa-4.0", "A. Photographer", True),
        ("cc-by-nc-2.0", "A. Photographer", True),
        ("cc-by-sa-4.0", " ", False),
        ("cc-by-nd-4.0", "A. Photographer", False),
        ("cc-by-nc-nd-4.0", "A. Photographer", False),
        ("no-known-restrictions", "A. Photographer", False),
        ("gfdl", "A. Photographer", False),
        ("unknown", "A. Photographer", False),
        ("other", "A. Photographer", False),
        ("", "", False),
    ],
)
def test_what_may_be_passed_on(tmp_path: Path, license_id: str, author: str, may: bool) -> None:
    credit = Pictures(_rows(license=[license_id], author=[author])).credit(0)
    assert credit.may_be_passed_on == may
    free = Credit("", "cc0-1.0", "", "")
    write_credits(tmp_path / FOLDER, "index.html", [free, credit])
    assert may_be_pushed(tmp_path) == may
    # What another page shows does not make up for it.
    write_credits(tmp_path / FOLDER, "validation.html", [free])
    assert may_be_pushed(tmp_path) == may


def test_a_report_that_nobody_vouches_for_is_not_pushed(tmp_path: Path) -> None:
    assert not may_be_pushed(tmp_path)
