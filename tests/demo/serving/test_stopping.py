"""The end of the page, and what happens to it while it serves."""

import asyncio
import io
import re
import shutil
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from benchmarks.load import run_load
from tests.conftest import wait_for
from tests.demo.conftest import Server, file_at, started


def _jpeg(side: int = 64) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (side, side), (120, 40, 90)).save(target, "JPEG")
    return target.getvalue()


@pytest.fixture
def own(model_folder: Path, tmp_path: Path, free_port: int) -> "Server":
    model = shutil.copytree(model_folder, tmp_path / "model")
    with started(tmp_path / "server", free_port, MODEL_ID=str(model)) as server:
        yield server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_being_answered_is_finished(own: Server, number: int) -> None:
    path = own.upload(_jpeg(1000))
    events = [
        httpx.post(f"{own.address}/gradio_api/call/predict", json={"data": [file_at(path)]}).json()["event_id"]
        for _ in range(12)
    ]
    told: list[str] = []

    def fetch(event: str) -> None:
        told.append(httpx.get(f"{own.address}/gradio_api/call/predict/{event}", timeout=20).text)

    threads = [threading.Thread(target=fetch, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert own.stop(number) == 0
    for thread in threads:
        thread.join(5)
    assert len(told) == 12
    assert all("event: complete" in text for text in told), told
    assert list(own.folder.iterdir()) == []
    assert "Traceback" not in own.said()


def test_pages_that_are_open_do_not_hold_it_up(own: Server) -> None:
    with httpx.stream("GET", f"{own.address}/gradio_api/heartbeat/visitor") as beat:
        assert beat.status_code == 200
        assert own.stop() == 0
    assert "Traceback" not in own.said()


def test_it_ends_while_the_model_loads(model_folder: Path, tmp_path: Path, free_port: int) -> None:
    with started(tmp_path, free_port, wait=False, MODEL_ID=str(model_folder)) as server:
        wait_for(lambda: list(server.folder.iterdir()), 20)
        time.sleep(0.3)
        assert server.stop() == 128 + signal.SIGTERM
        assert list(server.folder.iterdir()) == []
        assert "Traceback" not in server.said()


@pytest.mark.parametrize("fate", ["disappears", "is replaced"])
def test_a_model_folder_that_goes_away_does_no_harm(own: Server, tmp_path: Path, fate: str) -> None:
    before = own.predict(own.upload(_jpeg()))
    shutil.rmtree(tmp_path / "model")
    if fate == "is replaced":
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "config.json").write_text("{}")
    assert own.predict(own.upload(_jpeg())) == before
    assert httpx.get(own.address).status_code == 200
    for index in range(8):
        told = _click_example(own, index)
        path = next(Path(found) for found in re.findall(r'"path": ?"([^"]+)"', told))
        assert path.is_relative_to(own.uploads)
        assert own.predict(str(path))[0] == "complete"


def _click_example(server: Server, index: int) -> str:
    """Clicks an example picture as a browser does; returns all that comes back."""
    functions = httpx.get(f"{server.address}/config").json()["dependencies"]
    clicked = next(f for f in functions if not f["inputs"] and f["backend_fn"])
    call = {"data": [], "fn_index": clicked["id"], "session_hash": f"visitor{index}", "event_data": {"index": index}}
    httpx.post(f"{server.address}/gradio_api/queue/join", json=call).raise_for_status()
    return server.answers(f"visitor{index}")


def test_a_port_that_is_taken_is_one_line(own: Server, model_folder: Path, tmp_path: Path) -> None:
    port = int(own.address.rsplit(":", 1)[1])
    with started(tmp_path / "second", port, wait=False, MODEL_ID=str(model_folder)) as second:
        assert second.process.wait(60) == 2
        assert second.said().strip().splitlines()[-1].startswith("error: ")
        assert str(port) in second.said()
        assert "Traceback" not in second.said()
        assert list(second.folder.iterdir()) == []


def test_64_visitors_get_answers_or_busy_and_nothing_grows(own: Server) -> None:
    load = asyncio.run(run_load(own.address, own.process.pid, clients=64, seconds=25))
    assert load.errors == {}
    assert len(load.answers) > 50
    # Minutes are for benchmarks/load.py; this is for what grows with every answer.
    assert load.growth(warm_up=12) < 0.05
    assert "Traceback" not in own.said()
    assert own.stop() == 0
    assert list(own.folder.iterdir()) == []
