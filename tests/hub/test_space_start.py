"""How a Space starts: a page while its model is fetched, one that says what is wrong, and then the page itself."""

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import wait_for
from tests.demo.conftest import Server, started
from tests.hub.conftest import push
from tests.minihub.fixture import RunningHub

Space = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def space(hub: RunningHub, tmp_path: Path) -> Iterator[Space]:
    """Starts app.py as a Space that shows a model."""

    @contextmanager
    def start(model_id: str, **identity: Any) -> Iterator[Server]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {**hub.environment(**identity), "SPACE_ID": "alice/space", "MODEL_ID": model_id}
        with started(tmp_path / "space", port, wait=False, **environment) as server:
            wait_for(lambda: _health(server) or server.process.poll() is not None, 20)
            yield server

    yield start
    hub.clear_faults()


def _health(server: Server) -> dict[str, Any]:
    try:
        return httpx.get(f"{server.address}/health").json()
    except httpx.HTTPError:
        return {}


def _says(server: Server, kind: str, text: str) -> bool:
    now = _health(server)
    return now.get("status") == kind and text in now["said"] + now["detail"]


def _picture(model_folder: Path) -> bytes:
    return (model_folder / "examples" / "odissi.jpg").read_bytes()


def test_the_page_comes_after_the_one_that_waits(
    hub: RunningHub, space: Space, pushed_model: str, model_folder: Path
) -> None:
    hub.faults([{"status": "slow", "match": "model.safetensors", "delay": 0.4, "next": 3}])
    with space(pushed_model) as server:
        assert _says(server, "loading", f"The model {pushed_model} is being fetched.")
        page = httpx.get(server.address)
        assert page.status_code == 200
        assert "is being fetched" in page.text
        wait_for(lambda: _says_ok(server), 60)
        assert server.predict(server.upload(_picture(model_folder)))[0] == "complete"
        assert server.stop() == 0
        assert "Traceback" not in server.said()


def _says_ok(server: Server) -> bool:
    return _health(server) == {"status": "ok"}


def test_a_model_that_is_not_there_yet_is_found_when_it_is(hub: RunningHub, space: Space, model_folder: Path) -> None:
    with space("alice/later") as server:
        wait_for(lambda: _says(server, "wrong", "there is no such repository"), 20)
        assert _says(server, "wrong", "The next try is in")
        assert httpx.get(server.address).status_code == 200
        push(hub, "train", model_folder, "alice/later")
        wait_for(lambda: _says_ok(server), 60)
        assert server.predict(server.upload(_picture(model_folder)))[0] == "complete"
        assert server.said().startswith("error: MODEL_ID=alice/later")
        assert "Traceback" not in server.said()


def test_a_private_model_asks_for_a_token(space: Space, pushed_model: str) -> None:
    with space(pushed_model, token=None) as server:
        wait_for(lambda: _says(server, "wrong", "A private model needs a secret HF_TOKEN"), 20)
        page = httpx.get(server.address).text
        assert '<main class="wrong">' in page
        assert server.stop() == 143
        assert list(server.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("model_id", "said"),
    [
        ("", "MODEL_ID is not set"),
        ("no id at all", "is neither a folder nor a Hub id"),
        ("../x", "neither a folder nor"),
    ],
)
def test_a_wrong_model_id_stays_on_the_page(space: Space, model_id: str, said: str) -> None:
    with space(model_id) as server:
        wait_for(lambda: _says(server, "wrong", said), 60)
        assert server.process.poll() is None
        assert "Traceback" not in server.said()


def test_a_download_that_breaks_is_tried_again(
    hub: RunningHub, space: Space, pushed_model: str, model_folder: Path
) -> None:
    hub.faults([{"status": "corrupt", "match": "GET .*model.safetensors", "next": 1}])
    with space(pushed_model) as server:
        wait_for(lambda: _says(server, "wrong", "arrived damaged") or _says_ok(server), 30)
        wait_for(lambda: _says_ok(server), 60)
        assert server.predict(server.upload(_picture(model_folder)))[0] == "complete"
        assert "Traceback" not in server.said()
        assert str(server.folder) not in server.said().replace("Running on", "")
