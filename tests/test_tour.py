"""The whole road, as a user walks it: every command in a process of its own, one of them interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch
from gradio_client import Client, handle_file
from safetensors.torch import load_file

from tests.conftest import ROOT, serve, wait_for


def _run(*words: object) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_from_drawings_to_an_answering_page(tmp_path: Path) -> None:
    photos, dances, run = tmp_path / "photos", tmp_path / "dances", tmp_path / "run"
    assert "32 drawings of 8 dances" in _run("dataset_card", "sample", photos, "--per-class", 4)
    assert "ready for load_dataset" in _run("dataset_card", "build", photos, "--out", dances)

    fit = ["train", "fit", "recipes/debug.yaml", f"dataset={dances}", f"output_dir={run}", "epochs=6", "batch_size=4"]
    process = subprocess.Popen(
        [sys.executable, "-m", *fit], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: (run / "checkpoints" / "stage2-epoch001.pt").exists() or process.poll() is not None, 60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    command = said.strip().splitlines()[-1].strip()
    assert command == f"python -m {' '.join(fit)} resume_from_checkpoint=true"
    assert not (run / "model").exists()

    assert "ready for timm, transformers and app.py (checked)" in _run(*command.split()[2:])
    straight = tmp_path / "straight"
    _run(*[word.replace(str(run), str(straight)) for word in fit])
    resumed, expected = (load_file(r / "model" / "model.safetensors") for r in (run, straight))
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert (run / "model" / "model.onnx").read_bytes() == (straight / "model" / "model.onnx").read_bytes()

    assert "test accuracy" in _run("train", "evaluate", run / "model", f"dataset={dances}")
    with serve(os.path.relpath(run / "model", ROOT)) as address:
        answer, *_ = Client(address, verbose=False).predict(
            handle_file(run / "model" / "examples" / "odissi.jpg"), api_name="/predict"
        )
    assert len(answer["confidences"]) == 8
