"""What the tests in a real browser share: Chromium, and how to see what a page does that it should not."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # `make test` installs it; without the system's, Playwright's own is taken.
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            # A camera that shows a test picture, and nobody who is asked about it.
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", *CAMERA],
        )
        yield browser
        browser.close()
