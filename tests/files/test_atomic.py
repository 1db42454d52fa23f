import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from filelock import FileLock

from files import atomic
from files.atomic import (
    BusyError,
    OutputFolderError,
    append_durably,
    atomic_folder,
    atomic_write,
    atomic_write_text,
    fsync_folder,
    is_leftover,
    only_writer,
)
from tests.conftest import ROOT, wait_for

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")


def write(out: Path, version: str) -> None:
    """Writes a folder of two files that belong together."""
    with atomic_folder(out, lambda folder: (folder / "mine").exists()) as draft:
        for name in ("mine", "also"):
            (draft / name).write_text(version)


def version(folder: Path) -> str:
    (found,) = {(folder / name).read_text() for name in ("mine", "also")}
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_killed_between_two_renames_the_old_folder_comes_back(tmp_path: Path) -> None:
    previous = tmp_path / ".out.previous"
    previous.mkdir()
    (previous / "mine").touch()
    (tmp_path / ".out.draft").mkdir()
    with atomic_folder(tmp_path / "out", lambda folder: (folder / "mine").exists()) as folder:
        assert (tmp_path / "out" / "mine").exists()
        (folder / "new").touch()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["new"]


@pytest.fixture
def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, Windows and some network disks, where two folders can't be exchanged in one step."""
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)


def _fail(before: bool) -> None:
    if before:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _interrupt_before(before: bool) -> None:
    if before:
        signal.raise_signal(signal.SIGINT)


def _interrupt_after(before: bool) -> None:
    if not before:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("fault", [_fail, _interrupt_before, _interrupt_after])
@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.usefixtures("without_exchange")
def test_a_rename_that_fails_loses_neither_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    at: int,
    fault: Callable[[bool], None],
) -> None:
    out = tmp_path / "out"
    write(out, "old")
    rename, calls = os.rename, iter(range(1, 100))

    def faulty(source: Path, target: Path) -> None:
        number = next(calls)
        if number == at:
            fault(True)
        rename(source, target)
        if number == at:
            fault(False)

    monkeypatch.setattr(os, "rename", faulty)
    message = ""
    try:
        write(out, "new")
    except (OutputFolderError, KeyboardInterrupt) as error:
        message = f"{error} {caplog.text}"
    # The third one only clears up.
    assert bool(message) == (at < 3 or fault is not _fail)
    if version(out) == "old":
        assert version(tmp_path / ".out.draft") == "new"
        assert (
            f"what was there is kept, and the new folder is complete in {tmp_path / '.out.draft'}: rename" in message
        )
    else:
        assert version(out) == "new"
        assert at == 3 or (at == 2 and fault is _interrupt_after)
    monkeypatch.setattr(os, "rename", rename)
    write(out, "newer")
    assert version(out) == "newer"
    assert names(tmp_path) == ["out"]


@pytest.mark.usefixtures("without_exchange")
def test_a_folder_that_can_not_be_put_back_is_named_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", os.rename
    write(out, "old")

    def refused(source: Path, target: Path) -> None:
        if target == out:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        rename(source, target)

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(OutputFolderError, match=r"what was there is kept in .*\.out\.previous, and the new folder is"):
        write(out, "new")
    assert version(tmp_path / ".out.draft") == "new"
    monkeypatch.undo()
    with pytest.raises(ZeroDivisionError, match="division"), atomic_folder(out, lambda _: True):
        _ = 1 / 0
    assert version(out) == "old"
    assert names(tmp_path) == ["out"]


def _write_traced(out: Path, *injections: str) -> int:
    """Writes a folder in a process some of whose system calls fail; returns its exit code."""
    code = f"from pathlib import Path; from tests.files.test_atomic import write; write(Path({str(out)!r}), 'new')"
    command = ["strace", "-f", "-o", "/dev/null", "-e", "trace=rename,renameat2"]
    command += [word for injection in injections for word in ("-e", f"inject={injection}")]
    answer = subprocess.run([*command, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if "PTRACE" in answer.stderr or "ptrace" in answer.stderr:
        pytest.skip("processes may not be traced here")
    return answer.returncode


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes the system refuse a rename")
@pytest.mark.parametrize(
    ("fault", "left"),
    [("error=EACCES", "old"), ("error=EXDEV", "old"), ("signal=INT", "new"), ("signal=KILL", "new")],
)
def test_a_rename_that_the_system_refuses(tmp_path: Path, fault: str, left: str) -> None:
    out = tmp_path / "out"
    write(out, "old")
    assert _write_traced(out, "renameat2:error=EINVAL", f"rename:{fault}:when=2") != 0
    found = out if out.exists() else tmp_path / ".out.previous"
    assert version(found) in ("old", left)
    write(out, "newer")
    assert version(out) == "newer"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace ends a process within a system call")
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("call", ["renameat2", "rename"])
def test_killed_at_any_rename_a_folder_is_in_place(tmp_path: Path, call: str, number: int) -> None:
    out = tmp_path / "out"
    write(out, "old")
    # No call comes twice.
    assert _write_traced(out, f"{call}:signal=KILL:when={number}") == (-signal.SIGKILL if number == 1 else 0)
    assert version(out) in ("old", "new")
    write(out, "newer")
    assert version(out) == "newer"
    assert names(tmp_path) == ["out"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    for error in (KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")):
        with suppress(KeyboardInterrupt, OSError), atomic_folder(tmp_path / "out", lambda _: True) as draft:
            (draft / "mine").write_text("half")
            raise error
        assert version(tmp_path / "out") == "old"
        assert names(tmp_path) == ["out"]


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").touch()
    with pytest.raises(OutputFolderError, match="holds more than this command makes: choose another or remove it"):
        write(tmp_path / "out", "new")
    (tmp_path / "file").touch()
    with pytest.raises(OutputFolderError, match="holds more than this command makes"):
        write(tmp_path / "file", "new")
    with pytest.raises(OutputFolderError, match=r"file is a file, and not a folder: choose another path"):
        write(tmp_path / "file" / "out", "new")
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(OutputFolderError, match="is the folder you are in: choose another"):
        write(Path(), "new")
    assert names(tmp_path) == ["file", "out"]


def test_a_name_that_leaves_no_room_for_a_lock(tmp_path: Path) -> None:
    with pytest.raises(OutputFolderError, match=r"the name \.aaaaaaaa.* of 256 bytes is too long") as caught:
        write(tmp_path / ("a" * 250), "new")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@AS_ROOT
def test_a_disk_that_is_read_only_and_one_that_can_not_be_replaced(disk: Path) -> None:
    with pytest.raises(OutputFolderError, match="disk is a mount point and can't be replaced: choose a folder below"):
        write(disk, "new")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(OutputFolderError, match=rf"can't be written, {disk} is read-only: choose another folder"):
        write(disk / "out", "new")


@AS_ROOT
def test_a_full_disk_names_itself(disk: Path) -> None:
    with pytest.raises(OSError, match=rf"No space left on device: '{disk}/out'"):  # noqa: SIM117
        with atomic_folder(disk / "out", lambda _: True) as draft:
            (draft / "mine").write_bytes(bytes(2_000_000))
    (disk / "file").write_text("old")
    with (
        pytest.raises(OSError, match=rf"No space left on device: '{disk}/file'"),
        atomic_write(disk / "file") as file,
    ):
        file.write_bytes(bytes(2_000_000))
    with pytest.raises(OSError, match=rf"No space left on device: '{disk}/file'"):
        append_durably(disk / "file", 3, bytes(2_000_000))
    assert (disk / "file").read_text() == "old"
    assert names(disk) == ["file"]


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


def test_the_lock_goes_with_a_killed_process_and_is_the_same_for_every_job(open_folder: Path) -> None:
    code = f"""
import os, time
from pathlib import Path
from files.atomic import atomic_folder
if os.geteuid() == 0:
    os.setuid(54321)
with atomic_folder(Path({str(open_folder / "out")!r}), lambda _: True) as folder:
    (folder / "half").touch()
    time.sleep(60)
"""
    # A temporary folder of its own and, as in a container, a user without a name or a home.
    environment = {"TMPDIR": str(open_folder / "job")}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    wait_for((open_folder / ".out.draft" / "half").exists, 30)
    with pytest.raises(BusyError, match="is being written by another process"):
        write(open_folder / "out", "new")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with atomic_folder(open_folder / "out", lambda _: True) as folder:
        assert not list(folder.iterdir())
    assert names(open_folder) == ["out"]


def test_a_lock_is_never_taken_from_its_holder(tmp_path: Path) -> None:
    """Each thread counts up a number in a file; a lock that two can hold at once loses some."""
    (tmp_path / "count").write_text("0")

    def count_up() -> None:
        for _ in range(100):
            with only_writer(tmp_path / "count", timeout=-1):
                number = int((tmp_path / "count").read_text())
                (tmp_path / "count").write_text(str(number + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "count").read_text() == "400"
    assert names(tmp_path) == ["count"]


def test_a_released_lock_is_not_removed_under_the_next_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, following = FileLock.release, ExitStack()

    def release_and_let_another_in(lock: FileLock) -> None:
        monkeypatch.undo()
        release(lock)
        following.enter_context(only_writer(tmp_path / "out"))

    monkeypatch.setattr(FileLock, "release", release_and_let_another_in)
    with only_writer(tmp_path / "out"):
        pass
    with following, pytest.raises(BusyError, match="is being written"), only_writer(tmp_path / "out"):
        pass


def test_a_file_system_without_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(OutputFolderError, match=r"lies on a file system without locks \(No locks available\): choose"),
        only_writer(tmp_path / "out"),
    ):
        pass


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "real")
    (tmp_path / "file").symlink_to(tmp_path / "disk" / "text")
    for text in ("old", "new"):
        with atomic_folder(tmp_path / "out", lambda _: True) as folder:
            (folder / "new").touch()
        atomic_write_text(tmp_path / "file", text)
        assert (tmp_path / "out").is_symlink()
        assert (tmp_path / "file").is_symlink()
        assert names(tmp_path / "disk" / "real") == ["new"]
        assert (tmp_path / "disk" / "text").read_text() == text
        assert sorted(path.name for path in tmp_path.glob("**/*")) == ["disk", "file", "new", "out", "real", "text"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, PermissionError(errno.EACCES, "Permission denied")])
def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "file"
    atomic_write_text(path, "old")

    def refuse(*_: object) -> None:
        raise error

    with suppress(ZeroDivisionError), atomic_write(path) as draft:
        draft.write_text("half")
        _ = 1 / 0
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises((KeyboardInterrupt, PermissionError), match=r"denied|^$"):
        atomic_write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_on_windows_folders_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(os, "open", lambda path, *_, **__: opened.append(path))
    monkeypatch.setattr(atomic.sys, "platform", "win32")
    fsync_folder(tmp_path)
    assert opened == []


def test_what_a_killed_process_leaves_is_known(tmp_path: Path) -> None:
    assert all(is_leftover(tmp_path / name) for name in (".out.draft", ".out.lock", ".out.previous", ".out.trash"))
    assert not any(is_leftover(tmp_path / name) for name in ("out.draft", "out", ".out", "poetry.lock"))
