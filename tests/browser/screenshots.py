"""Takes the pictures of the page that are in docs/: `python -m tests.browser.screenshots build/demo/run/model`.

Only a model of drawings will do, for what these pictures show is published.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from demo.static_page.site import write_site
from model_folder.folder import open_model_folder
from tests.browser.files_server import FilesServer
from tests.conftest import ROOT, serve

DANCE = "manipuri"


def take(model: Path, out: Path) -> None:
    """Takes all pictures of a model's page."""
    if not open_model_folder(str(model)).config["training_data"]["drawings"]:
        raise SystemExit(f"error: {model} has not learned from drawings")
    examples = sorted((model / "examples").glob("*.jpg"))
    with serve(model) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            args=["--no-sandbox", "--disable-gpu"], executable_path=shutil.which("chromium")
        )
        page = _open(browser, address, 1280, 940)
        _answer(page, model / "examples" / f"{DANCE}.jpg")
        _heat(page)
        page.screenshot(path=out / "page.png", full_page=True)
        page = _open(browser, address, 390, 844, color_scheme="dark", device_scale_factor=2)
        _answer(page, model / "examples" / f"{DANCE}.jpg")
        page.screenshot(path=out / "page-phone-dark.png", full_page=True)
        page = _open(browser, address, 768, 900, locale="hi-IN")
        _answer(page, model / "examples" / f"{DANCE}.jpg")
        page.screenshot(path=out / "page-hindi.png", full_page=True)
        page = _open(browser, address, 1280, 900)
        page.get_by_role("tab", name="Many pictures").click()
        page.set_input_files("#photos input[type=file]", examples)
        expect(page.locator("#answers tbody tr")).to_have_count(len(examples), timeout=30_000)
        page.wait_for_timeout(500)
        page.screenshot(path=out / "page-many.png", full_page=True)
        take_static(browser, model, out)
        browser.close()
    for file in (*out.glob("page*.png"), *out.glob("static-page*.png")):
        with Image.open(file) as image:
            # A third of the bytes, and hardly anybody sees it.
            full = image.convert("RGB")
            full.quantize(palette=full.quantize(256)).save(file, optimize=True)


def take_static(browser: Browser, model: Path, out: Path) -> None:
    """Takes the pictures of the page without a server."""
    with TemporaryDirectory() as folder:
        write_site(str(model), Path(folder) / "site", None, None)
        with FilesServer(Path(folder) / "site").running() as files:
            for name, width, options in (
                ("static-page.png", 1280, {}),
                ("static-page-phone.png", 390, {"device_scale_factor": 2, "color_scheme": "dark"}),
            ):
                page = browser.new_page(
                    viewport={"width": width, "height": 844}, reduced_motion="reduce", locale="en-GB", **options
                )
                page.goto(files.address)
                expect(page.locator("#loading [role=status]")).to_contain_text("Ready.", timeout=30_000)
                page.set_input_files("#giving input", model / "examples" / f"{DANCE}.jpg")
                expect(page.locator("#answer .answer.sure, #answer .answer.unsure")).to_be_visible(timeout=20_000)
                if width > 1000:
                    _heat(page)
                page.wait_for_timeout(500)
                page.screenshot(path=out / name, full_page=True)
                page.close()


def _open(browser: Browser, address: str, width: int, height: int, **options: Any) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": height}, reduced_motion="reduce", **{"locale": "en-GB", **options}
    )
    page.goto(address)
    expect(page.locator("#answer .bars li").first).to_be_visible(timeout=20_000)
    return page


def _answer(page: Page, picture: Path) -> None:
    page.set_input_files("#photo input[type=file]", picture)
    expect(page.locator("#answer .answer.sure, #answer .answer.unsure")).to_be_visible(timeout=20_000)
    page.wait_for_timeout(500)


def _heat(page: Page) -> None:
    summary = page.locator("#answer .heat summary")
    if summary.count():
        summary.click()


if __name__ == "__main__":
    take(Path(sys.argv[1]), ROOT / "docs")
