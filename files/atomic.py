"""Files and folders of results that are whole whenever they can be seen, also after a loss of power.

A result is written under a hidden name beside its place, put on disk, and renamed. Writers keep each other off by a
lock beside the result, so that it also holds between hosts and jobs that share a disk.
"""

import ctypes
import errno
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from files.errors import UserError, explain

logger = logging.getLogger(__name__)


class OutputFolderError(UserError):
    """The output folder can't be written, or holds something that this project did not make."""


class BusyError(UserError):
    """Another process is writing the same thing."""


@contextmanager
def atomic_folder(out: Path, is_previous: Callable[[Path], bool]) -> Iterator[Path]:
    """Yields an empty folder that replaces `out`, by rename, when the block succeeds.

    When the block fails, `out` is left as it was. When the process is killed, `out` is the old or the new folder;
    where the system can't exchange two folders in one step, it may be missing, and the next call brings the old one
    back. When the last rename is refused or interrupted, the old folder is put back and the new one is kept under its
    hidden name, which the error names.

    Args:
        out: Where the result appears. A previous result is replaced; a link stays one, and its target is replaced.
        is_previous: Tells whether a folder is a previous result and holds nothing else.

    Raises:
        OutputFolderError: `out` holds something else, or can't be written.
        BusyError: `out` is being written by another process.
    """
    out = out.resolve()
    if out == Path.cwd():
        raise OutputFolderError(f"{out} is the folder you are in: choose another")
    draft, previous, trash = (_hidden(out, kind) for kind in ("draft", "previous", "trash"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFolderError(_refusal(out, error)) from None
    with only_writer(out):
        try:
            if previous.exists() and not out.exists():
                previous.rename(out)
            if out.is_mount():
                raise OutputFolderError(f"{out} is a mount point and can't be replaced: choose a folder below it")
            if out.exists() and not _is_empty_folder(out) and not (out.is_dir() and is_previous(out)):
                raise OutputFolderError(
                    f"{out} exists and holds more than this command makes: choose another or remove it"
                )
            for left in (draft, previous, trash):
                if left.exists():
                    shutil.rmtree(left)
            draft.mkdir()
        except OSError as error:
            raise OutputFolderError(_refusal(out, error)) from None
        try:
            with _naming(out):
                yield draft
                _fsync_tree(draft)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        _replace_folder(draft, out, previous, trash)


def _replace_folder(draft: Path, out: Path, previous: Path, trash: Path) -> None:
    new, old = draft.stat().st_ino, previous
    try:
        if out.exists() and _exchange(draft, out):
            old = draft
        else:
            if out.exists():
                out.rename(previous)
            draft.rename(out)
        fsync_folder(out.parent)
    except BaseException as error:
        # An interrupt may come before, between or after the two.
        with suppress(OSError):
            if previous.exists() and not out.exists():
                previous.rename(out)
        if out.exists() and out.stat().st_ino == new:
            raise
        advice = (
            f"what was there is kept{f' in {previous}' if previous.exists() else ''}, and the new folder is complete "
            f"in {draft}: rename it yourself, or run the same command again"
        )
        if isinstance(error, OSError):
            raise OutputFolderError(f"{out} can't be replaced ({error.strerror}); {advice}") from None
        logger.warning("%s was not replaced; %s", out, advice)
        raise
    if old.exists():
        # Under a name that is never brought back: what a killed process has deleted half of is no result. What can't
        # be deleted now is by the next call.
        with suppress(OSError):
            old.rename(trash)
            shutil.rmtree(trash)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step (renameat2(2), RENAME_EXCHANGE); False where this system or disk can't."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    at_cwd, exchange = -100, 2
    return renameat2 is not None and renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields the path of a draft, to be written in the block, that replaces `path` when the block succeeds.

    The draft lies beside `path` and has a name of its own; what is written is on disk before it is renamed. Two
    processes that may write the same file at once hold `only_writer` around it.

    Raises:
        OSError: It could not be written; then `path` is what it was.
    """
    path = path.resolve()
    draft = _hidden(path, "draft")
    try:
        with _naming(path):
            yield draft
            _fsync_file(draft)
            draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def atomic_write_text(path: Path, text: str) -> None:
    """Writes a file in UTF-8 by `atomic_write`."""
    with atomic_write(path) as draft:
        draft.write_text(text, encoding="utf-8")


def append_durably(path: Path, end: int, added: bytes) -> None:
    """Writes bytes after a file's first `end` bytes, in place of what came after these.

    When it returns, they are on disk, also after a loss of power.

    Args:
        path: The file; it is created where there is none.
        end: Bytes that stay.
        added: What follows them.

    Raises:
        OSError: It could not be written; then the file has its first `end` bytes.
    """
    is_new = not path.exists()
    with path.open("ab", buffering=0) as file, _naming(path):
        file.truncate(end)
        try:
            written = file.write(added)
            os.fsync(file.fileno())
            if written != len(added):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(end)
            raise
    if is_new:
        fsync_folder(path.parent)


@contextmanager
def only_writer(path: Path, timeout: float = 0) -> Iterator[None]:
    """Holds the lock of `path`, a file `.NAME.lock` beside it; the lock of a process that died blocks nobody.

    Args:
        path: What is written; it need not exist, but its folder must.
        timeout: Seconds to wait for another writer; -1 waits for ever.

    Raises:
        BusyError: Another writer holds it.
        OutputFolderError: The lock can't be made: a folder that may not be written, or a file system without locks.
    """
    # Never a lock by the mere existence of a file: a killed process would leave it behind.
    lock = FileLock(_hidden(path, "lock"), timeout=timeout, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"{path} is being written by another process: wait for it, or choose another") from None
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise OutputFolderError(
                f"{path} lies on a file system without locks ({error.strerror}): choose a folder on another"
            ) from None
        raise OutputFolderError(_refusal(path, error)) from None
    try:
        yield
    finally:
        # While it is held: who waits for it sees that the file has no name any more, and makes another. Windows can't
        # remove an open file; there `release` does it.
        if sys.platform != "win32":
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def is_leftover(path: Path) -> bool:
    """Tells whether a file or folder is a draft or a lock that a killed process has left."""
    return path.name.startswith(".") and path.suffix in (".draft", ".lock", ".previous", ".trash")


def fsync_folder(folder: Path) -> None:
    """Puts on disk which files a folder has, without which a new one might be gone after a loss of power.

    Windows can't open folders and needs no such thing.
    """
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems can't; PostgreSQL passes over the same.
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(handle)


def _fsync_file(path: Path) -> None:
    # Windows flushes only what may be written to.
    with path.open("r+b" if sys.platform == "win32" else "rb") as file:
        os.fsync(file.fileno())


def _fsync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for path in (Path(root, name) for name in names):
            if not path.is_symlink():
                _fsync_file(path)
        fsync_folder(Path(root))


def _hidden(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name.removeprefix('.')}.{kind}")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Names what was written in the error of a full disk, in which the system names nothing."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
            error.filename = str(path)
        raise


def _refusal(path: Path, error: OSError) -> str:
    return explain(error) or f"{path} can't be written ({error.strerror or error}): choose another"
