"""A disk that is really full: one clear line, nothing half-made, and the same command finishes once there is room."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_card.provenance import read_provenance
from tests.conftest import ROOT
from tests.openweb.commons import Commons, File
from tests.openweb.server import OpenWeb

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *map(str, words)], cwd=ROOT, capture_output=True, text=True)


def test_build(photos: Path, small_disk: Path) -> None:
    answer = _run("dataset_card", "build", photos, "--out", small_disk / "dances")
    assert answer.returncode == 2
    assert "no space left on " in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr
    # What was read of the photographs is kept.
    assert {path.name for path in small_disk.iterdir()} <= {".dances.scan.parquet"}


def test_fit_goes_on_when_there_is_room(dataset_folder: Path, run_folder: Path, small_disk: Path) -> None:
    words = ("train", "fit", "recipes/debug.yaml", f"dataset={dataset_folder}", f"output_dir={small_disk / 'run'}")
    answer = _run(*words)
    assert answer.returncode == 2, answer.stderr
    assert "No space left on device" in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr
    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
    answer = _run(*words, "resume_from_checkpoint=true")
    assert answer.returncode == 0, answer.stderr
    straight = (run_folder / "model" / "model.safetensors").read_bytes()
    assert (small_disk / "run" / "model" / "model.safetensors").read_bytes() == straight


def test_features_that_do_not_fit(dataset_folder: Path, small_disk: Path) -> None:
    run = small_disk / "run"
    words = [f"dataset={dataset_folder}", f"output_dir={run}", "feature_views=64", "epochs=0"]
    answer = _run("train", "fit", "recipes/debug.yaml", *words)
    assert answer.returncode == 2, answer.stderr
    last = answer.stderr.splitlines()[-1]
    assert "No space left on device: " in last
    assert last.endswith(
        f"MB of features can't be written to {run / 'features'}: make room there, or lower feature_views, in another "
        "output_dir"
    )
    assert "Traceback" not in answer.stderr
    assert list((run / "features").iterdir()) == []


def test_collect_goes_on_when_there_is_room(openweb: OpenWeb, small_disk: Path) -> None:
    files = [File(f"{number}.png", 1 + number, size=(800, 800), kind="PNG") for number in range(4)]
    assert sum(len(file.original()) for file in files) > 1_000_000
    Commons(files, {"Kathak": [file.name for file in files]}).put_on(openweb)
    words = ("dataset_card", "collect", small_disk / "photos", "--dance", "kathak")
    answer = _run(*words)
    assert answer.returncode == 2, answer.stderr
    assert "no space left on " in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr
    here = {path.name for path in small_disk.glob("photos/kathak/*")}
    assert {file.rpartition("/")[2] for file in read_provenance(small_disk / "photos")} == here
    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
    answer = _run(*words)
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in sorted(small_disk.glob("photos/kathak/*"))] == [
        f"commons-{number}.png" for number in (1, 2, 3, 4)
    ]
    assert sorted(path.name for path in (small_disk / "photos").iterdir()) == ["kathak", "provenance.jsonl"]


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before_it(
    dataset_folder: Path, run_folder: Path, small_disk: Path
) -> None:
    # Stage 1 keeps little; the optimizer's state of stage 2 is twice the model.
    subprocess.run(["mount", "-o", "remount,size=7m", small_disk], check=True)
    run = small_disk / "run"
    words = ("train", "fit", "recipes/debug.yaml", f"dataset={dataset_folder}", f"output_dir={run}")
    answer = _run(*words)
    assert answer.returncode == 2, answer.stderr
    last = answer.stderr.splitlines()[-1]
    assert last.startswith(
        f"error: No space left on device: stage2-epoch001 can't be written to {run / 'checkpoints'}"
    )
    assert "the checkpoint before it is whole: make room there, then continue with resume_from_checkpoint=true" in last
    assert "Traceback" not in answer.stderr
    left = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert left == ["best.pt", "stage1-epoch001.pt"]
    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
    answer = _run(*words, "resume_from_checkpoint=true")
    assert answer.returncode == 0, answer.stderr
    straight = (run_folder / "model" / "model.safetensors").read_bytes()
    assert (run / "model" / "model.safetensors").read_bytes() == straight
