"""The story of `dataset_card build`: a folder of photographs becomes a dataset folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from dataset_card.curate import Curated, Options, curate
from dataset_card.curate.previous import Previous, read_previous, seed_of, write_previous
from dataset_card.curate.splits import DRAWN, SplitPlan, check_same_classes
from dataset_card.dances import write_class_facts
from dataset_card.listing import list_labelled, list_photos
from dataset_card.lists import REJECTED, read_corrections, read_labels, read_removed, write_removed
from dataset_card.provenance import match_provenance, read_provenance
from dataset_card.scan import ChangedFileError, scan
from dataset_card.write.card import group_sizes, write_card
from dataset_card.write.figures import write_class_balance, write_contact_sheet
from dataset_card.write.parquet import Encoding, Format, write_split
from files.atomic import OutputFolderError, atomic_folder
from files.errors import UserError
from files.paths import check_no_glob
from pictures.decoding import MIN_SIDE

_DATASET_FOLDER = {"README.md", "data", "figures"}
_SOMETIMES = {"LICENSE.md", "classes.json", "rejected.csv", "removed.csv", "splits.csv"}
# Left by macOS, by git and by the Hub's client; a clone's own `.git` is somebody's work.
_IGNORED = {".ds_store", ".gitattributes", ".cache", ".huggingface", "thumbs.db", "desktop.ini", "icon\r"}
_NAMED = 5


@dataclass(frozen=True)
class BuildReport:
    """What `build` did.

    Attributes:
        curated: What is in the dataset and what was left out.
        notes: What people should know about their input, a line each.
    """

    curated: Curated
    notes: list[str]


def build(
    photos: Path,
    out: Path,
    seed: int = 8,
    *,
    plan: SplitPlan = DRAWN,
    labels: Path | None = None,
    corrections: Path | None = None,
    keep_splits: str | None = None,
    only_redistributable: bool = False,
    min_per_class: int | None = None,
    max_side: int = 1024,
    min_side: int = MIN_SIDE,
    format: Format = "jpeg",
    num_proc: int | None = None,
) -> BuildReport:
    """Builds the dataset folder `out` from `photos`, a folder with one sub-folder per class.

    The folder appears by rename once everything is written; an earlier dataset folder is replaced. The same pictures
    and the same seed give the same bytes. What was learned of each file is kept beside `out`, in `.NAME.scan.parquet`:
    a later build reads only files that are new or changed.

    Args:
        photos: The photographs, with `provenance.jsonl` and `removed.csv` beside the sub-folders where there are such.
            Where `plan` says so, the sub-folders are splits, and those of the classes lie in them.
        out: The dataset folder. Pictures that an earlier one of the same seed holds keep their splits.
        seed: Decides the split.
        plan: Where the splits come from.
        labels: What classes were taught on the page without a server. The pictures that it names by their sha256 are
            taken, wherever below `photos` they lie, and no others.
        corrections: What people decided about single pictures.
        keep_splits: A dataset, folder or Hub id, whose pictures keep their splits, in place of the one in `out`.
        only_redistributable: Leave out what must not be published.
        min_per_class: Leave out classes with fewer different pictures.
        max_side: Longest side, in pixels, of a published picture.
        min_side: Shortest side, in pixels, that a published picture may have.
        format: What pictures are saved as that can't be published byte for byte.
        num_proc: How many files are read at once; by default as many as there are cores.

    Raises:
        UserError: `photos` can't make a dataset, a list can't be read, or `out` holds something else.
        HubError: `keep_splits` can't be read from the Hub.
    """
    check_apart(photos, out)
    num_proc = num_proc or os.cpu_count() or 1
    if labels and plan.given:
        raise UserError(f"{labels} says which class a file is of, but not which split: give one of the two options")
    listing = list_labelled(photos, read_labels(labels)) if labels else list_photos(photos, plan.given)
    label_names = listing.label_names
    if plan.given:
        check_same_classes(photos, listing.files["given"], listing.files["label"])
    records, removed = read_provenance(photos), read_removed(photos)
    decisions = read_corrections(corrections, label_names) if corrections else []
    encoding = Encoding(max_side, format)
    options = Options(seed, plan, only_redistributable, min_per_class, max_side, min_side)

    with atomic_folder(out, is_dataset_folder) as folder:
        previous = previous_splits(out, seed, keep_splits)
        cache = out.resolve().with_name(f".{out.resolve().name}.scan.parquet")
        table = scan(photos, listing.files, cache, num_proc)
        matched, unmatched = match_provenance(table["file"], records)
        provenance = pd.DataFrame(map(vars, matched), index=table.index, dtype=object).drop(columns="file")
        curated = curate(
            photos,
            table.join(provenance),
            label_names,
            options,
            corrections=decisions,
            removed=removed,
            previous=previous,
        )
        try:
            for split in curated.splits:
                write_split(folder, split, curated, photos, encoding, seed, out.resolve(), num_proc)
            write_contact_sheet(folder, photos, curated.rows[curated.rows["split"] == "train"], curated.label_names)
        except ChangedFileError:
            cache.unlink(missing_ok=True)
            raise
        write_previous(folder, previous, curated.rows)
        write_rejected(folder, curated.rejected)
        if removed.sha256s or removed.pages:
            write_removed(folder, removed, curated.taken_down["sha256"])
        write_class_facts(folder, curated.label_names)
        write_class_balance(folder, curated)
        write_card(folder, dataset_name(out), curated, encoding, seed)
    notes = [*listing.notes, *_about_provenance(unmatched), *curated.notes, *_about_formats(curated, encoding)]
    return BuildReport(curated, notes)


def check_apart(photos: Path, out: Path) -> None:
    """Refuses an output folder that holds the photographs or lies among them, or that `datasets` can't read.

    Raises:
        UserError: One of the two folders contains the other, or the path of `out` is a pattern to `datasets`.
    """
    inside, outside = photos.resolve(), out.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise OutputFolderError(f"{out} and {photos} lie one inside the other: choose an --out apart from them")
    check_no_glob(outside)


def is_dataset_folder(folder: Path) -> bool:
    """Tells whether a folder holds what `build` makes and nothing else but what systems and the Hub's client leave."""
    names = {path.name for path in folder.iterdir() if path.name.lower() not in _IGNORED}
    return names >= _DATASET_FOLDER and names <= _DATASET_FOLDER | _SOMETIMES


def previous_splits(out: Path, seed: int, keep_splits: str | None) -> Previous:
    """Returns what is known of pictures that were assigned before.

    Raises:
        UserError: `keep_splits` is no dataset made by `build`.
        HubError: It can't be read from the Hub.
    """
    if keep_splits:
        return read_previous(keep_splits)
    if (earlier := seed_of(out)) is None:
        return Previous()
    previous = read_previous(str(out.resolve()))
    # Another seed asks for another split.
    return previous if earlier == seed else replace(previous, pictures=previous.pictures.assign(split=""))


def write_rejected(folder: Path, rejected: pd.DataFrame) -> None:
    """Writes `rejected.csv` into `folder`: a line per file that was left out. It is never published."""
    lines = rejected[["file", "label", "reason", "detail", "sha256"]].sort_values("file")
    lines.to_csv(folder / REJECTED, index=False, encoding="utf-8", errors="backslashreplace", lineterminator="\r\n")


def summary(report: BuildReport) -> str:
    """Returns the table that `build` prints: pictures per class and split, then what was left out and why."""
    curated = report.curated
    counts = curated.counts()
    width = max(map(len, [*curated.label_names, "class"]))
    lines = [f"{'class':{width}}" + "".join(f"{split:>12}" for split in counts.columns)]
    for label, of_split in [*counts.iterrows(), ("all", counts.sum())]:
        lines.append(f"{label:{width}}" + "".join(f"{count:12}" for count in of_split))
    if "test" not in curated.splits:
        lines.append("there is no test split: judge by cross-validation, or on pictures from elsewhere")
    groups = group_sizes(curated.rows)
    lines.append(
        f"near-duplicates: {groups['near_pictures']} pictures within {curated.distance} of 256 bits of another; the "
        f"longest chain has {groups['longest_chain']}"
    )
    lines += [f"left out, {reason}: {count}" for reason, count in curated.rejected["reason"].value_counts().items()]
    if len(curated.taken_down):
        lines.append(f"left out, taken down: {len(curated.taken_down)}")
    if curated.corrected:
        lines.append(f"corrections replayed: {curated.corrected}")
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join(lines)


def dataset_name(out: Path) -> str:
    """Returns what people call the dataset: its folder's name, in words."""
    return out.resolve().name.replace("-", " ").replace("_", " ").capitalize()


def _about_provenance(unmatched: Sequence[str]) -> list[str]:
    if not unmatched:
        return []
    few = ", ".join(unmatched[:_NAMED]) + (", ..." if len(unmatched) > _NAMED else "")
    return [f"{len(unmatched)} lines of provenance.jsonl name no file: {few}"]


def _about_formats(curated: Curated, encoding: Encoding) -> list[str]:
    changed = [
        row
        for row in curated.rows.itertuples()
        if row.format not in ("JPEG", "MPO")
        and not encoding.keeps_bytes(row)
        and encoding.format_of(row) != row.format
    ]
    if not changed:
        return []
    kinds = ", ".join(sorted({row.format for row in changed}))
    return [
        f"{len(changed)} {kinds} files were saved anew as {encoding.format_of(changed[0])} (larger than "
        f"{encoding.max_side} pixels, transparent, or not plain RGB); --format keep saves them without loss"
    ]
