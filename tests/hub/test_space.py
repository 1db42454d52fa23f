"""The Space as the Hub would run it: its own files, an empty environment with its own requirements."""

import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from tests.conftest import serve
from tests.hub.conftest import ask, push
from tests.minihub.fixture import RunningHub
from train.push import cut_requirements, space_files


def test_the_space_runs_in_an_environment_of_its_own(hub: RunningHub, model_folder: Path, tmp_path: Path) -> None:
    push(hub, "train", model_folder, "alice/in-space", "--space", "alice/space")
    fetch = f"snapshot_download('alice/space', repo_type='space', local_dir={str(tmp_path)!r})"
    ask(hub, f"from huggingface_hub import snapshot_download; {fetch}")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        tmp_path / "requirements.txt",
    ]
    subprocess.run(install, check=True)
    installed = {path.name for path in (tmp_path / "venv").glob("lib/*/site-packages/*")}
    assert {"gradio", "onnxruntime", "PIL"} <= installed
    assert not {"torch", "timm", "transformers", "onnx", "datasets"} & installed
    # No MODEL_ID in the environment: the Space brings its own.
    environment = {**hub.environment(home=tmp_path / "home"), "MODEL_ID": ""}
    with serve("", python=python, folder=tmp_path, **environment) as address:
        answer, verdict, _ = Client(address, verbose=False).predict(
            handle_file(model_folder / "examples" / "kathakali.jpg"), api_name="/predict"
        )
    assert len(answer["confidences"]) == 8
    assert verdict
    assert sum(entry["confidence"] for entry in answer["confidences"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("has_onnx", "torch"), [(True, ""), (False, "timm==1\ntorch==2\ntorchvision==2\ntransformers==5\n")]
)
def test_requirements_are_cut_to_what_is_imported(tmp_path: Path, has_onnx: bool, torch: str) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "import os, PIL.Image, gradio\ndef f():\n    import timm\nfrom huggingface_hub.utils import httpx\n"
    )
    text = (
        "# pinned\npillow==12.3.0   # pictures\nhuggingface-hub==2.4.0\ngradio[mcp]==6\ntyper==0.29.2\n"
        "timm==1\ntorch==2\ntorchvision==2\ntransformers==5\n"
    )
    expected = f"pillow==12.3.0\nhuggingface-hub==2.4.0\ngradio[mcp]==6\n{torch}"
    assert cut_requirements(text, [module], has_onnx) == expected


@pytest.mark.parametrize("has_onnx", [True, False])
def test_a_space_has_what_its_model_needs(has_onnx: bool) -> None:
    files = space_files("alice/model", {"id": None, "drawings": True}, has_onnx)
    assert {
        "app.py",
        "demo/page.py",
        "demo/models/through_onnx.py",
        "model_folder/onnx_session.py",
        "pictures/decoding.py",
    } <= set(files)
    assert ("demo/models/through_transformers.py" in files) is not has_onnx
    assert not any(name.endswith(".pyc") or name.startswith("demo/static_page/") for name in files)
    lines = bytes(files["requirements.txt"]).decode().split()
    names = {line.partition("==")[0] for line in lines}
    assert {"gradio[mcp]", "onnxruntime", "huggingface-hub", "pillow", "pillow-heif", "safetensors"} <= names
    heavy = {"torch", "torchvision", "timm", "transformers"}
    assert names & heavy == (set() if has_onnx else heavy)
    # Some are imported by the page without a server alone, which stays at home.
    assert not names & {"onnx", "onnxscript", "httpx2", "tqdm", "datasets", "accelerate", "matplotlib", "typer"}
    assert "sdk_version: 6.31.0\n" in bytes(files["README.md"]).decode()
