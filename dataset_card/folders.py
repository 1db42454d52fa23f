"""The two folders of a build: the photographs that go in, the dataset that comes out."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset_card.errors import UserError

_SIDECARS = {"thumbs.db", "desktop.ini"}


class PhotosFolderError(UserError):
    """The photographs' folder is missing or has no classes in it."""


class OutputFolderError(UserError):
    """The output folder holds something that this project did not make."""


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


def _is_photo(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.name.lower() not in _SIDECARS


@contextmanager
def appearing_folder(out: Path, mark: str) -> Iterator[Path]:
    """Gives an empty folder that takes the place of `out`, by rename, when the block ends well.

    Args:
        out: Where the result appears. An earlier result, which holds a file named `mark`, is replaced.
        mark: A file that every result holds.

    Raises:
        OutputFolderError: `out` holds something else.
    """
    check_output(out, mark)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
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


def check_output(out: Path, mark: str) -> None:
    """Refuses an output folder that holds anything but an earlier result.

    Raises:
        OutputFolderError: `out` is a file, or a folder with other things in it.
    """
    if out.exists() and not (out / mark).exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputFolderError(f"{out} exists and was not made by this command: choose another or remove it")
