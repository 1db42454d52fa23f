"""A Space in a real browser: from the page that waits to the page itself, without a touch."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import wait_for
from tests.demo.conftest import Server, started
from tests.hub.conftest import push
from tests.minihub.fixture import RunningHub, start_hub

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with start_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def space(hub: RunningHub, tmp_path: Path) -> Iterator[Server]:
    """A Space whose model is not there yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**hub.environment(), "SPACE_ID": "alice/space", "MODEL_ID": "alice/dances"}
    with started(tmp_path / "space", port, wait=False, **environment) as server:
        wait_for(lambda: _answers(port), 20)
        yield server


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_comes_by_itself(
    browser: Browser, hub: RunningHub, space: Server, model_folder: Path, scheme: str, tmp_path: Path
) -> None:
    visitor = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    errors: list[str] = []
    visitor.on("pageerror", lambda error: errors.append(str(error)))
    visitor.goto(space.address)
    expect(visitor.get_by_role("heading", name="Nritya")).to_be_visible()
    assert visitor.evaluate("document.documentElement.scrollWidth") <= 390
    if scheme == "light":
        expect(visitor.get_by_text("This Space can't show its model yet")).to_be_visible(timeout=20_000)
        expect(visitor.get_by_text("A private model needs a secret HF_TOKEN")).to_be_visible()
        push(hub, "train", model_folder, "alice/dances")
    visitor.screenshot(path=tmp_path / f"waiting-{scheme}.png")
    expect(visitor.locator("#photo")).to_be_visible(timeout=90_000)
    visitor.set_input_files("#photo input[type=file]", model_folder / "examples" / "kathak.jpg")
    expect(visitor.locator("#answer")).to_contain_text("%", timeout=20_000)
    assert errors == []
