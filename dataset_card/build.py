"""The story of `dataset_card build`: a folder of photographs becomes a dataset folder."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from dataset_card.card import write_card
from dataset_card.contact_sheet import write_contact_sheet
from dataset_card.duplicates import drop_exact_duplicates, near_duplicate_groups
from dataset_card.folders import OutputFolderError, PhotosFolderError, appearing_folder, list_photos
from dataset_card.images import Photo, inspect_photo
from dataset_card.provenance import Provenance, read_provenance
from dataset_card.rejected import FILE_NAME as MARK
from dataset_card.rejected import RefusedError, Rejected, write_rejected
from dataset_card.splits import SPLITS, assign_splits
from dataset_card.tables import Row, write_split

MAX_SIDE = 1024
"""Longest side, in pixels, of a published picture."""


@dataclass(frozen=True)
class BuildReport:
    """What `build` did: the class names, the rows of every split, and what was left out."""

    label_names: list[str]
    rows: dict[str, list[Row]]
    rejected: list[Rejected]


def build(photos: Path, out: Path, seed: int) -> BuildReport:
    """Builds the dataset folder `out` from `photos`, a folder with one sub-folder per class.

    The folder appears by rename once everything is written; an earlier dataset folder is replaced.

    Raises:
        UserError: `photos` can't make a dataset, or `out` holds something else.
    """
    check_apart(photos, out)
    listing = list_photos(photos)
    provenance = read_provenance(photos)
    label_names = list(listing.files)
    with appearing_folder(out, is_dataset_folder) as folder:
        readable, unreadable = inspect_all([(path, label) for label in label_names for path in listing.files[label]])
        kept, duplicates = drop_exact_duplicates(readable)
        rejected = unreadable + listing.refused + duplicates
        check_classes(photos, label_names, kept, rejected)

        groups = near_duplicate_groups(kept)
        splits = assign_splits([photo.label for photo in kept], groups, seed)
        rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
        for photo, group, split in zip(kept, groups, splits, strict=True):
            file = photo.path.relative_to(photos).as_posix()
            rows[split].append(Row(photo, group, provenance.get(file, Provenance(file))))
        for split in SPLITS:
            # By hash: an order that mixes the classes and does not depend on file names.
            rows[split].sort(key=lambda row: row.photo.sha256)

        for split in SPLITS:
            write_split(folder, split, rows[split], label_names, MAX_SIDE)
        write_rejected(folder, photos, rejected)
        write_contact_sheet(folder, rows["train"], label_names)
        write_card(folder, dataset_name(out), label_names, rows, rejected, seed)
    return BuildReport(label_names, rows, rejected)


def check_apart(photos: Path, out: Path) -> None:
    """Refuses an output folder that holds the photographs or lies among them.

    Raises:
        OutputFolderError: One of the two folders contains the other.
    """
    inside, outside = photos.resolve(), out.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise OutputFolderError(f"{out} and {photos} lie one inside the other: choose an --out apart from them")


def is_dataset_folder(folder: Path) -> bool:
    """Tells whether a folder holds what `build` makes and nothing else."""
    return {path.name for path in folder.iterdir()} == {"README.md", "data", "figures", MARK}


def inspect_all(files: list[tuple[Path, str]]) -> tuple[list[Photo], list[Rejected]]:
    """Looks at every file, several at once: those that can be used, and those that can't, with the reason."""

    def look(file: tuple[Path, str]) -> Photo | Rejected:
        path, label = file
        try:
            return inspect_photo(path, label, MAX_SIDE)
        except RefusedError as refusal:
            return Rejected(path, label, refusal.reason, refusal.detail)

    # Threads suffice: Pillow decodes, and hashlib digests, without holding the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(tqdm(pool.map(look, files), total=len(files), desc="Reading photographs", unit="file"))
    return [f for f in found if isinstance(f, Photo)], [f for f in found if isinstance(f, Rejected)]


def check_classes(photos: Path, label_names: list[str], kept: list[Photo], rejected: list[Rejected]) -> None:
    """Refuses to go on when a class folder gave no usable picture.

    Raises:
        PhotosFolderError: Names the folders, and one file with the reason it was refused.
    """
    if empty := sorted(set(label_names) - {photo.label for photo in kept}):
        why = next((f" ({r.path.name}: {r.reason})" for r in rejected if r.label in empty), "")
        raise PhotosFolderError(
            f"{photos}: no usable picture in {', '.join(empty)}{why}: add pictures or remove the sub-folder"
        )


def dataset_name(out: Path) -> str:
    """Returns what people call the dataset: its folder's name, in words."""
    return out.resolve().name.replace("-", " ").replace("_", " ").capitalize()


def summary(report: BuildReport) -> str:
    """Returns the table that `build` prints: pictures per class and split, then what was left out and why."""
    width = max(map(len, [*report.label_names, "class"]))
    lines = [f"{'class':{width}}" + "".join(f"{split:>12}" for split in report.rows)]
    for label in report.label_names:
        counts = [sum(row.photo.label == label for row in rows) for rows in report.rows.values()]
        lines.append(f"{label:{width}}" + "".join(f"{count:12}" for count in counts))
    lines.append(f"{'all':{width}}" + "".join(f"{len(rows):12}" for rows in report.rows.values()))
    reasons = Counter(r.reason for r in report.rejected)
    lines += [f"left out, {reason}: {count}" for reason, count in reasons.most_common()]
    return "\n".join(lines)
