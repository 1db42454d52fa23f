"""What the tests in a real browser share: Chromium, and how to see what a page does that it should not."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

LAUNCH: dict[str, Any] = {
    # `make test` installs it; without the system's, Playwright's own is taken.
    "executable_path": next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None),
    "args": [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        # A camera that shows a test picture, and nobody who is asked about it.
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ],
}


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(**LAUNCH)
    yield browser
    browser.close()
