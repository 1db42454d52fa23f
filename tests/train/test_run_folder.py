import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from tests.conftest import ROOT
from train.checkpoint import DamagedError, EarlierVersionError
from train.hardware import Hardware
from train.run_folder import RunFolder, RunFolderError, system_facts

HOLD = """
import sys, time
from pathlib import Path
from train.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_has_one_run_at_a_time_and_a_killed_one_is_none(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, run.path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunFolderError, match=r"another process is at work in .*: wait until it ends"), run.locked():
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with run.locked():
        run.check({"streaming": False}, resume=False)


def test_a_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.locked():
        pass
    assert list(tmp_path.iterdir()) == []
    with run.locked():
        run.start({"streaming": False}, {})
    assert {path.name for path in run.path.iterdir()} == {"recipe.yaml", "data.json", "checkpoints"}


def test_a_run_that_was_killed_while_it_began_can_go_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / ".run.lock").touch()
    (tmp_path / ".recipe.yaml.draft").touch()
    run.check({"streaming": False}, resume=True)


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="exists and is no run"), RunFolder(tmp_path / "file").locked():
        pass


def test_best_weights_that_are_damaged_are_not_taken(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    weights = {"a": torch.ones(3), "b": torch.tensor(7)}
    run.save_best(weights)
    assert all(torch.equal(run.load_best()[name], tensor) for name, tensor in weights.items())
    content = bytearray(run.best.read_bytes())
    content[-1] ^= 1
    run.best.write_bytes(content)
    with pytest.raises(DamagedError, match=r"best.pt is damaged \(its checksum is wrong\)"):
        run.load_best()


def test_a_run_that_goes_on_keeps_what_was_chosen_and_tells_of_another_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, accelerator = RunFolder(tmp_path), Accelerator(cpu=True)
    assert run.hardware() is None
    chosen = Hardware("bf16", True, {"no, contiguous": 0.3, "bf16, channels_last": 0.2})
    facts = system_facts(accelerator, chosen)
    run.add_system({**facts, "started": "earlier"})
    run.add_system(facts)
    assert caplog.text == ""
    run.add_system({**facts, "device": "NVIDIA T4", "mixed_precision": "no"})
    assert f"this run began with device={facts['device']} and continues with device=NVIDIA T4" in caplog.text
    assert run.hardware() == chosen


RECIPE = {"streaming": False, "max_lr": 1e-3, "target_accuracy": 0.95, "cache_images": True, "seed": 8}


def test_what_changes_no_step_may_change_in_a_finished_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.start(RECIPE, {})
    (run.checkpoints / "stage2-epoch001.pt").touch()
    run.check({**RECIPE, "target_accuracy": 0.8, "cache_images": False}, resume=True)
    with pytest.raises(RunFolderError, match=r"another recipe \(seed: 8 there, 9 now\): choose another output_dir$"):
        run.check({**RECIPE, "seed": 9}, resume=True)
    with pytest.raises(RunFolderError, match=r"resume_from_checkpoint=true, or choose another output_dir$"):
        run.check(RECIPE, resume=False)


def test_other_labels_or_pictures_need_another_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.start(RECIPE, {"label_names": ["a", "b"], "train": "1234"})
    with pytest.raises(RunFolderError, match=r"on other labels \(a, b there, a, c now\): choose another output_dir$"):
        run.check_data({"label_names": ["a", "c"], "train": "1234"})
    with pytest.raises(RunFolderError, match=r"the dataset has changed since; choose another output_dir$"):
        run.check_data({"label_names": ["a", "b"], "train": "5678"})


def test_a_run_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.start(RECIPE, {})
    (run.checkpoints / "stage1-epoch001.safetensors").touch()
    with pytest.raises(EarlierVersionError, match="written by an earlier version"):
        run.check({**RECIPE, "seed": 9}, resume=True)
