import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture
def visitor(browser: Browser, page: str) -> Iterator[Page]:
    """A visitor who has opened the page; anything the page asks of another server fails the test."""
    elsewhere: list[str] = []
    errors: list[str] = []
    visitor = browser.new_page(viewport={"width": 1280, "height": 900})
    visitor.on(
        "request", lambda r: elsewhere.append(r.url) if not r.url.startswith((page, "data:", "blob:")) else None
    )
    visitor.on("pageerror", lambda error: errors.append(str(error)))
    visitor.goto(page)
    expect(visitor.get_by_role("heading", name="Nritya")).to_be_visible(timeout=20_000)
    yield visitor
    visitor.close()
    assert elsewhere == []
    assert errors == []


def _bars(visitor: Page) -> dict[str, str]:
    """Reads names and percentages off the answer."""
    rows = visitor.locator("#answer [data-testid$='-confidence-set'], #answer .confidence-set")
    lines = [row.split("\n") for row in rows.all_inner_texts()]
    return {line[0].strip().lower(): line[-1].strip() for line in lines}


def test_an_uploaded_picture_is_answered_with_all_bars(visitor: Page, model_folder: Path) -> None:
    visitor.set_input_files("#photo input[type=file]", model_folder / "examples" / "sattriya.jpg")
    expect(visitor.locator("#answer .confidence-set")).to_have_count(8, timeout=20_000)
    bars = _bars(visitor)
    assert set(bars) == {file.stem for file in (model_folder / "examples").glob("*.jpg")}
    shares = [int(percent.removesuffix("%")) for percent in bars.values()]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=4)
    # What the dataset knows of the dance came with the model.
    top = next(iter(bars))
    told = json.loads((model_folder / "config.json").read_text())["classes"][top]
    expect(visitor.locator("#facts")).to_contain_text(f"{told['name']} · {told['native']} · {told['region']}")
    expect(visitor.locator("#facts")).to_contain_text(told["look_for"])


def test_an_example_is_answered_on_click(visitor: Page) -> None:
    expect(visitor.get_by_text("Drawings that the model has not learned from")).to_be_visible()
    visitor.locator("button.gallery-item, .gallery button").first.click()
    expect(visitor.locator("#answer .confidence-set")).to_have_count(8, timeout=20_000)


def test_a_bad_file_gets_a_sentence_and_the_page_goes_on(visitor: Page, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("not a picture")
    visitor.set_input_files("#photo input[type=file]", tmp_path / "bad.jpg")
    expect(visitor.get_by_text("This file can't be read as a picture.")).to_be_visible(timeout=20_000)
    visitor.get_by_label("Clear").or_(visitor.get_by_title("Clear")).first.click()
    visitor.set_input_files("#photo input[type=file]", model_folder / "examples" / "kathak.jpg")
    expect(visitor.locator("#answer .confidence-set")).to_have_count(8, timeout=20_000)


def test_the_page_says_that_the_model_knows_drawings_and_how_good_it_is(visitor: Page) -> None:
    expect(visitor.locator("#drawings")).to_contain_text("This model knows drawings, not photographs")
    expect(visitor.locator("#about")).to_contain_text("test drawings (95 % interval")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(visitor: Page, width: int) -> None:
    visitor.set_viewport_size({"width": width, "height": 844})
    assert visitor.evaluate("document.documentElement.scrollWidth") <= width
