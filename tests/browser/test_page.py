"""The page, used as visitors use it: real Chromium, a server of its own, nothing asked of another one."""

import base64
import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from demo.models.model import load_model
from demo.reading.upload import read_upload
from demo.telling.heatmap import colour, lay_over
from demo.words import LANGUAGES
from model_folder.facts import read_crop
from tests.conftest import serve
from tests.reference import relabel

pytestmark = pytest.mark.browser

# What moves, but for the picture that the visitor gives. Chromium forgives what follows a click within half a second,
# which an answer on the same machine does: here it counts.
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  const photo = document.getElementById("photo");
  for (const entry of list.getEntries()) {
    const moved = entry.sources.filter((source) => source.node && !photo?.contains(source.node));
    const what = moved.map((source) => source.node.outerHTML ?? source.node.data);
    if (moved.length) window.shifts.push([entry.value, what]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""


@contextmanager
def _opened(browser: Browser, address: str, *, path: str = "/", init: str = "", **options: Any) -> Iterator[Page]:
    """A visitor who has opened the page; what it asks elsewhere and every fault of its scripts fail the test."""
    elsewhere: list[str] = []
    errors: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
    visitor = context.new_page()
    visitor.on(
        "request", lambda r: elsewhere.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None
    )
    visitor.on("pageerror", lambda error: errors.append(str(error)))
    if init:
        visitor.add_init_script(init)
    visitor.goto(address + path)
    expect(visitor.locator("#answer .bars li").first).to_be_visible(timeout=20_000)
    # What the page does last when it has loaded.
    expect(visitor.locator("footer img[alt='']").first).to_be_attached()
    expect(visitor.locator(".loading")).to_have_count(0)
    yield visitor
    context.close()
    assert elsewhere == []
    assert errors == []


@pytest.fixture
def visitor(browser: Browser, page: str) -> Iterator[Page]:
    with _opened(browser, page) as visitor:
        yield visitor


def _give(visitor: Page, *files: Path) -> None:
    visitor.set_input_files("#photo input[type=file]", files)


def _answered(visitor: Page) -> None:
    expect(visitor.locator("#answer .answer.sure, #answer .answer.unsure")).to_be_visible(timeout=20_000)
    expect(visitor.locator("#answer .answer")).not_to_have_class(re.compile("pending"))


def _bars(visitor: Page) -> dict[str, str]:
    """Reads names and percentages off the answer."""
    lines = [bar.inner_text().split("\n") for bar in visitor.locator("#answer .bars li").all()]
    return {line[0].strip(): line[-1].strip() for line in lines}


def _told(model_folder: Path) -> dict[str, dict[str, str]]:
    """What the model folder tells, by the name of the dance."""
    return {told["name"]: told for told in json.loads((model_folder / "config.json").read_text())["classes"].values()}


def _fault(visitor: Page, sentence: str | re.Pattern[str]) -> None:
    expect(visitor.locator("#answer .answer.fault .verdict")).to_have_text(sentence, timeout=20_000)


def test_the_longest_share_stays_in_its_column(visitor: Page) -> None:
    share = visitor.locator("#answer .bars .share").first
    # As of the likeliest dance, in a wide font: where it broke, the percent sign stood below the number.
    share.evaluate("share => { share.textContent = '>99 %'; share.parentElement.classList.add('own'); }")
    expect(share).to_have_css("white-space", "nowrap")
    share.evaluate("share => { share.style.letterSpacing = '.02em'; }")
    width, room = share.evaluate("share => [share.scrollWidth, share.clientWidth]")
    assert width <= room


def test_an_uploaded_picture_is_answered_with_all_bars(visitor: Page, model_folder: Path) -> None:
    _give(visitor, model_folder / "examples" / "sattriya.jpg")
    _answered(visitor)
    bars = _bars(visitor)
    assert set(bars) == set(_told(model_folder))
    shares = [int(share.strip("<>% ")) for share in bars.values()]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=5)
    widths = visitor.locator("#answer .bars .track i").evaluate_all(
        "bars => bars.map(bar => parseFloat(bar.style.width))"
    )
    assert widths == pytest.approx(shares, abs=1)
    # The debug model is unsure of everything: it names two, and how to tell them apart.
    first, second = list(bars)[:2]
    expect(visitor.locator("#answer .verdict")).to_have_text(f"Not sure: {first} or {second}")
    for name in (first, second):
        told = _told(model_folder)[name]
        expect(visitor.locator("#answer .told")).to_contain_text(told["look_for"])
        expect(visitor.locator("#answer .told .native", has_text=told["native"])).to_have_attribute(
            "lang", re.compile("^[a-z]{2}$")
        )


def test_the_heat_map_lies_where_the_model_looked(visitor: Page, model_folder: Path) -> None:
    picture = model_folder / "examples" / "odissi.jpg"
    _give(visitor, picture)
    _answered(visitor)
    over, under = visitor.locator("#answer .heat .over"), visitor.locator("#answer .heat .under")
    expect(over).to_be_hidden()
    calls: list[str] = []
    visitor.on("request", lambda r: calls.append(r.url) if "queue" in r.url else None)
    visitor.locator("#answer .heat summary").focus()
    visitor.keyboard.press("Enter")
    expect(over).to_be_visible()
    assert under.evaluate("image => image.complete && image.naturalWidth > 0")
    assert over.bounding_box() == under.bounding_box()
    box = under.bounding_box()
    with Image.open(picture) as image:
        assert box["width"] / box["height"] == pytest.approx(image.width / image.height, rel=0.01)
    # Pixel by pixel what the model's own map is over this picture.
    model = load_model(str(model_folder))
    answer = model.answer(read_upload(picture))
    assert answer.heatmap is not None
    png = colour(lay_over(answer.heatmap, image.size, read_crop(model.config)))
    assert over.get_attribute("src") == f"data:image/png;base64,{base64.b64encode(png).decode()}"
    visitor.keyboard.press("Tab")
    expect(visitor.get_by_label("Heat-map over the picture")).to_be_focused()
    visitor.keyboard.press("Space")
    expect(over).to_be_hidden()
    expect(under).to_be_visible()
    assert calls == []


def test_the_nearest_training_pictures_show_on_demand(visitor: Page, model_folder: Path) -> None:
    visitor.set_input_files("#photo input[type=file]", model_folder / "examples" / "odissi.jpg")
    near = visitor.locator("#answer details.near")
    expect(near.locator("summary")).to_have_text("The most similar training pictures", timeout=20_000)
    expect(near.locator("li").first).not_to_be_visible()
    near.locator("summary").click()
    expect(near.locator("li")).to_have_count(3)
    for shown in near.locator("li").all():
        assert shown.locator("img").evaluate("image => image.complete && image.naturalWidth") in range(60, 161)
        expect(shown).to_contain_text("Nritya, cc0-1.0")
    distances = [float(shown.inner_text().split()[1]) for shown in near.locator(".alike").all()]
    assert distances == sorted(distances)
    # Eight validation pictures promise no distance from which on a picture is like none.
    expect(near).not_to_contain_text("none of these dances")


def test_an_answer_is_one_call(visitor: Page, model_folder: Path) -> None:
    calls: list[str] = []
    visitor.on("request", lambda r: calls.append(r.url) if "queue/join" in r.url else None)
    _give(visitor, model_folder / "examples" / "sattriya.jpg")
    _answered(visitor)
    visitor.wait_for_timeout(500)
    assert len(calls) == 1


def test_an_answer_goes_with_its_picture(visitor: Page, model_folder: Path) -> None:
    _give(visitor, model_folder / "examples" / "sattriya.jpg")
    _answered(visitor)
    visitor.locator("#photo").get_by_label("Remove Image").click()
    expect(visitor.locator("#answer .answer.waiting .verdict")).to_have_text("The answer appears here.")
    expect(visitor.locator("#answer .bars .share").first).to_have_text("–")


def test_an_example_is_answered_with_the_keyboard_alone(visitor: Page) -> None:
    expect(visitor.get_by_role("heading", name="Or try a drawing that the model has not learned from")).to_be_visible()
    expect(visitor.locator("#examples .credit")).to_have_text("Nritya, cc0-1.0")
    for _ in range(40):
        visitor.keyboard.press("Tab")
        if visitor.evaluate("document.activeElement.dataset.example") == "2":
            break
    outline = visitor.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    name = visitor.evaluate("document.activeElement.innerText").strip()
    visitor.keyboard.press("Enter")
    _answered(visitor)
    expect(visitor.locator("#photo img")).to_have_js_property("complete", True)
    assert visitor.locator("#photo img").evaluate("image => image.naturalWidth") > 0
    assert name in _bars(visitor)


def test_a_bad_file_gets_a_sentence_and_the_page_goes_on(visitor: Page, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("not a picture")
    _give(visitor, tmp_path / "bad.jpg")
    _fault(visitor, re.compile("This file can't be read as a picture"))
    visitor.locator("#photo").get_by_label("Remove Image").click()
    _give(visitor, model_folder / "examples" / "kathak.jpg")
    _answered(visitor)


@pytest.mark.parametrize("name", ["phone.heic", "scan.tiff"])
def test_what_browsers_can_not_show_is_answered_and_shown(
    visitor: Page, model_folder: Path, tmp_path: Path, name: str
) -> None:
    with Image.open(model_folder / "examples" / "kathak.jpg") as image:
        image.save(tmp_path / name)
        size = image.size
    _give(visitor, tmp_path / name)
    _answered(visitor)
    visitor.wait_for_function("document.querySelector('#photo img')?.naturalWidth > 0")
    shown = visitor.locator("#photo img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert tuple(shown) == size


def test_a_picture_that_is_dropped_is_answered(visitor: Page, model_folder: Path) -> None:
    content = list((model_folder / "examples" / "kathak.jpg").read_bytes())
    transfer = visitor.evaluate_handle(
        """content => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(content)], "dropped.jpg", { type: "image/jpeg" }));
          return transfer;
        }""",
        content,
    )
    visitor.dispatch_event(
        "#photo button[aria-dropeffect], #photo .upload-container button", "drop", {"dataTransfer": transfer}
    )
    _answered(visitor)


def test_a_picture_that_is_pasted_is_answered(browser: Browser, page: str) -> None:
    with _opened(browser, page, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        visitor.evaluate(
            """async () => {
              const canvas = Object.assign(document.createElement("canvas"), { width: 96, height: 96 });
              canvas.getContext("2d").fillRect(20, 20, 40, 60);
              const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
              await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
            }"""
        )
        visitor.locator("#photo").get_by_role("button", name="Paste", exact=True).click()
        _answered(visitor)


def test_the_webcam_is_answered(browser: Browser, page: str) -> None:
    with _opened(browser, page, permissions=["camera"]) as visitor:
        visitor.locator("#photo").get_by_role("button", name="Camera", exact=True).click()
        visitor.get_by_text("Click to Access Webcam").click()
        # Before there is something to see, the button does nothing.
        visitor.wait_for_function("document.querySelector('#photo video')?.videoWidth > 0")
        visitor.locator("#photo").get_by_title("capture photo").click()
        _answered(visitor)


def test_the_page_says_what_the_model_is_how_good_and_that_it_knows_drawings(
    visitor: Page, model_folder: Path
) -> None:
    expect(visitor.locator("#drawings")).to_contain_text("This model knows drawings, not photographs")
    test = json.loads((model_folder / "metrics.json").read_text())["test"]
    about = visitor.locator("#about")
    expect(about).to_contain_text("test_resnet, trained on “Dances”")
    expect(about).to_contain_text(f"Right on {100 * test['accuracy']:.0f} % of {test['pictures']} test drawings")
    expect(about).to_contain_text(f"measured on {test['date']}")
    expect(about).to_contain_text(re.compile(r"\d+ drawings · cc0-1.0 \(\d+\)"))


def test_many_pictures_get_a_table_and_a_spreadsheet(visitor: Page, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "=bad.jpg").write_text("not a picture")
    good = [model_folder / "examples" / f"{name}.jpg" for name in ("kathak", "odissi")]
    visitor.get_by_role("tab", name="Many pictures").click()
    expect(visitor.get_by_text("Up to 100 pictures at once.")).to_be_visible()
    visitor.set_input_files("#photos input[type=file]", [good[0], tmp_path / "=bad.jpg", good[1]])
    answers = visitor.locator("#answers")
    expect(answers).to_contain_text("2 answered, 1 not readable.", timeout=20_000)
    expect(answers.locator(".gallery img")).to_have_count(2)
    rows = answers.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("bad.jpg")
    expect(rows.nth(1)).to_contain_text("This file can't be read as a picture")
    expect(rows.nth(2)).to_contain_text("Not sure: ")
    with visitor.expect_download() as download:
        answers.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == "nritya.csv"
    content = Path(download.value.path()).read_text(encoding="utf-8-sig")
    table = list(csv.DictReader(io.StringIO(content)))
    assert [row["file"] for row in table] == ["kathak.jpg", "'=bad.jpg", "odissi.jpg"]
    assert float(table[0]["kathak"]) > 0
    assert table[1]["fault"].startswith("This file can't be read")


def test_on_a_phone_picture_and_answer_are_on_one_screen(browser: Browser, page: str, model_folder: Path) -> None:
    with _opened(browser, page, viewport={"width": 390, "height": 844}) as visitor:
        _give(visitor, model_folder / "examples" / "kathak.jpg")
        _answered(visitor)
        verdict, bar = visitor.locator("#answer .verdict"), visitor.locator("#answer .bars li").first
        expect(verdict).to_be_in_viewport(ratio=1)
        expect(bar).to_be_in_viewport(ratio=1)
        # Further pictures come after it, and who chooses one is back at the top.
        example = visitor.locator("[data-example]").first
        assert example.bounding_box()["y"] > bar.bounding_box()["y"]  # type: ignore[index]
        example.scroll_into_view_if_needed()
        example.click()
        expect(visitor.locator("#photo")).to_be_in_viewport(ratio=0.9)
        expect(verdict).to_be_in_viewport(ratio=1)


def test_the_picture_stays_beside_a_long_answer(visitor: Page, model_folder: Path) -> None:
    visitor.set_viewport_size({"width": 1280, "height": 650})
    _give(visitor, model_folder / "examples" / "kathak.jpg")
    _answered(visitor)
    for summary in visitor.locator("#answer summary").all():
        summary.click()
    visitor.locator("#answer .near p").last.scroll_into_view_if_needed()
    expect(visitor.locator("#answer .verdict")).not_to_be_in_viewport()
    expect(visitor.locator("#photo")).to_be_in_viewport(ratio=0.9)


def test_letters_of_twice_the_size_need_one_column_sooner(visitor: Page, model_folder: Path) -> None:
    visitor.set_viewport_size({"width": 1000, "height": 900})
    enlarge = visitor.context.new_cdp_session(visitor)
    enlarge.send("Page.setFontSizes", {"fontSizes": {"standard": 32}})
    _give(visitor, model_folder / "examples" / "kathak.jpg")
    _answered(visitor)
    photo, answer = (visitor.locator(place).bounding_box() for place in ("#photo", "#answer"))
    assert photo
    assert answer
    assert answer["y"] >= photo["y"] + photo["height"]
    assert visitor.evaluate("document.documentElement.scrollWidth") <= 1000


# PlantVillage's, among others.
LONG_NAMES = [
    "Tomato___Tomato_Yellow_Leaf_Curl_Virus", "Corn_(maize)___Cercospora_leaf_spot Gray_leaf_spot", "Apple___healthy",
    "Grape___Leaf_blight_(Isariopsis_Leaf_Spot)", "constructor", "Peach___Bacterial_spot", "carp", "अ" * 60,
]  # fmt: skip


def test_a_model_of_something_else_with_long_names_and_no_examples(
    browser: Browser, model_folder: Path, tmp_path: Path
) -> None:
    folder = relabel(Path(shutil.copytree(model_folder, tmp_path / "model")), LONG_NAMES)
    examples = folder.rename(tmp_path / "with") / "examples"
    pictures = sorted(shutil.move(examples, tmp_path / "pictures").glob("*.jpg"))
    warnings: list[str] = []
    with serve(tmp_path / "with") as address, _opened(browser, address) as visitor:
        visitor.on("console", lambda message: warnings.append(message.text))
        intro = "What does this picture show? Give one, and see what the model takes it for."
        expect(visitor.locator("#title p")).to_have_text(intro)
        waiting = visitor.locator(".gradio-container").bounding_box()
        assert waiting
        assert waiting["width"] == 1120
        _give(visitor, pictures[0])
        _answered(visitor)
        answered = visitor.locator(".gradio-container").bounding_box()
        assert answered
        assert (answered["x"], answered["width"]) == (waiting["x"], waiting["width"])
        for width in (1280, 390):
            visitor.set_viewport_size({"width": width, "height": 844})
            assert visitor.evaluate("document.documentElement.scrollWidth") <= width
            names = visitor.locator("#answer .bars .name")
            assert names.count() == len(LONG_NAMES)
            assert all(names.evaluate_all("names => names.map((name) => name.scrollWidth <= name.clientWidth + 1)"))
        assert "dance" not in visitor.locator("#answer").inner_text()
        assert visitor.request.get(f"{address}/pwa_icon").headers["content-type"].startswith("image/svg+xml")
    assert warnings == []


@pytest.mark.parametrize("size", [(1280, 900), (768, 900), (390, 844)])
@pytest.mark.parametrize("locale", ["en-GB", "hi-IN"])
def test_nothing_moves_when_the_answer_comes(
    browser: Browser, page: str, model_folder: Path, size: tuple[int, int], locale: str
) -> None:
    width, height = size
    with _opened(browser, page, viewport={"width": width, "height": height}, locale=locale, init=SHIFTS) as visitor:
        for picture in sorted((model_folder / "examples").glob("*.jpg"))[:4]:
            visitor.wait_for_timeout(800)
            visitor.evaluate("window.shifts.length = 0")
            _give(visitor, picture)
            _answered(visitor)
            visitor.wait_for_timeout(800)
            shifts = visitor.evaluate("window.shifts")
            assert sum(shift for shift, _ in shifts) < 0.005, shifts
            visitor.locator("#photo .icon-button-wrapper button").last.click()
            expect(visitor.locator("#answer .answer.waiting")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_everybody_can_read_it_on_every_screen(
    browser: Browser, page: str, model_folder: Path, width: int, scheme: str
) -> None:
    options = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme, "reduced_motion": "reduce"}

    def check(visitor: Page) -> None:
        assert visitor.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(visitor)
        assert found.violations_count == 0, found.generate_report()

    with _opened(browser, page, **options) as visitor:
        assert visitor.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
        check(visitor)
        _give(visitor, model_folder / "examples" / "kathak.jpg")
        _answered(visitor)
        for summary in visitor.locator("#answer summary").all():
            summary.click()
        check(visitor)
        visitor.get_by_role("tab", name="Many pictures").click()
        visitor.set_input_files("#photos input[type=file]", [model_folder / "examples" / "kathak.jpg"])
        expect(visitor.locator("#answers tbody tr")).to_have_count(1, timeout=20_000)
        check(visitor)


def test_it_speaks_hindi(browser: Browser, page: str, model_folder: Path, tmp_path: Path) -> None:
    with _opened(browser, page, locale="hi-IN") as visitor:
        expect(visitor.locator("html")).to_have_attribute("lang", "hi")
        expect(visitor.locator("#title")).to_contain_text("यह भारत का कौन-सा शास्त्रीय नृत्य है?")
        expect(visitor.locator("#drawings")).to_contain_text("यह मॉडल केवल बनाए हुए चित्र पहचानता है")
        expect(visitor.get_by_role("tab", name="कई तस्वीरें")).to_be_visible()
        expect(visitor.locator("#answer .verdict")).to_have_text("उत्तर यहाँ दिखेगा।")
        _give(visitor, model_folder / "examples" / "kathak.jpg")
        _answered(visitor)
        expect(visitor.locator("#answer .verdict")).to_have_text(re.compile("^पक्का नहीं: .+ या .+"))
        names = {told["name"] for told in LANGUAGES["hi"].dances.values()}
        assert set(_bars(visitor)) < names
        expect(visitor.locator("#answer .told [lang=hi]").first).to_contain_text(re.compile("[\u0900-\u097f]{3}"))
        expect(visitor.locator("#answer [lang=en]:not(small)")).to_have_count(0)
        (tmp_path / "bad.jpg").write_text("not a picture")
        visitor.locator("#photo .icon-button-wrapper button").last.click()
        _give(visitor, tmp_path / "bad.jpg")
        _fault(visitor, re.compile("इस फ़ाइल को तस्वीर की तरह पढ़ा नहीं जा सका"))


def test_english_is_for_everybody_else(browser: Browser, page: str, model_folder: Path) -> None:
    with _opened(browser, page, locale="ta-IN") as visitor:
        expect(visitor.locator("html")).to_have_attribute("lang", "en")
        expect(visitor.locator("#title")).to_contain_text("Which classical dance of India is this?")
        _give(visitor, model_folder / "examples" / "kathak.jpg")
        _answered(visitor)
        expect(visitor.locator("#answer .verdict")).to_have_text(re.compile("^Not sure: "))


@pytest.fixture(scope="module")
def asking(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A page that keeps what visitors say, and where."""
    folder = tmp_path_factory.mktemp("feedback")
    with serve(model_folder, FEEDBACK_DIR=str(folder)) as address:
        yield address, folder


def _kept(folder: Path) -> list[dict[str, str]]:
    with (folder / "corrections.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_visitors_say_whether_it_was_right(browser: Browser, asking: tuple[str, Path], model_folder: Path) -> None:
    address, folder = asking
    with _opened(browser, address) as visitor:
        said = visitor.locator("#feedback-note")
        visitor.get_by_role("button", name="Yes").click()
        expect(said).to_have_text("Give a picture of your own first.")
        _give(visitor, model_folder / "examples" / "kathak.jpg")
        _answered(visitor)
        likeliest = next(iter(_bars(visitor))).lower()
        visitor.get_by_role("button", name="Yes").click()
        expect(said).to_have_text("Thank you. Your answer was kept, your picture was not.")
        visitor.get_by_role("button", name="Send").click()
        expect(said).to_have_text("Choose the dance first.")
        visitor.get_by_label("No, it is").click()
        visitor.get_by_role("option", name="Mohiniyattam").click()
        consent = visitor.get_by_label("Keep my picture, too.")
        expect(consent).not_to_be_checked()
        consent.check()
        visitor.get_by_role("button", name="Send").click()
        expect(said).to_have_text("Thank you. Your answer and your picture were kept.")
        rows = _kept(folder)
        assert [(row["action"], row["label"], row["predicted"]) for row in rows] == [
            ("relabel", likeliest, likeliest),
            ("relabel", "mohiniyattam", likeliest),
        ]
        assert [path.stem for path in folder.glob("photos/mohiniyattam/*.jpg")] == [rows[1]["sha256"]]
        # Consent is for one picture.
        visitor.locator("#photo").get_by_label("Remove Image").click()
        expect(consent).not_to_be_checked()
        # While an answer is on its way the former one is pale.
        pale = (
            "node => { for (; node; node = node.parentElement) if (getComputedStyle(node).opacity != 1) return true }"
        )
        verdict = visitor.locator("#answer .verdict").element_handle()
        visitor.wait_for_function(f"node => !({pale})(node)", arg=verdict)
        found = Axe().run(visitor)
        assert found.violations_count == 0, found.generate_report()
        # What the page offers itself is nobody's picture.
        visitor.locator("[data-example]").first.click()
        _answered(visitor)
        visitor.get_by_role("button", name="Yes").click()
        expect(said).to_have_text("Give a picture of your own first.")
        assert len(_kept(folder)) == 2


def test_it_can_be_embedded_in_a_theme(browser: Browser, page: str) -> None:
    with _opened(browser, page, path="/?__theme=dark") as visitor:
        assert visitor.evaluate("document.body.classList.contains('dark')")
        visitor.set_content(f'<iframe src="{page}/?__theme=light" style="width:390px;height:844px"></iframe>')
        inside = visitor.frame_locator("iframe")
        expect(inside.locator("#answer .verdict")).to_have_text("The answer appears here.", timeout=20_000)
