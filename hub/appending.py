"""Files that grow by whole lines, each on disk before anybody is told so."""

import errno
import os
from pathlib import Path


def append_durably(path: Path, end: int, added: bytes) -> None:
    """Adds bytes after a file's first `end` bytes; what came behind these is cut off.

    When it returns, they are on disk, also after a loss of power.

    Args:
        path: The file; it is made where there is none.
        end: Bytes that stay.
        added: What follows them.

    Raises:
        OSError: It could not be written; then the file has its first `end` bytes.
    """
    is_new = not path.exists()
    with path.open("ab", buffering=0) as file:
        file.truncate(end)
        try:
            written = file.write(added)
            os.fsync(file.fileno())
            if written != len(added):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(end)
            raise
    if is_new:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Puts on disk which files a folder has: else a new one might be gone after a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
