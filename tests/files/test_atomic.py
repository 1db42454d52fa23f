import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from files.atomic import BusyError, atomic_folder
from tests.conftest import ROOT, wait_for


def test_killed_between_two_renames_the_old_folder_comes_back(tmp_path: Path) -> None:
    former = tmp_path / ".out.previous"
    former.mkdir()
    (former / "mine").touch()
    (tmp_path / ".out.draft").mkdir()
    with atomic_folder(tmp_path / "out", lambda folder: (folder / "mine").exists()) as folder:
        assert (tmp_path / "out" / "mine").exists()
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]


def test_a_second_build_of_the_same_folder_is_refused(tmp_path: Path) -> None:
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with atomic_folder(tmp_path / "out", lambda _: True) as folder:
            (folder / "first").touch()
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(20)
    with (
        pytest.raises(BusyError, match=r"out is being written by another process: wait for it"),
        atomic_folder(tmp_path / "out", lambda _: True),
    ):
        pass
    leave.set()
    thread.join()
    assert (tmp_path / "out" / "first").exists()


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from files.atomic import atomic_folder
with atomic_folder(Path({str(tmp_path / "out")!r}), lambda _: True) as folder:
    (folder / "half").touch()
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    wait_for((tmp_path / ".out.draft" / "half").exists, 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with atomic_folder(tmp_path / "out", lambda _: True) as folder:
        assert not list(folder.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    for _ in range(2):
        with atomic_folder(tmp_path / "out", lambda _: True) as folder:
            (folder / "new").touch()
        assert (tmp_path / "out").is_symlink()
        assert [path.name for path in (tmp_path / "disk" / "real").iterdir()] == ["new"]
        assert sorted(path.name for path in tmp_path.glob("**/*")) == ["disk", "new", "out", "real"]
