"""The end of a session's stream of answers, in the moment in which the session calls again."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import httpx
import pytest

from benchmarks.load import run_one_client
from demo.serving import streams
from tests.demo.conftest import Server, data_url


@pytest.fixture
def picture(model_folder: Path) -> bytes:
    return (model_folder / "examples" / "kathak.jpg").read_bytes()


def test_the_id_of_a_call_waits_until_the_client_has_read_that_its_stream_closed(
    server: Server, picture: bytes
) -> None:
    api, session = f"{server.address}/gradio_api", {"session_hash": "again"}
    functions = httpx.get(f"{server.address}/config").json()["dependencies"]
    index = next(function["id"] for function in functions if function["api_name"] == "predict")

    def join() -> str:
        call = {"data": [data_url(picture)], "fn_index": index, **session}
        return httpx.post(f"{api}/queue/join", json=call, timeout=30).raise_for_status().json()["event_id"]

    with ThreadPoolExecutor(1) as pool:
        join()
        with httpx.stream("GET", f"{api}/queue/data", params=session, timeout=30) as stream:
            lines = stream.iter_lines()
            while '"msg":"close_stream"' not in next(lines):
                pass
            closed = time.monotonic()
            second = pool.submit(join)
            assert wait([second], 2).not_done
        event = second.result()
        assert time.monotonic() - closed < streams._PATIENCE
    said = server.answers("again")
    assert said.count("process_completed") == 1
    assert event in said


def test_whoever_reads_to_the_end_gets_there(server: Server) -> None:
    functions = httpx.get(f"{server.address}/config").json()["dependencies"]
    click = next(function["id"] for function in functions if not function["inputs"] and function["backend_fn"])
    call = {"data": [], "fn_index": click, "session_hash": "patient", "event_data": {"index": 0}}
    httpx.post(f"{server.address}/gradio_api/queue/join", json=call).raise_for_status()
    said = httpx.get(f"{server.address}/gradio_api/queue/data?session_hash=patient", timeout=30).text
    assert '"msg":"close_stream"' in said.splitlines()[-2]


class _SlowStreams(BaseRequestHandler):
    """Hands on to a server, and its answers back: those in a session's stream as if from far away."""

    server: "_Relay"

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as upstream:
            asked = self.request.recv(65_536)
            upstream.sendall(asked)
            pause = 0.1 if b"/queue/data" in asked.partition(b"\r\n")[0] else 0
            threading.Thread(target=self._back, args=(upstream, pause), daemon=True).start()
            with suppress(OSError):
                while asked := self.request.recv(65_536):
                    upstream.sendall(asked)
                upstream.shutdown(socket.SHUT_RDWR)

    def _back(self, upstream: socket.socket, pause: float) -> None:
        with suppress(OSError):
            while said := upstream.recv(65_536):
                time.sleep(pause)
                self.request.sendall(said)
            self.request.shutdown(socket.SHUT_WR)


class _Relay(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    target: tuple[str, int]


@pytest.fixture
def far_away(server: Server) -> Iterator[str]:
    """The address of the page for those to whom its streams take a tenth of a second."""
    with _Relay(("127.0.0.1", 0), _SlowStreams) as relay:
        relay.target = ("127.0.0.1", int(server.address.rsplit(":", 1)[1]))
        threading.Thread(target=relay.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{relay.server_address[1]}"
        relay.shutdown()


def test_a_client_with_many_threads_loses_no_call(far_away: str, model_folder: Path) -> None:
    pictures = sorted((model_folder / "examples").glob("*.jpg"))
    assert run_one_client(far_away, pictures, threads=6, calls=48) == {"answer": 48}
