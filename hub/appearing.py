"""A folder of results appears whole, by rename, or not at all."""

import getpass
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class OutputFolderError(ValueError):
    """The output folder can't be written, or holds something that this project did not make."""


@contextmanager
def appearing_folder(out: Path, is_earlier: Callable[[Path], bool]) -> Iterator[Path]:
    """Gives an empty folder that takes the place of `out`, by rename, when the block ends well.

    Whenever the process is killed, `out` is what it was or, in the instant between two renames, not there; the next
    call brings the earlier result back and clears away what was left.

    Args:
        out: Where the result appears. An earlier result is replaced.
        is_earlier: Tells whether a folder is an earlier result and holds nothing else.

    Raises:
        OutputFolderError: `out` holds something else, can't be written, or is being written by another process.
    """
    # A link stays one: what it leads to is replaced.
    out = out.resolve()
    if out == Path.cwd():
        raise OutputFolderError(f"{out} is the folder you are in: choose another")
    draft = out.with_name(f".{out.name}-unfinished")
    former = out.with_name(f".{out.name}-former")
    with _only_writer(out):
        if former.exists() and not out.exists():
            former.rename(out)
        if out.exists() and not _is_empty_folder(out) and not (out.is_dir() and is_earlier(out)):
            raise OutputFolderError(
                f"{out} exists and holds more than this command makes: choose another or remove it"
            )
        try:
            for left in (draft, former):
                if left.exists():
                    shutil.rmtree(left)
            draft.mkdir(parents=True)
        except OSError as error:
            raise OutputFolderError(f"{out} can't be written ({error.strerror}): choose another") from None
        try:
            yield draft
            if out.exists():
                out.rename(former)
            draft.rename(out)
        finally:
            for left in (draft, former):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _only_writer(out: Path) -> Iterator[None]:
    """Holds a lock that vanishes with the process, away from `out`, beside which nothing is to be left."""
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"nritya-locks-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / name, blocking=False):
            yield
    except Timeout:
        raise OutputFolderError(f"{out} is being written by another process: wait for it, or choose another") from None


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
