"""What lies in a folder of photographs: files by class, and what can't be taken."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataset_card.errors import UserError
from dataset_card.reading.rejected import Rejected

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


class PhotosFolderError(UserError):
    """The photographs' folder is missing or has no classes in it."""


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
