"""What lies in a folder of photographs: files by class, and what can't be taken."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dataset_card.reading.rejected import Rejected
from files.errors import UserError

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
SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
"""What folders of splits are called, in any letter case, and the split that each means."""

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
        given: The split of every file, where folders say it.
    """

    files: dict[str, list[Path]]
    refused: list[Rejected]
    given: dict[Path, str] = field(default_factory=dict)


def list_photos(photos: Path) -> Listing:
    """Lists what lies in every class folder: files, pipes and broken links, too, for somebody to refuse.

    Hidden files, sidecars and what other programs leave behind are passed over.

    Raises:
        PhotosFolderError: No such folder, or fewer than two sub-folders.
    """
    entries, folders = _look_into(photos)
    if not folders:
        raise PhotosFolderError(
            f"{photos} has no sub-folders: put the pictures of each dance into a sub-folder named after it"
        )
    if len(folders) == 1:
        raise PhotosFolderError(
            f"{photos} has one sub-folder only ({folders[0].name}): a classifier needs two classes or more"
        )
    if all(folder.name.lower() in SPLIT_FOLDERS and any(map(Path.is_dir, folder.iterdir())) for folder in folders):
        raise PhotosFolderError(
            f"{photos} has the sub-folders {', '.join(folder.name for folder in folders)}, which are splits, not "
            "classes: add --splits folders"
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


def list_split_folders(photos: Path) -> Listing:
    """Lists photographs that lie in folders of splits, each with a sub-folder per class.

    Raises:
        PhotosFolderError: No such folder, one that is no split, no folder for train, two for validation, or a split
            with fewer than two classes.
    """
    entries, folders = _look_into(photos)
    allowed = "train, validation (or valid, val) and test"
    if strangers := [folder.name for folder in folders if folder.name.lower() not in SPLIT_FOLDERS]:
        raise PhotosFolderError(
            f"{photos} has the sub-folder {strangers[0]}, which is no split: with --splits folders they are "
            f"{allowed}, each with a sub-folder per dance"
        )
    split_of = {folder: SPLIT_FOLDERS[folder.name.lower()] for folder in folders}
    if twins := [folder.name for folder in folders if list(split_of.values()).count(split_of[folder]) > 1]:
        raise PhotosFolderError(f"{photos}: {' and '.join(twins)} mean the same split: join them")
    if "train" not in split_of.values():
        raise PhotosFolderError(f"{photos} has no sub-folder train: with --splits folders there are {allowed}")
    listing = Listing({}, [Rejected(path, "", "in no class folder", "") for path in entries if path not in folders])
    for folder, split in split_of.items():
        inside = list_photos(folder)
        listing.refused.extend(inside.refused)
        for label, paths in inside.files.items():
            listing.files.setdefault(label, []).extend(paths)
            listing.given.update(dict.fromkeys(paths, split))
    return listing


def _look_into(photos: Path) -> tuple[list[Path], list[Path]]:
    """Returns everything that matters in a folder, and which of it are folders."""
    if not photos.is_dir():
        raise PhotosFolderError(f"{photos} is not a folder: give one that has a sub-folder of pictures per dance")
    entries = sorted(filter(_matters, photos.iterdir()))
    return entries, [path for path in entries if path.is_dir()]


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
