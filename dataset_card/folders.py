"""The two folders of a build: the photographs that go in, the dataset that comes out."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset_card.errors import UserError

_SIDECARS = {"thumbs.db", "desktop.ini", "provenance.jsonl", "removed.csv"}


class PhotosFolderError(UserError):
    """The photographs' folder is missing or has no classes in it."""


class OutputFolderError(UserError):
    """The output folder can't be written, or holds something that this project did not make."""


def list_photos(photos: Path) -> dict[str, list[Path]]:
    """Lists the files of every class folder in a fixed order, hidden files and sidecars left out.

    Raises:
        PhotosFolderError: No such folder, or fewer than two sub-folders.
    """
    if not photos.is_dir():
        raise PhotosFolderError(f"{photos} is not a folder: give one that has a sub-folder of pictures per dance")
    folders = sorted(path for path in photos.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise PhotosFolderError(
            f"{photos} has no sub-folders: put the pictures of each dance into a sub-folder named after it"
        )
    if len(folders) == 1:
        raise PhotosFolderError(
            f"{photos} has one sub-folder only ({folders[0].name}): a classifier needs two classes or more"
        )
    return {folder.name: sorted(filter(_is_photo, folder.rglob("*"))) for folder in folders}


def list_loose_files(photos: Path) -> list[Path]:
    """Lists the files that lie in no class folder and so have no label."""
    return sorted(filter(_is_photo, photos.iterdir()))


def _is_photo(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.name.lower() not in _SIDECARS


@contextmanager
def appearing_folder(out: Path, is_earlier: Callable[[Path], bool]) -> Iterator[Path]:
    """Gives an empty folder that takes the place of `out`, by rename, when the block ends well.

    Args:
        out: Where the result appears. An earlier result is replaced.
        is_earlier: Tells whether a folder is an earlier result and holds nothing else.

    Raises:
        OutputFolderError: `out` holds something else, or can't be written.
    """
    if out.resolve() == Path.cwd():
        raise OutputFolderError(f"{out} is the folder you are in: choose another")
    if out.exists() and not _is_empty_folder(out) and not (out.is_dir() and is_earlier(out)):
        raise OutputFolderError(f"{out} exists and holds more than this command makes: choose another or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise OutputFolderError(f"{out} can't be written ({error.strerror}): choose another") from None
    try:
        draft.chmod(0o755)
        yield draft
        former = draft.with_name(f"{draft.name}-former")
        if out.exists():
            out.rename(former)
        draft.rename(out)
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
