"""How the page starts: with nothing that takes time and is not needed."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT
from tests.demo.conftest import started

pytest.importorskip("matplotlib.pyplot", reason="Gradio asks for it only where it is installed")


def test_until_its_first_answer_it_imports_nothing_heavy_but_gradio(
    model_folder: Path, tmp_path: Path, free_port: int
) -> None:
    picture = next((model_folder / "examples").glob("*.jpg"))
    with started(tmp_path, free_port, MODEL_ID=str(model_folder), PYTHONPROFILEIMPORTTIME="1") as server:
        assert server.predict(server.upload(picture.read_bytes()))[0] == "complete"
        imported = set(re.findall(r"\| +([\w.]+)$", server.said(), re.MULTILINE))
    assert {"gradio", "onnxruntime", "demo.page"} <= imported
    assert not {"matplotlib.pyplot", "torch", "timm", "transformers", "onnx", "datasets"} & imported


def test_what_the_start_has_made_is_never_looked_through_for_garbage(model_folder: Path, free_port: int) -> None:
    code = f"""
import gc, os, signal, threading, time, urllib.request
os.environ |= {{"MODEL_ID": {str(model_folder)!r}, "GRADIO_SERVER_PORT": "{free_port}"}}
import app

def look():
    while True:
        try:
            urllib.request.urlopen("http://127.0.0.1:{free_port}/health")
            break
        except OSError:
            time.sleep(0.1)
    while not gc.isenabled():
        time.sleep(0.1)
    print("frozen:", gc.get_freeze_count())
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=look, daemon=True).start()
app.main()
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    frozen = re.search(r"frozen: (\d+)", ran.stdout)
    assert frozen, ran.stderr
    assert int(frozen[1]) > 50_000


def test_memory_of_decoded_pictures_is_used_again() -> None:
    code = "import app; from PIL import Image; print(Image.core.get_blocks_max())"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "2\n"


def test_a_notebooks_backend_and_a_locale_without_letters(model_folder: Path, tmp_path: Path, free_port: int) -> None:
    picture = next((model_folder / "examples").glob("*.jpg"))
    environment = {
        "MODEL_ID": str(model_folder),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "cp1252",
    }
    with started(tmp_path, free_port, **environment) as server:
        assert server.predict(server.upload(picture.read_bytes()))[0] == "complete"
        page = httpx.get(server.address, headers={"Accept-Language": "hi"})
        assert "तस्वीर" in page.text
        assert "Traceback" not in server.said()


def test_a_model_that_is_nowhere_is_one_line_in_any_locale(tmp_path: Path, free_port: int) -> None:
    environment = {"MODEL_ID": "नृत्य", "PYTHONIOENCODING": "ascii"}
    with started(tmp_path, free_port, wait=False, **environment) as server:
        assert server.process.wait(60) == 2
    (line,) = server.said().splitlines()
    assert line.startswith(r"error: MODEL_ID=\u0928")
