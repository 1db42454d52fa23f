"""The page as a process of its own whose log and temporary files can be looked at."""

import base64
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, wait_for


@dataclass(frozen=True)
class Server:
    """A page that is served.

    Attributes:
        address: Of the page.
        process: `python app.py`.
        folder: Its temporary files.
        log: All that it has said.
    """

    address: str
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    @property
    def uploads(self) -> Path:
        """Where visitors' files lie."""
        (folder,) = self.folder.glob("nritya-*/uploads")
        return folder

    def said(self) -> str:
        return self.log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit code, which must come within five seconds."""
        self.process.send_signal(number)
        return self.process.wait(5)

    def upload(self, content: bytes, name: str = "dancer.jpg") -> str:
        """Uploads a file and returns its path on the server."""
        answer = httpx.post(f"{self.address}/gradio_api/upload", files={"files": (name, content)})
        assert answer.status_code == 200, answer.text
        return answer.json()[0]

    def answers(self, session: str) -> str:
        """Reads the answers of a session until its stream closes, and drops the connection as Gradio's clients do."""
        said = ""
        asked = {"session_hash": session}
        with httpx.stream("GET", f"{self.address}/gradio_api/queue/data", params=asked, timeout=30) as stream:
            for line in stream.iter_lines():
                said += f"{line}\n"
                if '"msg":"close_stream"' in line:
                    break
        return said

    def predict(self, path: str) -> tuple[str, str]:
        """Calls /predict as the documentation's curl does; returns the last event and its data.

        Args:
            path: Of an upload, or a data: URL.
        """
        called = httpx.post(f"{self.address}/gradio_api/call/predict", json={"data": [file_at(path)]})
        assert called.status_code == 200, called.text
        told = httpx.get(f"{self.address}/gradio_api/call/predict/{called.json()['event_id']}", timeout=30)
        event, _, data = told.text.rpartition("event: ")[2].partition("\ndata: ")
        return event, data.strip()


def file_at(path: str) -> dict[str, object]:
    """A file as Gradio's clients name it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def told(answer: httpx.Response) -> str:
    """The sentence in an answer that refuses something, which Gradio's clients must find, too."""
    detail = answer.json()["detail"]
    if answer.status_code != 422:
        assert isinstance(detail, str), detail
        return detail
    (fault,) = detail
    assert (fault["__type__"], fault["is_valid"]) == ("validate", False)
    assert fault["parameter_name"]
    return fault["message"]


def data_url(content: bytes, kind: str = "image/png") -> str:
    """A file as a data: URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@contextmanager
def started(folder: Path, port: int, wait: bool = True, **environment: str) -> Iterator[Server]:
    """Starts `python app.py` with its temporary files below `folder`, and kills it if it is still there at the end."""
    log = folder / "log"
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    address = f"http://127.0.0.1:{port}"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary), "GRADIO_SERVER_PORT": str(port), **environment},
            stdout=said,
            stderr=said,
        )
    try:
        if wait:
            wait_for(lambda: _is_up(address) or process.poll() is not None, 60)
            assert process.poll() is None, log.read_text()
        yield Server(address, process, temporary, log)
    finally:
        process.kill()
        process.wait()


def _is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens at."""
    return _free_port()


@pytest.fixture(scope="module")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A page that serves `model_folder`."""
    folder = tmp_path_factory.mktemp("server")
    environment = {"MODEL_ID": str(model_folder), "FEEDBACK_DIR": str(folder / "feedback")}
    with started(folder, _free_port(), **environment) as server:
        yield server
