import json
import re
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.judged import some_rows, write_page
from train.predict import load_model

pytestmark = pytest.mark.browser

HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "{{ 7 * 7 }} ' \" & --> <!--",
    "नृत्य " + "verylongname" * 12,
]


@pytest.fixture(scope="module")
def report(model_folder: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on drawings, with figures of the training."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "figures").mkdir()
    (folder / "figures" / "training.png").write_bytes((model_folder / "figures" / "training.png").read_bytes())
    rows, names = some_rows(dataset_folder)
    return write_page(folder, rows, names, load_model(str(model_folder))[0])


@pytest.fixture(scope="module")
def hostile_report(model_folder: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a dataset whose class names, authors and links want to run something."""
    rows, names = some_rows(dataset_folder)
    rows = rows.remove_columns([name for name in rows.column_names if name not in ("image", "label", "sha256")])
    for column, text in {"author": HOSTILE[1], "license": HOSTILE[0], "source_url": "javascript:alert(1)"}.items():
        rows = rows.add_column(column, [text] * len(rows))
    names = [*HOSTILE, *names[len(HOSTILE) :]]
    rows = rows.cast_column("label", datasets.ClassLabel(names=names))
    folder = tmp_path_factory.mktemp("hostile")
    return write_page(folder, rows, names, load_model(str(model_folder))[0], architecture=HOSTILE[0])


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


def open_page(browser: Browser, file: Path, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
    """Opens a page from disk; whatever it asks for elsewhere, or says on the console, fails the test."""
    asked: list[str] = []
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
    page.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("data:", file.as_uri())) else None)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    yield page
    page.close()
    assert asked == []
    assert said == []


@pytest.fixture
def reader(browser: Browser, report: Path) -> Iterator[Page]:
    yield from open_page(browser, report)


def _data(report: Path) -> dict:
    return json.loads(report.read_text().split('id="data">')[1].split("</script>")[0])


def test_a_cell_shows_its_pictures_on_click(reader: Page, report: Path) -> None:
    data = _data(report)
    names = data["labels"]
    of_cells = {(picture["label"], picture["answer"]) for picture in data["pictures"]}
    expect(reader.locator(".matrix button")).to_have_count(len(of_cells))
    wrong = reader.locator(".matrix button.wrong").nth(2)
    label, answer = (int(wrong.get_attribute(f"data-{kind}")) for kind in ("true", "answer"))
    of_cell = [p for p in data["pictures"] if (p["label"], p["answer"]) == (label, answer)]
    wrong.click()
    title = reader.locator("#gallery-title")
    expect(title).to_have_text(f"{names[label]} taken for {names[answer]}: {len(of_cell)}")
    expect(title).to_be_focused()
    expect(title).to_be_in_viewport()
    expect(wrong).to_have_attribute("aria-pressed", "true")
    cards = reader.locator("#gallery-cards .card")
    expect(cards).to_have_count(len(of_cell))
    first = cards.first
    longer = "image => image.complete && Math.max(image.naturalWidth, image.naturalHeight)"
    assert first.locator(".frame img").evaluate(longer) == 240
    expect(first.locator("code")).to_have_text(of_cell[0]["file"])
    expect(first).to_contain_text("cc0-1.0")
    bars = first.locator(".bars li")
    assert [bar.inner_text().split("\n")[0] for bar in bars.all()] == [names[n] for n, _ in of_cell[0]["bars"]]
    assert reader.locator("#gallery-cards .bars .true").count() == len(of_cell)
    for bar, (_, prob) in zip(bars.all(), of_cell[0]["bars"], strict=True):
        filled = bar.locator("i").evaluate("bar => getComputedStyle(bar).backgroundSize")
        assert float(re.search(r"([\d.]+)%", filled)[1]) == pytest.approx(100 * prob, abs=0.1)


def test_beside_every_wrong_answer_stands_what_is_nearest(reader: Page, report: Path) -> None:
    data = _data(report)
    assert {bool(p["nearest"]) for p in data["pictures"] if p["label"] == p["answer"]} == {False}
    reader.locator(".matrix button.wrong").first.click()
    cards = reader.locator("#gallery-cards .card")
    for card in cards.all():
        near = card.locator("ol.near > li")
        expect(near).to_have_count(3)
        assert near.first.locator("img").evaluate("image => image.complete && image.naturalWidth") in range(40, 97)
        expect(near.first).to_contain_text("0.100")
        expect(near.last).to_contain_text("0.200")
        expect(near.first).to_contain_text("cc0-1.0")
    reader.locator(".matrix button.right").first.click()
    expect(cards.locator("ol.near")).to_have_count(0)
    losses = reader.locator("#losses .card")
    wrong = [card for card in losses.all() if card.locator(".answer .wrong").count()]
    assert 0 < len(wrong) <= losses.count()
    assert reader.locator("#losses ol.near").count() == len(wrong)


def test_a_dot_of_the_map_shows_its_picture(reader: Page, report: Path) -> None:
    data = _data(report)
    dots, card = reader.locator("#map-dots circle"), reader.locator("#map-card")
    expect(dots).to_have_count(len(data["map"]["training"]) + len(data["pictures"]))
    judged = reader.locator("#map-dots circle.judged")
    judged.last.dispatch_event("pointerover")
    picture = data["pictures"][-1]
    assert card.locator(".frame img").get_attribute("src") == picture["image"]
    expect(card).to_contain_text(picture["file"])
    assert reader.locator("#map-dots circle.chosen").count() == 1
    [first, *_] = data["map"]["training"]
    dots.first.dispatch_event("click")
    expect(card).to_contain_text(f"{data['labels'][first[2]]}, a training picture")


def test_the_dots_are_coloured_by_class_or_by_mistake(reader: Page, report: Path) -> None:
    data, legend = _data(report), reader.locator("#map-legend li")
    colour = "dot => getComputedStyle(dot).fill"
    first, second = data["map"]["training"][:2]
    dots = reader.locator("#map-dots circle")
    assert (dots.nth(0).evaluate(colour) == dots.nth(1).evaluate(colour)) == (first[2] == second[2])
    assert legend.all_text_contents() == data["labels"]
    assert reader.locator("#map-colour option").all_text_contents() == ["class", "right or wrong"]
    reader.locator("#map-colour").select_option("answer")
    assert legend.all_text_contents() == ["right", "wrong", "training pictures"]
    judged = reader.locator("#map-dots circle.judged")
    fills = [judged.nth(number).evaluate(colour) for number in range(len(data["pictures"]))]
    right = [picture["label"] == picture["answer"] for picture in data["pictures"]]
    assert len({(fill, is_right) for fill, is_right in zip(fills, right, strict=True)}) == len(set(right)) == 2


def test_what_is_confused_most_is_there_from_the_start(reader: Page, report: Path) -> None:
    most = json.loads((report.parents[1] / "metrics.json").read_text())["test"]["most_confused"]
    chips = reader.locator(".chips button")
    expect(chips).to_have_count(len(most))
    title = reader.locator("#gallery-title")
    expect(title).to_have_text(f"{most[0]['true']} taken for {most[0]['predicted']}: {most[0]['pictures']}")
    # Nobody has asked yet: the page stays at its top.
    assert reader.evaluate("scrollY") == 0
    for chip, pair in zip(chips.all(), most, strict=True):
        chip.click()
        expect(title).to_have_text(f"{pair['true']} taken for {pair['predicted']}: {pair['pictures']}")


def test_the_keyboard_alone_is_enough(reader: Page) -> None:
    first = reader.locator(".matrix button").first
    first.focus()
    reader.keyboard.press("ArrowDown")
    below = reader.locator(".matrix button:focus")
    assert below.get_attribute("data-answer") == first.get_attribute("data-answer")
    assert below.get_attribute("data-true") > first.get_attribute("data-true")
    told = below.get_attribute("aria-label")
    reader.keyboard.press("Enter")
    expect(reader.locator("#gallery-title")).to_be_focused()
    names, count = re.fullmatch(r"(.*): (\d+), \d+\u202f%", told).groups()
    expect(reader.locator("#gallery-title")).to_have_text(re.compile(f": {count}$"))
    assert names.split(" taken for ")[0] in reader.locator("#gallery-title").inner_text()
    reader.keyboard.press("Escape")
    assert reader.evaluate("document.activeElement.getAttribute('aria-label')") == told
    reader.keyboard.press("Space")
    reader.keyboard.press("Tab")
    expect(reader.locator("#back")).to_be_focused()
    reader.keyboard.press("Enter")
    assert reader.evaluate("document.activeElement.getAttribute('aria-label')") == told


def test_the_page_says_what_was_judged_and_that_it_knows_drawings(reader: Page) -> None:
    expect(reader.locator("#drawings")).to_contain_text("This model knows drawings, not photographs.")
    expect(reader.locator("#licences")).to_have_count(0)
    expect(reader.get_by_role("heading", level=1)).to_have_text("test_resnet on Drawn dances")
    expect(reader.locator(".tile").first).to_contain_text("95 % interval")
    for name in ("Each class", "Confusions", "Certainty", "Where it looks", "Top losses", "Training"):
        link = reader.get_by_role("navigation").get_by_role("link", name=name)
        link.click()
        expect(reader.get_by_role("heading", name=name, exact=True)).to_be_in_viewport()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("which", ["report", "hostile_report"])
def test_nothing_is_wider_than_the_screen_and_everybody_can_read_it(
    browser: Browser, request: pytest.FixtureRequest, which: str, width: int, scheme: str
) -> None:
    for page in open_page(browser, request.getfixturevalue(which), width, scheme):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        broken = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
        assert page.evaluate(broken) == 0
        page.locator(".matrix button").last.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # No name of a dance is broken into letters.
        tallest = "Math.max(...[...document.querySelectorAll('.dances th')].map(cell => cell.offsetHeight))"
        assert which != "report" or page.evaluate(tallest) < 80
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_names_that_want_to_run_something_are_only_read(browser: Browser, hostile_report: Path) -> None:
    for page in open_page(browser, hostile_report):
        for index in range(page.locator(".matrix button").count()):
            page.locator(".matrix button").nth(index).click()
        assert "owned" not in page.evaluate("document.title.replace(/<[^>]*>.*/, '')")
        assert page.locator(".dances tbody th").all_inner_texts()[: len(HOSTILE)] == HOSTILE
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("a[href^=javascript]").count() == 0
        assert page.locator("script").count() == 2
        expect(page.locator("#licences")).to_contain_text("Keep this page to yourself.")


def test_a_script_that_slips_in_is_not_run(browser: Browser, report: Path, tmp_path: Path) -> None:
    page_file = tmp_path / "index.html"
    page_file.write_text(report.read_text().replace("</main>", "<script>document.title='owned'</script></main>"))
    page = browser.new_page()
    page.goto(page_file.as_uri())
    expect(page.locator("#gallery-title")).to_be_visible()
    assert page.title() != "owned"
    page.close()


def test_a_frequent_cell_shows_its_pictures_in_parts(browser: Browser, report: Path, tmp_path: Path) -> None:
    text = report.read_text()
    old = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1]
    data = json.loads(old)
    one = next(p for p in data["pictures"] if p["label"] == p["answer"])
    data["pictures"] = [one] * 100
    (tmp_path / "index.html").write_text(text.replace(old, json.dumps(data)))
    for page in open_page(browser, tmp_path / "index.html"):
        page.locator(f".matrix button[data-true='{one['label']}'][data-answer='{one['answer']}']").click()
        cards, more = page.locator("#gallery-cards .card"), page.get_by_role("button", name="Show more")
        for shown in (48, 96, 100):
            expect(cards).to_have_count(shown)
            if shown < 100:
                more.click()
                expect(cards.nth(shown)).to_be_focused()
        expect(more).to_be_hidden()
