"""`accelerate launch` with two processes on this machine's CPUs."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from tests.conftest import ROOT, wait_for
from train.evaluate import Evaluation, evaluate
from train.fit import fit
from train.predict import predict
from train.recipe import Recipe, load_settings
from train.trainer import Checkpoint

# With --cpu, accelerate starts more than one process through MPI alone; like this it does so with or without GPUs.
LAUNCH = [
    "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no",
    "--dynamo_backend=no", "--main_process_port=0",
]  # fmt: skip
DEBUG = "recipes/debug.yaml"
# Of an epoch's eight batches, steps have three, three and two.
WORDS = [
    "batch_size=6", "gradient_accumulation_steps=3", "ema_decay=0.9", "class_balance=weights", "max_grad_norm=1",
]  # fmt: skip


def _launch(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *LAUNCH, "-m", "train", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _assert_no_traceback(err: str) -> None:
    """The launcher shows one of its own, of how it found its processes ended; theirs come with their rank."""
    assert "[rank" not in err
    assert err.count("Traceback") <= 1


@pytest.fixture(scope="module")
def two(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of two processes, both stages, and what it printed. Eight pictures are validated in batches of six."""
    run = tmp_path_factory.mktemp("two") / "run"
    process = _launch("fit", DEBUG, f"dataset={dataset_folder}", f"output_dir={run}", *WORDS)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return run, out


def test_two_processes_do_what_one_does(dataset_folder: Path, two: tuple[Path, str], tmp_path: Path) -> None:
    words = [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'one'}", *WORDS]
    fit(load_settings(Recipe, ROOT / DEBUG, words))
    texts = [(folder / "metrics.jsonl").read_text() for folder in (tmp_path / "one", two[0])]
    one, other = ([json.loads(line) for line in text.splitlines()] for text in texts)
    assert len(one) == len(other) == 3
    for first, second in zip(one, other, strict=True):
        for key in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            assert second[key] == pytest.approx(first[key], abs=1e-3), key
    ends = [Checkpoint.newest(folder / "checkpoints") for folder in (tmp_path / "one", two[0])]
    assert ends[0].history.rates == ends[1].history.rates
    assert ends[0].history.losses == pytest.approx(ends[1].history.losses, abs=1e-3)


def test_one_of_them_prints(two: tuple[Path, str]) -> None:
    lines = two[1].splitlines()
    assert sum("on cpu:0 x 2 in float32: 48 pictures" in line for line in lines) == 1
    assert sum(line.startswith("stage epoch") for line in lines) == 1
    assert sum("ready for timm, transformers and app.py (checked)" in line for line in lines) == 1


def test_two_processes_judge_every_picture_once(
    dataset_folder: Path, photos: Path, two: tuple[Path, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(two[0] / "model", tmp_path / "model")
    words = [f"dataset={dataset_folder}", "split=train", "num_workers=0", "batch_size=14", f"others={photos}"]
    process = _launch("evaluate", folder, *words)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.count("train accuracy") == 1
    judged = pq.read_table(folder / "predictions.parquet").to_pydict()
    metrics = json.loads((folder / "metrics.json").read_text())["train"]
    settings = Evaluation(dataset=str(dataset_folder), split="train", num_workers=0, others=str(photos))
    expected = evaluate(str(folder), settings)
    alone = pq.read_table(folder / "predictions.parquet").to_pydict()
    assert len(set(judged["sha256"])) == 48
    assert judged["sha256"] == alone["sha256"]
    assert judged["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    assert metrics["others"]["pictures"] == 64
    for key in ("accuracy", "nll", "brier", "ece"):
        assert metrics[key] == pytest.approx(expected[key], abs=1e-5), key
    for score, row in metrics["others"]["scores"].items():
        assert row["auroc"] == pytest.approx(expected["others"]["scores"][score]["auroc"], abs=2e-3), score


def test_what_can_not_be_judged_ends_two_processes_in_one_line(
    dataset_folder: Path, two: tuple[Path, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(two[0] / "model", tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    save_file({**state, "fc.bias": state["fc.bias"] * float("nan")}, folder / "model.safetensors")
    process = _launch("evaluate", folder, f"dataset={dataset_folder}", "num_workers=0", "batch_size=8")
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert err.count("no numbers (NaN or infinite) for 8 of 8 pictures") == 1
    _assert_no_traceback(err)


def test_what_one_process_meets_ends_all_in_one_line(dataset_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for split, rows in datasets.load_dataset(str(dataset_folder)).items():
        raw = rows.cast_column("image", datasets.Image(decode=False)).to_list()
        if split == "validation":
            # Its batch is the second process's.
            raw[5]["image"]["bytes"] = b"no picture"
        datasets.Dataset.from_list(raw, features=rows.features).to_parquet(folder / f"{split}.parquet")
    began = time.monotonic()
    process = _launch("fit", DEBUG, f"dataset={folder}", f"output_dir={tmp_path / 'run'}", "batch_size=8")
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert time.monotonic() - began < 100
    assert err.count("error: the picture of row 5 of validation, sha256 ") == 1
    _assert_no_traceback(err)
    # Before anything is loaded by the others, too.
    process = _launch("fit", DEBUG, "dataset=/no/where", f"output_dir={tmp_path / 'none'}")
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert err.count("error: /no/where is neither a folder nor a Hub id") == 1
    _assert_no_traceback(err)
    assert not (tmp_path / "none").exists()


def test_a_launcher_that_is_stopped_or_loses_a_process(dataset_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["fit", DEBUG, f"dataset={dataset_folder}", f"output_dir={run}", "epochs=400", "freeze_epochs=0"]
    process = _launch(*words)
    wait_for((run / "checkpoints" / "stage2-epoch001.pt").exists, 120)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert (
        len(re.findall("Continue with:\n  accelerate launch ... -m train fit .* resume_from_checkpoint=true\n", err))
        == 1
    )
    _assert_no_traceback(err)
    before = Checkpoint.newest(run / "checkpoints")
    assert before is not None

    process = _launch(*words, "resume_from_checkpoint=true")
    newest = len(before.history.records) + 2
    wait_for((run / "checkpoints" / f"stage2-epoch{newest:03d}.pt").exists, 120)
    workers = [child for child in psutil.Process(process.pid).children() if "LOCAL_RANK" in child.environ()]
    [second] = [worker for worker in workers if worker.environ()["LOCAL_RANK"] == "1"]
    second.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    _assert_no_traceback(err)
    assert "SIGKILL" in err
    after = Checkpoint.newest(run / "checkpoints")
    assert after is not None
    assert after.history.records[: len(before.history.records)] == before.history.records


def test_a_batch_that_can_not_be_shared(dataset_folder: Path, tmp_path: Path) -> None:
    process = _launch("fit", DEBUG, f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", "batch_size=7")
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "batch_size=7 can't be shared evenly by 2 processes: choose a multiple of 2" in err


def test_a_launcher_that_starts_one_process_in_place_of_two_is_told_of(dataset_folder: Path, tmp_path: Path) -> None:
    launch = ["accelerate.commands.launch", "--cpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no"]
    words = ["fit", DEBUG, f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", "epochs=0"]
    answer = subprocess.run(
        [sys.executable, "-m", *launch, "-m", "train", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("this run has one process only: accelerate launch --cpu starts more through MPI") == 1


def test_two_processes_predict_every_picture_once(model_folder: Path, photos: Path, tmp_path: Path) -> None:
    few = shutil.copytree(photos / "kathak", tmp_path / "few")
    (few / "broken.jpg").write_bytes(b"no picture")
    process = _launch("predict", model_folder, few, "--out", tmp_path / "a.parquet", "batch_size=4", "num_workers=0")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.count("8 of 9 pictures answered") == 1
    assert err.count("broken.jpg: not an image") == 1
    expected = predict(model_folder, few, num_workers=0)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), expected, check_dtype=False, atol=1e-5)
