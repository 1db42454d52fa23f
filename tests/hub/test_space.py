"""The Space as the Hub would run it: its own files, an empty environment with its own requirements."""

import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from tests.conftest import serve
from tests.hub.conftest import ask, push
from tests.minihub.fixture import RunningHub
from train.publishing.space import cut_requirements


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
    # No MODEL_ID in the environment: the Space brings its own.
    environment = {**hub.environment(home=tmp_path / "home"), "MODEL_ID": ""}
    with serve("", python=python, folder=tmp_path, **environment) as address:
        answer = Client(address, verbose=False).predict(
            handle_file(model_folder / "examples" / "kathakali.jpg"), api_name="/predict"
        )
    assert len(answer["confidences"]) == 8
    assert sum(entry["confidence"] for entry in answer["confidences"]) == pytest.approx(1)


def test_requirements_are_cut_to_what_is_imported(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("import os, PIL.Image\nfrom huggingface_hub.utils import httpx\n")
    text = "# pinned\npillow==12.3.0   # pictures\nhuggingface-hub==2.4.0\ntyper==0.29.2\ntimm==1\ntorchvision==2\n"
    assert cut_requirements(text, [module]) == "pillow==12.3.0\nhuggingface-hub==2.4.0\ntimm==1\ntorchvision==2\n"
