"""The lines of code in README's "Three ways to run it", run as they stand there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from demo.models.model import load_model
from demo.reading.upload import read_upload
from demo.static_page.runtime import BINARY, runtime_files
from tests.browser.files_server import FilesServer
from tests.conftest import ROOT, wait_for


def _code(language: str) -> str:
    section = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("### Three ways to run it\n")[1].split("\n### ")[0]
    )
    (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return code


@pytest.fixture
def picture(model_folder: Path) -> Path:
    return model_folder / "examples" / "odissi.jpg"


@pytest.fixture
def expected(model_folder: Path, picture: Path) -> dict[str, float]:
    model = load_model(str(model_folder))
    return model.by_name(model.answer(read_upload(picture)).probs)


def test_the_lines_of_python(model_folder: Path, picture: Path, expected: dict[str, float], tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "runs" / "first" / "model")
    shutil.copy(picture, tmp_path / "dancer.jpg")
    answer = subprocess.run(
        [sys.executable, "-c", _code("python")], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout.replace("'", '"')) == pytest.approx(expected, abs=1e-6)


@pytest.mark.browser
def test_the_lines_of_javascript(
    browser: Browser,
    model_folder: Path,
    picture: Path,
    expected: dict[str, float],
    tmp_path: Path,
) -> None:
    runtime = runtime_files(None)
    (module,) = (name for name in runtime if name.endswith(".mjs"))
    for name, content in runtime.items():
        (tmp_path / name).write_bytes(content)
    # The package has it unpacked.
    subprocess.run(["gzip", "-d", tmp_path / BINARY], check=True)
    shutil.copy(model_folder / "model.onnx", tmp_path)
    shutil.copy(picture, tmp_path / "dancer.jpg")
    imports = json.dumps({"imports": {"onnxruntime-web": f"./{module}"}})
    head, _, rest = _code("js").partition("\n\n")
    file = 'const file = await (await fetch("dancer.jpg")).blob();'
    (tmp_path / "index.html").write_text(
        f'<!doctype html><script type="importmap">{imports}</script>'
        f'<script type="module">{head}\n{file}\n{rest}\nwindow.probs = Array.from(probs.data);</script>'
    )
    with FilesServer(tmp_path).running() as files:
        page = browser.new_page()
        page.goto(files.address)
        wait_for(lambda: page.evaluate("window.probs ?? null"), 30)
        assert page.evaluate("window.probs") == pytest.approx(list(expected.values()), abs=5e-3)
        page.close()
