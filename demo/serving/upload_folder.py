"""Where visitors' files lie: in a folder of this process alone, emptied while it serves and gone when it ends."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)
"""What ends the process."""
MAX_AGE = 3600
"""Seconds that a file stays: as long as a page may be left open and asked about its picture again."""
MAX_BYTES = 2 * 2**30
"""Of all files together; where the disk has less than twice as much room, half of that."""
MAX_FILES = 5_000
"""However small they are."""
_EVERY = 60
# After so many bytes it is looked at once more, lest visitors fill the disk between two looks.
_SOON = 256 * 2**20
_AT_ONCE = 16


class UploadFolder:
    """The folder that Gradio keeps uploads in.

    Attributes:
        path: The folder; nothing else may be put into it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.max_bytes = min(MAX_BYTES, shutil.disk_usage(path).free // 2)
        self._kept: set[Path] = set()
        self._named: list[set[str]] = []
        self._arrived = 0
        self._look = threading.Event()

    def keep_what_is_there(self, named: list[set[str]]) -> None:
        """Keeps the files that lie in the folder now, the examples', and begins to delete later ones in time.

        Args:
            named: Sets in which Gradio lists files; what is deleted leaves them.
        """
        self._kept, self._named = {file for file, *_ in self._files()}, named
        threading.Thread(target=self._sweep_for_ever, name="uploads", daemon=True).start()

    def holds(self, path: str) -> bool:
        """Tells whether a path leads to a file in this folder, whatever `..` and links it goes through."""
        try:
            file = Path(path).resolve()
            return file.is_relative_to(self.path) and file.is_file()
        except (OSError, ValueError, RuntimeError):
            # A name that no file can have: too long, a zero byte, links in a circle.
            return False

    def add(self, content: bytes) -> str:
        """Puts a file into the folder; returns where it lies."""
        file = Path(tempfile.mkdtemp(dir=self.path), "picture")
        file.write_bytes(content)
        return str(file)

    def arrived(self, count: int) -> None:
        """Counts bytes that visitors have sent."""
        self._arrived += count
        if self._arrived > _SOON:
            self._arrived = 0
            self._look.set()

    def sweep(self, max_age: float = MAX_AGE) -> None:
        """Deletes what is older than `max_age` seconds, the oldest of what is too much in all, and empty folders."""
        now = time.time()
        files = sorted(self._files(), key=lambda found: found[1])
        total = sum(size for _, _, size in files)
        gone: set[str] = set()
        for file, changed, size in files:
            too_much = total > self.max_bytes or len(files) - len(gone) > MAX_FILES
            if file in self._kept or not (too_much or now - changed > max_age):
                continue
            file.unlink(missing_ok=True)
            total -= size
            gone.add(str(file))
        for names in self._named:
            names -= gone
        for folder, _, _ in os.walk(self.path, topdown=False):
            # One made just now is about to be filled.
            if folder != str(self.path) and now - Path(folder).stat().st_mtime > _EVERY:
                with suppress(OSError):
                    Path(folder).rmdir()

    def _sweep_for_ever(self) -> None:
        while True:
            self._look.wait(_EVERY)
            self._look.clear()
            self.sweep()

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        for folder, _, names in os.walk(self.path):
            for name in names:
                file = Path(folder, name)
                try:
                    status = file.lstat()
                except FileNotFoundError:
                    continue
                yield file, status.st_ctime, status.st_size


@contextmanager
def upload_folder() -> Iterator[UploadFolder]:
    """Makes the folder and removes it in the end, together with whatever else this process keeps for a while.

    Gradio, which learns of it by the environment, must not be imported yet. Until somebody else cares for SIGTERM and
    Ctrl-C, they end the process at once.
    """
    root = Path(tempfile.mkdtemp(prefix="nritya-")).resolve()

    def end(number: int, _: FrameType | None) -> None:
        _remove(root)
        os._exit(128 + number)

    for number in STOPPING:
        signal.signal(number, end)
    tempfile.tempdir = str(root)
    path = root / "uploads"
    path.mkdir()
    os.environ["GRADIO_TEMP_DIR"] = str(path)
    try:
        yield UploadFolder(path)
    finally:
        _remove(root)


def _remove(root: Path) -> None:
    # There may be thousands of folders and only a second left; many disks do many things at once.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for folder in (*root.glob("uploads/*"), *root.iterdir()):
            pool.submit(shutil.rmtree, folder, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
