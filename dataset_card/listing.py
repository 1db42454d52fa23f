"""What lies in a folder of photographs: files by class, and what can't be used."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dataset_card.dances import dance_of, name_classes
from files.errors import UserError

COLUMNS = ["file", "label", "given", "reason", "detail"]
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What folders of splits are called, in any letter case, and the split that each means."""

# Left by Windows, macOS, Synology and this project.
_IGNORED = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "provenance.jsonl", "removed.csv",
}  # fmt: skip
# Beside photographs: ratings and edits by Lightroom, Apple and RawTherapee, descriptions by Google.
_SIDECARS = {".xmp", ".aae", ".pp3", ".json"}


@dataclass(frozen=True)
class Listing:
    """What lies in a folder of photographs.

    Attributes:
        files: A row per file, class by class in a fixed order: `file` (path below the folder, with forward slashes),
            `label`, `given` (the split, where folders give it, else empty), `reason` and `detail` (why the file can't
            be used; empty where it may be).
        label_names: The classes, sorted.
        notes: What people should know about the folder, a line each.
    """

    files: pd.DataFrame
    label_names: list[str]
    notes: list[str] = field(default_factory=list)


def list_photos(photos: Path, by_split: bool = False) -> Listing:
    """Lists what lies in every class folder: files, pipes and broken links, too, for the scan to refuse.

    Hidden files, sidecars and what other programs leave behind are ignored.

    Args:
        photos: A folder with a sub-folder per class.
        by_split: The sub-folders are splits instead, each with a sub-folder per class.

    Raises:
        UserError: No such folder, fewer than two classes, or sub-folders that do not fit `by_split`.
    """
    entries, folders = _entries(photos)
    splits = _splits(photos, folders) if by_split else {photos: ""}
    rows = [(path, "", "", "in no class folder") for path in entries if by_split and path not in folders]
    names: set[str] = set()
    notes: list[str] = []
    for root, split in splits.items():
        entries, folders = _entries(root)
        _check_classes(root, folders)
        if not by_split:
            notes += _check_layout(photos, folders)
        names.update(folder.name for folder in folders)
        rows += [(path, "", "", "in no class folder") for path in entries if path not in folders]
        for folder in folders:
            rows += sorted((path, folder.name, split, reason) for path, reason in _walk(folder, root.resolve()))
    label_of, more = name_classes(sorted(names))
    if len(set(label_of.values())) == 1:
        raise UserError(
            f"{photos}: all sub-folders are {next(iter(label_of.values()))}: a classifier needs two classes"
        )
    return _listing(photos, rows, label_of, notes + more)


def list_labelled(photos: Path, labels: Mapping[str, str]) -> Listing:
    """Lists a folder whose pictures are labelled by their content, wherever in it they lie.

    Args:
        photos: The folder; what of it has no label is left out.
        labels: The name of the class by sha256 of a file.

    Raises:
        UserError: No such folder, or fewer than two of the classes have a picture in it.
    """
    if not photos.is_dir():
        raise UserError(f"{photos} is not a folder: give the one that holds the pictures, in sub-folders or not")
    rows, found = [], set()
    for path, reason in sorted(_walk(photos, photos.resolve())):
        sha256 = "" if reason else _sha256(path)
        name = labels.get(sha256, "")
        rows.append((path, name, "", reason or ("" if name else "without a label")))
        found.update({sha256} & labels.keys())
    names = sorted({labels[sha256] for sha256 in found})
    label_of, notes = name_classes(names)
    if len(set(label_of.values())) < 2:
        raise UserError(
            f"{photos} has pictures of {_few(names) or 'none'} of the {len(set(labels.values()))} labelled classes: a"
            " classifier needs two. A picture that was saved anew is another file: give the folder that the labelled"
            " ones were taken from"
        )
    if missing := len(labels) - len(found):
        notes.append(f"{missing} of {len(labels)} labelled pictures are not in {photos}")
    return _listing(photos, rows, label_of, notes)


def _sha256(path: Path) -> str:
    """Returns the SHA-256 of a file; empty for what is none, or can't be read."""
    try:
        # A pipe would never end.
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except OSError:
        return ""


def _listing(
    photos: Path, rows: list[tuple[Path, str, str, str]], label_of: Mapping[str, str], notes: list[str]
) -> Listing:
    files = [
        (p.relative_to(photos).as_posix(), label_of.get(name, ""), split, why, "") for p, name, split, why in rows
    ]
    # Objects: a file name need not be valid UTF-8, which pandas' strings are.
    table = pd.DataFrame(files, columns=COLUMNS, dtype=object)
    return Listing(table, sorted(set(label_of.values())), notes)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns everything that matters in a folder, and which of it are folders."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give one that has a sub-folder of pictures per class")
    entries = sorted(filter(_matters, folder.iterdir()))
    return entries, [path for path in entries if path.is_dir()]


def _splits(photos: Path, folders: list[Path]) -> dict[Path, str]:
    allowed = f"{', '.join(SPLIT_FOLDERS)} (train is needed), each with a sub-folder per class"
    if other := [folder.name for folder in folders if folder.name.lower() not in SPLIT_FOLDERS]:
        raise UserError(
            f"{photos} has the sub-folder {other[0]}, which is no split: with --splits folders they are called "
            f"{allowed}"
        )
    split_of = {folder: SPLIT_FOLDERS[folder.name.lower()] for folder in folders}
    if twins := [folder.name for folder in folders if list(split_of.values()).count(split_of[folder]) > 1]:
        raise UserError(f"{photos}: {' and '.join(twins)} mean the same split: join them")
    if "train" not in split_of.values():
        raise UserError(f"{photos} has no sub-folder train: with --splits folders they are called {allowed}")
    return split_of


def _check_classes(root: Path, folders: list[Path]) -> None:
    if not folders:
        raise UserError(f"{root} has no sub-folders: put the pictures of each class into a sub-folder named after it")
    if len(folders) == 1:
        inside = [path.name for path in _entries(folders[0])[1]]
        if len(inside) > 1:
            raise UserError(
                f"{root} has one sub-folder only ({folders[0].name}), which holds {_few(inside)}: "
                f"give {folders[0]} instead"
            )
        raise UserError(f"{root} has one sub-folder only ({folders[0].name}): a classifier needs two classes or more")


def _check_layout(photos: Path, folders: list[Path]) -> list[str]:
    """Refuses splits that would be taken for classes; returns a note on sub-folders that only look like it."""
    splits = [folder for folder in folders if folder.name.lower() in SPLIT_FOLDERS]
    inside = {folder: [path.name for path in _entries(folder)[1]] for folder in folders}
    names = _few([folder.name for folder in splits])
    counts = Counter(name for of in inside.values() for name in of)
    shared = [name for name, count in counts.items() if count > 1]
    sharing = [folder.name for folder in folders if not set(shared).isdisjoint(inside[folder])]
    if len(splits) == len(folders):
        if any(inside.values()):
            raise UserError(
                f"{photos} has the sub-folders {names}, which are splits, not classes: add --splits folders"
            )
        raise UserError(
            f"{photos} has the sub-folders {names}, which are splits, not classes, and hold no sub-folders: "
            "put the pictures of each class into a sub-folder of its split, then add --splits folders"
        )
    if len(splits) > 1 and not set(sharing).isdisjoint(folder.name for folder in splits):
        others = _few([folder.name for folder in folders if folder not in splits])
        raise UserError(
            f"{photos} has splits ({names}, which hold {_few(shared)}) beside other sub-folders ({others}): "
            "move those elsewhere and add --splits folders, or put all class folders side by side"
        )
    if any(dance_of(name) for name in shared):
        raise UserError(
            f"{photos}: the sub-folders {_few(sharing)} all hold {_few(shared)}, so they are no classes: "
            "rename them to train, validation and test and add --splits folders, or join the class folders"
        )
    return [f"{_few(sharing)} hold sub-folders of the same names ({_few(shared)}): read as parts of these classes"] * (
        len(shared) > 0
    )


def _few(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _walk(folder: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """Yields everything below a folder that is no folder, and why it can't be used, if so.

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
    return not name.startswith(".") and name not in _IGNORED and path.suffix.lower() not in _SIDECARS
