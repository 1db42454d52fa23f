"""The two folders of a build: the photographs that go in, the dataset that comes out."""

import getpass
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dataset_card.errors import UserError
from dataset_card.rejected import Rejected

# Left by Windows, macOS, Synology and ourselves.
_NO_PHOTOS = {
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "@eadir",
    "provenance.jsonl",
    "removed.csv",
}
# Beside photographs: ratings and edits by Lightroom, Apple and RawTherapee, descriptions by Google.
_SIDECARS = {".xmp", ".aae", ".pp3", ".json"}
_DATASET_FOLDER = {"README.md", "data", "figures", "rejected.csv"}
_SOMETIMES = {"LICENSE.md", "classes.json", "removed.csv"}


class PhotosFolderError(UserError):
    """The photographs' folder is missing or has no classes in it."""


class OutputFolderError(UserError):
    """The output folder can't be written, or holds something that this project did not make."""


@dataclass(frozen=True)
class Listing:
    """What lies in a folder of photographs.

    Attributes:
        files: The files of every class folder, in a fixed order.
        refused: What can't be taken: files in no class folder, links that lead outside or to where one is already.
    """

    files: dict[str, list[Path]]
    refused: list[Rejected]


def list_photos(photos: Path) -> Listing:
    """Lists what lies in every class folder: files, pipes and broken links, too, for somebody to refuse.

    Hidden files, sidecars and what other programs leave behind are passed over.

    Raises:
        PhotosFolderError: No such folder, or fewer than two sub-folders.
    """
    if not photos.is_dir():
        raise PhotosFolderError(f"{photos} is not a folder: give one that has a sub-folder of pictures per dance")
    entries = sorted(filter(_matters, photos.iterdir()))
    folders = [path for path in entries if path.is_dir()]
    if not folders:
        raise PhotosFolderError(
            f"{photos} has no sub-folders: put the pictures of each dance into a sub-folder named after it"
        )
    if len(folders) == 1:
        raise PhotosFolderError(
            f"{photos} has one sub-folder only ({folders[0].name}): a classifier needs two classes or more"
        )
    files: dict[str, list[Path]] = {folder.name: [] for folder in folders}
    refused = [Rejected(path, "", "in no class folder", "") for path in entries if path not in folders]
    for folder in folders:
        for path, reason in _walk(folder, photos.resolve()):
            if reason:
                refused.append(Rejected(path, folder.name, reason, ""))
            else:
                files[folder.name].append(path)
        files[folder.name].sort()
    return Listing(files, refused)


def _walk(folder: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """Gives everything below a folder that is no folder, and why it is refused, if it is.

    A link is followed once and only within `root`, so that nothing private comes in and circles end.
    """
    listed = {root}
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            is_link, is_folder = path.is_symlink(), path.is_dir()
            inside = sorted(filter(_matters, path.iterdir()), reverse=True) if is_folder else []
        except OSError:
            yield path, "cannot be read"
            continue
        # Not Path.resolve, which raises where a link leads to itself.
        real = Path(os.path.realpath(path)) if is_link or is_folder else path
        if is_link and not real.is_relative_to(root):
            yield path, "link that leads outside"
        elif is_link and real in listed:
            yield path, "link to a folder listed already"
        elif is_folder:
            listed.add(real)
            waiting += inside
        else:
            yield path, ""


def _matters(path: Path) -> bool:
    name = path.name.lower()
    return not name.startswith(".") and name not in _NO_PHOTOS and path.suffix.lower() not in _SIDECARS


def check_apart(photos: Path, out: Path) -> None:
    """Refuses an output folder that holds the photographs or lies among them.

    Raises:
        OutputFolderError: One of the two folders contains the other.
    """
    inside, outside = photos.resolve(), out.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise OutputFolderError(f"{out} and {photos} lie one inside the other: choose an --out apart from them")


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
    if out.resolve() == Path.cwd():
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


def is_dataset_folder(folder: Path) -> bool:
    """Tells whether a folder holds what `build` makes and nothing else."""
    names = {path.name for path in folder.iterdir()}
    return names >= _DATASET_FOLDER and names <= _DATASET_FOLDER | _SOMETIMES


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
