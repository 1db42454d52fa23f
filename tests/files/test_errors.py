import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from files.errors import UserError, explain, first_line, message_of, mount_of, one_line_exit
from tests.conftest import ROOT


def failed(act: Callable[[], object]) -> OSError:
    with pytest.raises(OSError, match="Errno") as caught:
        act()
    return caught.value


def of(code: int, path: Path | None) -> OSError:
    return OSError(code, os.strerror(code), *([str(path)] if path else []))


def test_what_failed_is_named(tmp_path: Path) -> None:
    file, mount = tmp_path / "file", mount_of(tmp_path)
    file.touch()
    lines = {
        explain(of(errno.ENOSPC, file)): f"no space left on {mount} (writing {file}): free some",
        explain(of(errno.ENOSPC, None)): "no space left on the disk: free some",
        explain(of(errno.EDQUOT, file)): f"your quota on {mount} is used up (writing {file}): free some space, or ask "
        "for more",
        explain(of(errno.EACCES, file)): f"{file} may not be written: choose another folder or change its permissions",
        explain(of(errno.EPERM, file)): f"{file} may not be written: choose another folder or change its permissions",
        explain(of(errno.EROFS, file)): f"{file} can't be written, {mount} is read-only: choose another folder",
        explain(failed((file / "x").touch)): f"{file} is a file, and not a folder: choose another path",
        explain(failed((file / "x" / "y").mkdir)): f"{file} is a file, and not a folder: choose another path",
        explain(failed(lambda: tmp_path.write_bytes(b""))): f"{tmp_path} is a folder: name a file",
        explain(
            failed((tmp_path / "a" / "b").touch)
        ): f"{tmp_path / 'a' / 'b'} is not there, nor is its folder: check the path",
    }
    for found, expected in lines.items():
        assert found == expected
    assert "the name aaaaaaaaaaaaaaaaaaaa... of 256 bytes is too long" in str(
        explain(failed((tmp_path / ("a" * 256)).touch))
    )
    missing = tmp_path / "missing" / "file"
    assert (
        explain(failed(lambda: file.rename(missing))) == f"{missing} is not there, nor is its folder: check the path"
    )


def test_the_variable_that_says_where_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    said = f"{tmp_path / 'hub'} may not be written: choose another folder or change its permissions"
    assert explain(of(errno.EACCES, tmp_path / "hub")) == f"{said} (HF_HOME says where)"
    monkeypatch.delenv("HF_HOME")
    assert explain(of(errno.EACCES, tmp_path / "hub")) == said
    assert str(explain(of(errno.EACCES, Path("/.cache/huggingface/hub")))).endswith("(HF_HOME says where)")


@pytest.mark.parametrize(("mode", "said"), [(0o000, "written: choose another folder or"), (0o755, "read:")])
def test_what_a_user_may_not_touch(open_folder: Path, mode: int, said: str) -> None:
    folder = open_folder / "closed"
    folder.mkdir()
    (folder / "file").touch(0o000)
    folder.chmod(mode)
    code = f"""
import os
from files.errors import one_line_exit
if os.geteuid() == 0:
    os.setuid(54321)
with one_line_exit():
    open({str(folder / "file")!r}, "rb")
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.stderr == f"error: {folder / 'file'} may not be {said} change its permissions\n"


def test_no_place_for_temporary_files(tmp_path: Path) -> None:
    code = f"""
import os, tempfile
from files.errors import one_line_exit
tempfile._candidate_tempdir_list = lambda: [{str(tmp_path / "missing")!r}]
with one_line_exit():
    tempfile.mkdtemp()
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 2
    assert "No usable temporary directory found in" in answer.stderr
    assert answer.stderr.endswith(": set TMPDIR to a folder that may be written\n")


def test_a_fault_of_ours_is_none_of_the_users(tmp_path: Path) -> None:
    assert explain(of(errno.EACCES, None)) is None
    assert explain(failed((tmp_path / "missing").read_bytes)) is None
    assert explain(of(errno.ECONNRESET, None)) is None
    with pytest.raises(ConnectionResetError, match="reset"), one_line_exit():
        raise of(errno.ECONNRESET, None)


def test_a_mistake_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    class RoomError(UserError):
        pass

    for error, said in (
        (RoomError("tango is none of the classes: use kathak"), "tango is none of the classes: use kathak"),
        (
            of(errno.EACCES, tmp_path),
            f"{tmp_path} may not be written: choose another folder or change its permissions",
        ),
    ):
        with pytest.raises(SystemExit, match="2"), one_line_exit():
            raise error
        assert capsys.readouterr() == ("", f"error: {said}\n")


def test_what_a_loader_wraps_is_unwrapped() -> None:
    wrapped = (
        "Caught E in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  x\nE: why: so\n"
    )
    assert message_of(ValueError(wrapped)) == "why: so"
    assert message_of(ValueError("why: so")) == "why: so"
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_lacks_letters(encoding: str) -> None:
    code = """
from files.errors import UserError, one_line_exit
with one_line_exit():
    print("\\u0928\\u0943 \\u0101")
    raise UserError("\\u0928\\u0943 is none of the classes")
"""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True)
    assert answer.returncode == 2
    assert b"Traceback" not in answer.stderr
    assert answer.stdout.startswith(rb"\u0928\u0943")
    assert answer.stderr.startswith(rb"error: \u0928\u0943")


def test_a_stream_without_an_encoding_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stdout", said)
    with one_line_exit():
        print("नृत्य")
    assert said.getvalue() == "नृत्य\n"


@pytest.mark.parametrize("length", [250, 300])
def test_a_long_name_is_one_line(
    refused: Callable[..., str], photos: Path, dataset_folder: Path, tmp_path: Path, length: int
) -> None:
    long = tmp_path / ("a" * length)
    for words in (
        ("dataset_card", "sample", long),
        ("dataset_card", "build", photos, "--out", long),
        ("dataset_card", "check", tmp_path / ("a" * 300)),
        ("train", "fit", "recipes/debug.yaml", f"dataset={dataset_folder}", f"output_dir={tmp_path / ('a' * 300)}"),
        ("train", "evaluate", tmp_path / ("a" * 300), f"dataset={dataset_folder}"),
        ("train", "static", tmp_path, f"--out={long}"),
    ):
        message = refused(*words)
        assert "aaaaaaaaaaaaaaaaaaa... of " in message
        assert message.endswith(": choose a shorter one")
    assert list(tmp_path.iterdir()) == []
