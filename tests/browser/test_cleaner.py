"""The cleaner, driven as a person would: real Chromium, a server of its own that is killed on the way."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dataset_card.build import build
from dataset_card.lists import read_corrections
from tests.conftest import ROOT, write_doubts
from train.data import load_images

pytestmark = pytest.mark.browser

HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def dances(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in which some pictures have near-duplicates, and one comes from a page that means no good."""
    folder = tmp_path_factory.mktemp("cleaner")
    copied = shutil.copytree(photos, folder / "photos")
    for number in range(4):
        with Image.open(copied / "kathak" / f"kathak-{number:03d}.jpg") as picture:
            picture.resize((picture.width * 9 // 10, picture.height * 9 // 10)).save(
                copied / "kathak" / f"x{number}.png"
            )
    provenance = (copied / "provenance.jsonl").read_text()
    hostile = HOSTILE.replace('"', '\\"')
    (copied / "provenance.jsonl").write_text(
        provenance.replace('"title": ""', f'"title": "{hostile}"').replace(
            '"source_url": ""', '"source_url": "javascript:alert(1)"'
        )
    )
    build(copied, folder / "dances", seed=8)
    return folder / "dances"


@pytest.fixture(scope="module")
def doubted(dances: Path) -> list[str]:
    """What the models of the run beside `dances` doubt, the most doubtful first."""
    return write_doubts(dances, dances.parent / "run")


@pytest.fixture
def run(dances: Path, doubted: list[str]) -> Iterator[Path]:
    """The run beside `dances`, on which nothing is decided yet."""
    yield dances.parent / "run"
    (dances.parent / "run" / "corrections.csv").unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def _cleaner(run: Path, dances: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The command, serving; it is killed in the end, for it has nothing to save."""
    process = subprocess.Popen(
        [sys.executable, "-m", "train", "clean", run, f"dataset={dances}"],
        cwd=ROOT,
        # No browser of this machine's own.
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), "BROWSER": "true", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if f"http://127.0.0.1:{port}" in line:
                yield process
                return
        pytest.fail(f"train clean ended with {process.wait()}: {''.join(said)}")
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def served(dances: Path, doubted: list[str]) -> Iterator[str]:
    """A cleaner that all tests share: it remembers nothing, the file does."""
    port = _free_port()
    with _cleaner(dances.parent / "run", dances, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """A page; whatever it asks of another server, and every fault of its scripts, fails the test."""
    elsewhere: list[str] = []
    errors: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
    page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else elsewhere.append(r.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    yield page
    page.close()
    assert elsewhere == []
    assert errors == []


def _shows(page: Page, sha256: str) -> None:
    expect(page.locator("#picture figcaption")).to_contain_text(sha256[:12], timeout=20_000)


def _decided(run: Path) -> list[tuple[str, str, str]]:
    names = ["bharatanatyam", "kathak", "kathakali", "kuchipudi", "manipuri", "mohiniyattam", "odissi", "sattriya"]
    return [(d.sha256, d.action, d.label) for d in read_corrections(run / "corrections.csv", names)]


def _choose(page: Page, label: str, option: str | re.Pattern[str]) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option, exact=isinstance(option, str)).first.click()


def test_clicks_and_keys_decide(browser: Browser, served: str, run: Path, doubted: list[str], dances: Path) -> None:
    rows = load_images(str(dances)).splits
    label_of = {
        sha256: split.features["label"].int2str(label)
        for split in rows.values()
        for sha256, label in zip(split["sha256"], split["label"], strict=True)
    }
    with _opened(browser, served) as page:
        _shows(page, doubted[0])
        expect(page.locator("#verdict")).to_contain_text(f"Labelled {label_of[doubted[0]]}.")
        page.get_by_role("button", name="Keep", exact=True).click()
        _shows(page, doubted[1])
        assert _decided(run) == [(doubted[0], "keep", "")]
        page.get_by_role("button", name="Delete", exact=True).click()
        _shows(page, doubted[2])
        suggestion = page.locator("#suggested").inner_text().removeprefix("It is ")
        page.locator("#suggested").click()
        _shows(page, doubted[3])
        assert _decided(run)[1:] == [(doubted[1], "delete", ""), (doubted[2], "relabel", suggestion)]
        page.keyboard.press("d")
        _shows(page, doubted[4])
        page.keyboard.press("k")
        _shows(page, doubted[5])
        page.keyboard.press("2")
        expect(page.locator("#picture figcaption")).not_to_contain_text(doubted[5][:12])
        kept = ("keep", "") if label_of[doubted[5]] == "kathak" else ("relabel", "kathak")
        assert _decided(run)[3:] == [(doubted[3], "delete", ""), (doubted[4], "keep", ""), (doubted[5], *kept)]
        expect(page.locator("#progress")).to_contain_text(re.compile(r"6 of \d+ decided"))
        # Undo, twice, and each time its picture is back.
        page.keyboard.press("u")
        _shows(page, doubted[5])
        page.locator("#undo").click()
        _shows(page, doubted[4])
        expect(page.locator("#progress")).to_contain_text(f"Taken back: {doubted[4][:12]}, keep")
        assert len(_decided(run)) == 4
        # To look on decides nothing.
        page.keyboard.press("ArrowRight")
        _shows(page, doubted[5])
        page.keyboard.press("ArrowLeft")
        _shows(page, doubted[4])
        page.keyboard.press("ArrowLeft")
        _shows(page, doubted[3])
        expect(page.locator("#verdict .decided")).to_have_text("Decided: delete")
        assert len(_decided(run)) == 4
        # Somebody who goes back may change their mind.
        page.keyboard.press("k")
        _shows(page, doubted[4])
        assert {d[0]: d[1] for d in _decided(run)}[doubted[3]] == "keep"


def test_a_reload_a_kill_and_another_server_lose_nothing(
    browser: Browser, run: Path, doubted: list[str], dances: Path
) -> None:
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    with _cleaner(run, dances, port) as server, _opened(browser, address) as page:
        _shows(page, doubted[0])
        page.keyboard.press("d")
        _shows(page, doubted[1])
        page.reload()
        _shows(page, doubted[1])
        page.keyboard.press("r")
        _shows(page, doubted[2])
        server.kill()
        server.wait()
        assert [d[:2] for d in _decided(run)] == [(doubted[0], "delete"), (doubted[1], "relabel")]
        with _cleaner(run, dances, port):
            # Without a reload, too: what a click is about stands in the page.
            page.keyboard.press("d")
            _shows(page, doubted[3])
            page.reload()
            _shows(page, doubted[3])
            done = re.compile(r"3 of \d+ decided:\s+2 delete, 1 relabel")
            expect(page.locator("#progress")).to_contain_text(done)
            assert [d[:2] for d in _decided(run)][2:] == [(doubted[2], "delete")]


def test_two_pages_at_once_do_not_decide_against_each_other(
    browser: Browser, served: str, run: Path, doubted: list[str]
) -> None:
    with _opened(browser, served) as one, _opened(browser, served) as two:
        _shows(one, doubted[0])
        _shows(two, doubted[0])
        one.keyboard.press("d")
        _shows(one, doubted[1])
        two.keyboard.press("k")
        expect(two.locator("#progress")).to_contain_text("was decided elsewhere meanwhile: nothing was changed.")
        _shows(two, doubted[1])
        assert _decided(run) == [(doubted[0], "delete", "")]
        two.keyboard.press("k")
        _shows(two, doubted[2])
        assert _decided(run) == [(doubted[0], "delete", ""), (doubted[1], "keep", "")]


def test_filters_narrow_and_an_end_is_said(browser: Browser, served: str, run: Path, dances: Path) -> None:
    validation = load_images(str(dances)).splits["validation"]
    with _opened(browser, served) as page:
        expect(page.locator("#picture img")).to_be_visible(timeout=20_000)
        _choose(page, "Split", "validation")
        _choose(page, "Labelled", "odissi")
        expect(page.locator("#verdict")).to_contain_text("Labelled odissi")
        expect(page.locator("#picture figcaption")).to_contain_text("validation")
        odissi = sum(validation.features["label"].int2str(label) == "odissi" for label in validation["label"])
        for _ in range(odissi):
            shown = page.locator("#picture figcaption").inner_text()
            page.keyboard.press("k")
            expect(page.locator("#picture")).not_to_contain_text(shown.split(" · ")[-1])
        expect(page.locator("#picture")).to_contain_text("Every picture that these filters leave is decided.")
        expect(page.locator("#picture pre")).to_contain_text("dataset_card build PHOTOS --out")
        # Nothing to decide about: nothing happens.
        page.keyboard.press("d")
        _choose(page, "Show", "decided")
        expect(page.locator("#verdict .decided")).to_have_text("Decided: keep")
        _choose(page, "Split", "all")
        _choose(page, "Labelled", "all")
        _choose(page, "Show", "undecided")
        _choose(page, "Labelled → models say", re.compile(r"kathak → kathakali \(\d+\)"))
        expect(page.locator("#verdict")).to_contain_text("Labelled kathak.")
        expect(page.locator("#suggested")).to_have_text("It is kathakali")
        # Typing into a filter decides nothing.
        before = page.locator("#picture figcaption").inner_text()
        page.get_by_label("Split", exact=True).click()
        page.keyboard.type("dkr1")
        page.keyboard.press("Escape")
        assert page.locator("#picture figcaption").inner_text() == before


def test_near_duplicates_and_source_are_shown_as_text(browser: Browser, served: str) -> None:
    with _opened(browser, served) as page:
        expect(page.locator("#picture img")).to_be_visible(timeout=20_000)
        _choose(page, "Labelled", "kathak")
        for _ in range(12):
            if page.locator("#about .copies img").count():
                break
            shown = page.locator("#picture figcaption").inner_text()
            page.keyboard.press("ArrowRight")
            expect(page.locator("#picture figcaption")).not_to_have_text(shown)
        expect(page.locator("#about .copies figcaption").first).to_contain_text("kathak · train")
        _choose(page, "Labelled", "odissi")
        expect(page.locator("#about")).to_contain_text(HOSTILE)
        expect(page.locator("#about")).to_contain_text("cc0-1.0")
        expect(page.locator("#about")).to_contain_text("javascript:alert(1)")
        assert page.locator("#about a[href^=javascript]").count() == 0
        assert page.title() == "Clean Dances"


def test_a_file_that_can_not_be_gone_on_with_is_said(
    browser: Browser, served: str, run: Path, doubted: list[str]
) -> None:
    with _opened(browser, served) as page:
        _shows(page, doubted[0])
        (run / "corrections.csv").write_text("sha256;action;label\n")
        page.keyboard.press("d")
        expect(page.get_by_role("alert")).to_contain_text("so that no line can be added")
        _shows(page, doubted[0])
        assert (run / "corrections.csv").read_text() == "sha256;action;label\n"
        (run / "corrections.csv").unlink()
        page.keyboard.press("d")
        _shows(page, doubted[1])
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_light_and_dark(browser: Browser, served: str, scheme: str, tmp_path: Path) -> None:
    with _opened(browser, served, color_scheme=scheme) as page:
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            expect(page.locator("#picture img")).to_be_visible(timeout=20_000)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
        # Answers are on the first screen, beside the picture.
        delete = page.locator("#delete").bounding_box()
        assert delete is not None
        assert delete["y"] + delete["height"] < 844
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", dark)[:3])) < 200) == (scheme == "dark")
