import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from train.checkpoint import DamagedError
from train.run_folder import RunFolder, RunFolderError

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
