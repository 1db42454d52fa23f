"""The page without a server in the system's Firefox and WebKitGTK, compared with Chromium."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.browser.conftest import KEPT, READY
from tests.browser.files_server import FilesServer
from tests.browser.webdriver import PATIENCE, Firefox, WebDriver, firefox, webkit
from tests.conftest import wait_for

pytestmark = pytest.mark.browser

FALSIFIED = "To prevent fingerprinting, this browser changes the pixels that a page reads"
ANSWERED = "return document.querySelector('.answer:is(.sure, .unsure, .ood, .fault)') !== null"
SHOWN = """
const texts = [...document.querySelectorAll(".verdict, .bars li")].map((shown) => shown.innerText);
return texts.map((text) => text.replace(/\\s+/g, " ").trim());
"""
# Reads pictures as the browser is, as where something falsifies a canvas, and as where there is no other way.
READING = """
import { pixelsOf } from "./%s";
const bitmaps = await Promise.all(%s.map(async (file) => createImageBitmap(await (await fetch(file)).blob())));
const read = () => Promise.all(bitmaps.map(pixelsOf));
const honest = await read();
const its = OffscreenCanvasRenderingContext2D.prototype;
const { getImageData } = its;
its.getImageData = function (...place) {
  const image = getImageData.apply(this, place);
  image.data.forEach((level, at) => (image.data[at] = level ^ (at * 37)));
  return image;
};
const otherwise = await read();
delete window.VideoFrame;
const refused = await read().then(() => null, (error) => error.key);
const same = honest.every(({ data }, number) => data.every((level, at) => level === otherwise[number].data[at]));
const first = ({ data, width, height }) => [width, height, Array.from(data.subarray(0, 10_000))];
window.result = { same, refused, honest: honest.map(first) };
"""


@pytest.fixture(scope="module")
def files(site: Path) -> Iterator[FilesServer]:
    with FilesServer(site).running() as server:
        yield server


@pytest.fixture(scope="module")
def fox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with firefox(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture(scope="module", params=["firefox", "webkit"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    if request.param == "firefox":
        yield request.getfixturevalue("fox")
    else:
        with webkit(tmp_path_factory.mktemp("webkit")) as browser:
            yield browser


@pytest.fixture(scope="module")
def pictures(decided: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Examples of the model folder, one turned by its Exif entry, one half transparent, one that comes smaller."""
    examples = sorted((decided / "examples").glob("*.jpg"))[:3]
    folder = tmp_path_factory.mktemp("pictures")
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(examples[0]) as image:
        image.save(folder / "turned.jpg", exif=exif, quality=95)
        image.resize((2100, 2200)).save(folder / "large.jpg", quality=95)
        clear = image.convert("RGBA")
        clear.putalpha(Image.linear_gradient("L").resize(clear.size))
        clear.save(folder / "clear.png")
    return [*examples, *sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def of_chromium(browser: Browser, files: FilesServer, pictures: list[Path]) -> dict[Path, list[str]]:
    """What Chromium shows of each picture: the verdict, and every class with its share."""
    page, shown = browser.new_page(locale="en-US"), {}
    page.goto(files.address)
    for picture in pictures:
        page.set_input_files("#giving input", picture)
        page.locator(".answer:is(.sure, .unsure, .ood)").wait_for(timeout=1000 * PATIENCE)
        shown[picture] = page.evaluate(f"() => {{ {SHOWN} }}")
    page.close()
    return shown


def _open(browser: WebDriver, address: str) -> None:
    # Another page first: the same address would only be looked up.
    browser.go("about:blank")
    browser.go(address)
    wait_for(lambda: browser.text("#loading [role=status]") == READY, PATIENCE)


def _shown(browser: WebDriver, picture: Path) -> list[str]:
    """Gives a picture and returns what the page shows then."""
    browser.run("document.querySelector('.stage .remove')?.click()")
    browser.choose("#giving input", picture)
    wait_for(lambda: browser.run(ANSWERED), PATIENCE)
    return browser.run(SHOWN)


def test_it_says_what_chromium_says_and_shows_where_it_looked(
    other: WebDriver, files: FilesServer, of_chromium: dict[Path, list[str]]
) -> None:
    _open(other, files.address)
    assert len(set(map(tuple, of_chromium.values()))) > 3
    for picture, expected in of_chromium.items():
        assert _shown(other, picture) == expected, picture.name
    seen = """
    document.querySelector(".heat summary").click();
    const [under, over] = [".under", ".over"].map((name) => document.querySelector(`.heat ${name}`));
    const pixels = over.getContext("2d").getImageData(0, 0, over.width, over.height).data;
    const places = [under, over].map((layer) => JSON.stringify(layer.getBoundingClientRect()));
    return [places[0] === places[1], over.getBoundingClientRect().width > 50, new Set(pixels).size > 50];
    """
    assert other.run(seen) == [True, True, True]


def test_half_a_picture_and_a_drawing_of_lines_are_refused(
    other: WebDriver, files: FilesServer, pictures: list[Path], tmp_path: Path
) -> None:
    _open(other, files.address)
    for name, content, said in (
        ("half.jpg", pictures[0].read_bytes()[:-2000], "This file can't be read as a picture: it is damaged"),
        ("drawn.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='90' height='90'/>", "This browser can't read"),
    ):
        (tmp_path / name).write_bytes(content)
        verdict, *_ = _shown(other, tmp_path / name)
        assert verdict.startswith(said)


def test_a_second_visit_needs_no_network(other: WebDriver, site: Path, of_chromium: dict[Path, list[str]]) -> None:
    picture, expected = next(iter(of_chromium.items()))
    with FilesServer(site).running() as files:
        _open(other, files.address)
        wait_for(lambda: other.run(f"return ({KEPT})()"), PATIENCE)
    # The server is gone.
    _open(other, files.address)
    assert _shown(other, picture) == expected


def test_where_a_canvas_is_falsified_pixels_are_read_another_way_or_not_at_all(
    other: WebDriver, browser: Browser, site: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(8).integers(0, 256, (75, 41, 4), np.uint8)
    pictures = {
        "opaque.png": noise[..., :3],
        "clear.png": noise,
        "large.png": np.kron(noise[:60, :41, :3], np.ones((40, 51, 1), np.uint8)),
    }
    folder = shutil.copytree(site, tmp_path / "site")
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    (module,) = (path.relative_to(folder) for path in folder.glob("*/pixels.js"))
    (folder / "reading.js").write_text(READING % (module, list(pictures)))
    (folder / "reading.html").write_text('<!doctype html><script type="module" src="reading.js"></script>')
    with FilesServer(folder).running() as files:
        page = browser.new_page()
        page.goto(f"{files.address}reading.html")
        other.go(f"{files.address}reading.html")
        for look in (lambda: page.evaluate("window.result"), lambda: other.run("return window.result")):
            wait_for(look, PATIENCE)
            result = look()
            assert result["same"]
            assert result["refused"] == "falsified"
            opaque, clear, large = result["honest"]
            assert opaque[:2] == clear[:2] == [41, 75]
            assert np.array_equal(np.reshape(opaque[2], (75, 41, 3)), noise[..., :3])
            alpha = noise[..., 3:] / 255
            on_white = noise[..., :3] * alpha + 255 * (1 - alpha)
            assert np.abs(np.reshape(clear[2], (75, 41, 3)) - on_white).max() <= 3
            assert large[:2] == [1046, 1200]
        page.close()


def test_without_leave_to_keep_anything_it_works_all_the_same(
    fox: Firefox, site: Path, of_chromium: dict[Path, list[str]]
) -> None:
    picture, expected = next(iter(of_chromium.items()))
    with FilesServer(site).running() as files, fox.preferring("network.cookie.cookieBehavior", 2):
        _open(fox, files.address)
        assert fox.run("return caches.open('x').then(() => 'opened', (error) => error.name)") == "SecurityError"
        assert _shown(fox, picture) == expected


def test_pixels_that_a_browser_falsifies_are_refused_until_the_visitor_allows_the_page_to_read_them(
    fox: Firefox, files: FilesServer, of_chromium: dict[Path, list[str]]
) -> None:
    picture, expected = next(iter(of_chromium.items()))
    with fox.preferring("privacy.resistFingerprinting", True):
        _open(fox, files.address)
        verdict, *_ = _shown(fox, picture)
        assert verdict.startswith(FALSIFIED)
        # The symbol beside the address, and its "Allow".
        symbol = (
            "window.PopupNotifications.getNotification('canvas-permissions-prompt', window.gBrowser.selectedBrowser)"
        )
        wait_for(lambda: fox.as_browser(f"return Boolean({symbol})"), PATIENCE)
        fox.as_browser(f"{symbol}.mainAction.callback({{ checkboxChecked: false }})")
        assert _shown(fox, picture) == expected
