import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.serving.waiting import Status, WaitingPage, megabytes_below
from tests.conftest import ROOT


@pytest.fixture
def waiting() -> Iterator[WaitingPage]:
    page = WaitingPage("127.0.0.1", 0)
    with page.answering():
        yield page


def _get(waiting: WaitingPage, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{waiting.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_people_get_a_page_and_programs_a_status(waiting: WaitingPage) -> None:
    waiting.progress = lambda: "12 MB have arrived."
    status, page = _get(waiting, "/")
    assert status == 200
    assert '<main class="loading">' in page
    assert "The model is being fetched." in page
    assert "12 MB have arrived." in page
    status, told = _get(waiting, "/health")
    assert status == 503
    assert json.loads(told) == {
        "status": "loading", "said": "The model is being fetched.", "detail": "12 MB have arrived.",
    }  # fmt: skip
    assert _get(waiting, "/gradio_api/call/predict", "POST")[0] == 503
    assert _get(waiting, "/favicon.ico")[1].startswith("<svg")
    assert _get(waiting, "/", "HEAD") == (200, "")


def test_what_is_wrong_is_said_as_text(waiting: WaitingPage) -> None:
    waiting.status = Status("wrong", "<script>alert(1)</script>", "Set $MODEL_ID & go.")
    _, page = _get(waiting, "/")
    assert '<main class="wrong">' in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Set $MODEL_ID &amp; go." in page


def test_the_port_is_free_at_once_for_the_next_page() -> None:
    first = WaitingPage("127.0.0.1", 0)
    with first.answering():
        _get(first, "/")
    second = WaitingPage("127.0.0.1", first.port)
    with second.answering():
        assert _get(second, "/")[0] == 200


def test_megabytes_are_counted(tmp_path: Path) -> None:
    assert megabytes_below(tmp_path / "nothing") == ""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "a.incomplete").write_bytes(bytes(2_400_000))
    (tmp_path / "link").symlink_to(tmp_path / "blobs" / "a.incomplete")
    assert megabytes_below(tmp_path) == "2 MB have arrived."


def test_nothing_heavy_comes_before_it() -> None:
    heavy = {"gradio", "numpy", "PIL", "torch", "transformers", "onnxruntime", "huggingface_hub", "httpx", "fastapi"}
    code = f"import app, sys; print(*({heavy!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ""
