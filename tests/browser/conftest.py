"""What the tests in a real browser share: Chromium, and how to see what a page does that it should not."""

import shutil
from collections.abc import Iterator
from pathlib import Path
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

READY = "Ready. Your pictures stay on this device."
# Whether a visitor's device has all that the page without a server keeps on it.
KEPT = """async () => {
  const names = await caches.keys();
  if (names.length !== 1) return false;
  const urls = (await (await caches.open(names[0])).keys()).map((request) => request.url);
  return ["site.json", ".onnx", ".wasm.gz", ".safetensors"].every((end) => urls.some((url) => url.endsWith(end)));
}"""


@pytest.fixture(scope="module")
def decided(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of the tests, made sure of itself, so that its verdicts differ."""
    import timm
    from safetensors.torch import load_file, save_file

    from train.export.model_folder import add_onnx

    folder = Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("decided") / "model"))
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.startswith("fc.")]:
        weights[name] = weights[name] * 60
    save_file(weights, folder / "model.safetensors")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    add_onnx(folder, timm.data.resolve_model_data_config(model))
    return folder


@pytest.fixture(scope="module")
def site(decided: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page without a server of that model."""
    from demo.static_page.site import write_site

    folder = tmp_path_factory.mktemp("static") / "site"
    write_site(str(decided), folder, None, None)
    return folder


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(**LAUNCH)
    yield browser
    browser.close()
