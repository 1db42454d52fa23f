"""Runs that are killed, stopped and resumed, as real processes, end in the bits of the uninterrupted one."""

import json
import multiprocessing
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT, wait_for
from tests.train.conftest import load_flat
from train.__main__ import main
from train.checkpoint import load
from train.run_folder import RunFolder

KILLS = 20
# Long enough for all kills. Dropout, because its chance must be the same again.
WORDS = ["epochs=40", "drop_rate=0.2", "num_workers=0"]


def _words(dataset: Path, run: Path, *more: str) -> list[str]:
    return ["fit", "recipes/debug.yaml", f"dataset={dataset}", f"output_dir={run}", *more]


def _start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "train", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _checkpoints(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").glob("stage*.pt"))


def _assert_same_end(run: Path, straight: Path) -> None:
    for file, read in (
        ("model/model.safetensors", load_file),
        ("checkpoints/best.pt", load),
        (f"checkpoints/{_checkpoints(straight)[-1]}", load_flat),
    ):
        one, other = read(run / file), read(straight / file)
        assert one.keys() == other.keys()
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items()), file
    lines = [
        [{**json.loads(line), "seconds": 0} for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (run, straight)
    ]
    assert lines[0] == lines[1]


@pytest.fixture(scope="module")
def straight(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by WORDS that nothing interrupts."""
    run = tmp_path_factory.mktemp("straight") / "run"
    process = _start(*_words(dataset_folder, run, *WORDS))
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return run


def test_killed_at_twenty_random_moments(dataset_folder: Path, straight: Path, tmp_path: Path) -> None:
    # The processes are forked from one that has imported torch; what is killed is `main`, the whole command line.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.fit", "transformers"])
    chance, run = random.Random(8), tmp_path / "run"
    # After nearly every step, so that some kills hit a checkpoint that is being written.
    often = "checkpoint_minutes=0.0003"
    words = _words(dataset_folder, run, *WORDS, often, "resume_from_checkpoint=true")
    found = []
    for number in range(KILLS):
        process = context.Process(target=main, args=(words,))
        process.start()
        if number % 2:
            # While it finds its way back, or in the midst of its first steps.
            time.sleep(chance.uniform(0.05, 1.5))
        else:
            before = _checkpoints(run)
            wait_for(lambda before=before: _checkpoints(run) != before, 60)
            time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        found.append(_checkpoints(run)[-1:])
    assert len({name for names in found for name in names}) > KILLS // 4, found
    process = _start(*words)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    _assert_same_end(run, straight)
    assert list(run.rglob("*.damaged")) == []


def _stop(process: subprocess.Popen[str], number: int, run: Path, first: str) -> str:
    """Sends a signal once a run has a checkpoint; returns the command that it then prints."""
    wait_for(lambda: first in _checkpoints(run), 120)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    assert "stopping at the next step; Ctrl-C again stops at once" in err
    assert err.count("stopped; what was done is kept. Continue with:\n  python -m train fit ") == 1
    return err.strip().splitlines()[-1].strip()


def test_a_signal_saves_and_says_how_to_go_on(dataset_folder: Path, straight: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # No checkpoint within an epoch but the one that the signal asks for.
    words = _words(dataset_folder, run, *WORDS, "checkpoint_minutes=60")
    command = _stop(_start(*words), signal.SIGTERM, run, "stage2-epoch001.pt")
    again = shlex.split(command)[3:]
    assert again == [*words, "resume_from_checkpoint=true"]
    command = _stop(_start(*again), signal.SIGINT, run, "stage2-epoch009.pt")
    assert shlex.split(command)[3:] == again
    process = _start(*again)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert len(re.findall(r"^ +[12] +\d+ ", out, re.MULTILINE)) == 41
    _assert_same_end(run, straight)


def test_a_signal_before_the_first_step_leaves_nothing(dataset_folder: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nimport train.fit\n"
        "sys.modules['train.fit'].fit = lambda recipe: os.kill(os.getpid(), signal.SIGTERM)\n"
        "from train.__main__ import main\nmain(sys.argv[1:])"
    )
    words = _words(dataset_folder, tmp_path / "run")
    answer = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 143
    assert answer.stderr.endswith(f"{shlex.join(['python', '-m', 'train', *words, 'resume_from_checkpoint=true'])}\n")
    assert not (tmp_path / "run").exists()


WAIT = """
import time
from accelerate import Accelerator
from train.stopping import stop_requests
with stop_requests(Accelerator(cpu=True)) as stop:
    print("on", flush=True)
    while not stop.number:
        time.sleep(0.01)
    print(stop.number, flush=True)
    time.sleep(600)
"""


def test_the_second_ctrl_c_stops_at_once() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == f"{signal.SIGINT:d}\n"
    # The system's patience is not ours to end: only a person's second Ctrl-C is.
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT


def test_a_second_process_is_refused(refused: Callable[..., str], dataset_folder: Path, tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run").locked():
        message = refused("train", *_words(dataset_folder, tmp_path / "run", "resume_from_checkpoint=true"))
    assert f"another process is at work in {tmp_path / 'run'}: wait until it ends" in message
