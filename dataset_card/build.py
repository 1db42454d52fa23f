"""The story of `dataset_card build`: a folder of photographs becomes a dataset folder."""

import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from dataset_card.choosing.corrections import apply_corrections, read_corrections
from dataset_card.choosing.former import Former, former_seed, read_former, write_former
from dataset_card.choosing.given_splits import check_same_classes, with_validation, without_leaks
from dataset_card.choosing.pile import Pile, leave_out
from dataset_card.choosing.removed import may_stay, read_removed, write_removed
from dataset_card.choosing.split_plan import DRAWN, SplitPlan
from dataset_card.choosing.splits import SPLITS, assign_splits
from dataset_card.knowing.provenance import read_provenance
from dataset_card.knowing.taxonomy import name_classes, write_class_facts
from dataset_card.reading.images import Photo, inspect_photo
from dataset_card.reading.listing import PhotosFolderError, list_photos, list_split_folders
from dataset_card.reading.rejected import Rejected, write_rejected
from dataset_card.writing.card import write_card
from dataset_card.writing.class_balance import write_class_balance
from dataset_card.writing.contact_sheet import write_contact_sheet
from dataset_card.writing.leaks import leak_report
from dataset_card.writing.output_folder import check_apart, is_dataset_folder
from dataset_card.writing.summary import BuildReport, about_leaks, unknown_pictures
from dataset_card.writing.tables import Contents, Row, write_split
from files.atomic import atomic_folder
from pictures.refused import RefusedError


def build(
    photos: Path,
    out: Path,
    seed: int,
    *,
    plan: SplitPlan = DRAWN,
    corrections: Path | None = None,
    keep_splits: str | None = None,
    only_redistributable: bool = False,
    max_side: int = 1024,
    num_proc: int | None = None,
) -> BuildReport:
    """Builds the dataset folder `out` from `photos`, a folder with one sub-folder per class.

    The folder appears by rename once everything is written; an earlier dataset folder is replaced. The same pictures
    and the same seed give the same bytes.

    Args:
        photos: The photographs, with `provenance.jsonl` and `removed.csv` beside the sub-folders where there are such.
            Where `plan` says so, the sub-folders are splits, and those of the classes lie in them.
        out: The dataset folder. Pictures that an earlier one of the same seed holds keep their splits.
        seed: Decides the split.
        plan: Where the splits come from.
        corrections: What people decided about single pictures.
        keep_splits: A dataset, folder or Hub id, whose pictures keep their splits, in place of the one in `out`.
        only_redistributable: Leave out what must not be published.
        max_side: Longest side, in pixels, of a published picture.
        num_proc: How many files are read at once; by default as many as there are cores.

    Raises:
        UserError: `photos` can't make a dataset, a list can't be read, or `out` holds something else.
        HubError: `keep_splits` can't be read from the Hub.
    """
    check_apart(photos, out)
    num_proc = num_proc or os.cpu_count() or 1
    listing = list_split_folders(photos) if plan.given else list_photos(photos)
    files, notes = name_classes(listing.files)
    check_count(photos, files)
    if plan.given:
        check_same_classes(photos, [(listing.given[path], label) for label in files for path in files[label]])
    provenance, removed = read_provenance(photos), read_removed(photos)
    decisions = read_corrections(corrections, list(files)) if corrections else []

    with atomic_folder(out, is_dataset_folder) as folder:
        former = former_assignment(out, seed, keep_splits)
        found, rejected = inspect_all([(path, label) for label in files for path in files[label]], max_side, num_proc)
        corrected = apply_corrections(found, decisions)
        pile = Pile.of(corrected.photos, photos, provenance, listing.given)
        # A file that was taken down and deleted is still known by its look.
        like_removed = former.look_like(pile.photos, removed.sha256s)
        listed = may_stay(pile.photos, pile.near, pile.origin, removed, like_removed)
        pile, left_out = leave_out(pile.only(listed), former, corrected.confirmed, only_redistributable)
        rejected += listing.refused + corrected.deleted + left_out
        if plan.move_leaks:
            pile, leaks = without_leaks(pile)
            rejected += leaks
        check_classes(photos, list(files), pile.photos, rejected)
        ratios = None if plan.given else plan.ratios or former.ratios
        rows = split_up(pile, seed, former, ratios)
        if plan.given:
            check_same_classes(photos, [(split, row.photo.label) for split, of in rows.items() for row in of])

        contents = Contents(
            label_names=list(files),
            rows=rows,
            near=dict(zip((photo.sha256 for photo in pile.photos), pile.near, strict=True)),
            rejected=rejected,
            taken_down=listed.count(False),
            corrected=corrected.done,
            seed=seed,
            given=frozenset(listing.given.values()),
            ratios=ratios,
            max_side=max_side,
        )
        for split in rows:
            write_split(folder, split, contents, num_proc)
        write_former(folder, former, {split: [row.photo for row in of] for split, of in rows.items()})
        write_rejected(folder, photos, rejected)
        if removed.lines:
            write_removed(folder, removed)
        write_class_facts(folder, contents.label_names)
        write_contact_sheet(folder, rows["train"], contents.label_names)
        write_class_balance(folder, contents)
        leaks_left = leak_report(rows)
        write_card(folder, dataset_name(out), contents, leaks_left)
    return BuildReport(contents, notes + unknown_pictures(corrected.unknown) + about_leaks(leaks_left))


def split_up(pile: Pile, seed: int, former: Former, ratios: Mapping[str, float] | None) -> dict[str, list[Row]]:
    """Assigns every picture to a split, drawn by ratios or as given, and orders each split that there is."""
    labels, groups = [photo.label for photo in pile.photos], pile.groups()
    if ratios:
        splits = assign_splits(labels, groups, seed, former.splits_for(pile.photos), ratios)
    else:
        splits = with_validation(labels, groups, pile.given, seed)
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS if split in splits}
    for photo, group, record, split in zip(pile.photos, groups, pile.origin, splits, strict=True):
        rows[split].append(Row(photo, group, record))
    for of in rows.values():
        # By hash: an order that mixes the classes and does not depend on file names.
        of.sort(key=lambda row: row.photo.sha256)
    return rows


def former_assignment(out: Path, seed: int, keep_splits: str | None) -> Former:
    """Returns what is known of pictures that were assigned before.

    Raises:
        FormerError: `keep_splits` is no dataset made by `build`.
        HubError: It can't be read from the Hub.
    """
    if keep_splits:
        return read_former(keep_splits)
    if (earlier := former_seed(out)) is None:
        return Former()
    former = read_former(str(out))
    # Another seed asks for another split.
    return former if earlier == seed else replace(former, splits={})


def inspect_all(files: list[tuple[Path, str]], max_side: int, num_proc: int) -> tuple[list[Photo], list[Rejected]]:
    """Looks at every file, several at once: those that can be used, and those that can't, with the reason."""

    def look(file: tuple[Path, str]) -> Photo | Rejected:
        path, label = file
        try:
            return inspect_photo(path, label, max_side)
        except RefusedError as refusal:
            return Rejected(path, label, refusal.reason, refusal.detail)

    # Threads suffice: Pillow decodes, and hashlib digests, without holding the interpreter's lock.
    with ThreadPoolExecutor(num_proc) as pool:
        found = list(tqdm(pool.map(look, files), total=len(files), desc="Reading photographs", unit="file"))
    return [f for f in found if isinstance(f, Photo)], [f for f in found if isinstance(f, Rejected)]


def check_count(photos: Path, files: dict[str, list[Path]]) -> None:
    """Refuses folders that all mean one dance.

    Raises:
        PhotosFolderError: Names the dance.
    """
    if len(files) == 1:
        raise PhotosFolderError(f"{photos}: all sub-folders are {next(iter(files))}: a classifier needs two classes")


def check_classes(photos: Path, label_names: list[str], kept: list[Photo], rejected: list[Rejected]) -> None:
    """Refuses to go on when a class folder gave no usable picture.

    Raises:
        PhotosFolderError: Names the folders, and one file with the reason that most were refused for.
    """
    if empty := sorted(set(label_names) - {photo.label for photo in kept}):
        theirs = [r for r in rejected if r.label in empty]
        most = Counter(r.reason for r in theirs).most_common(1)
        why = next((f" ({r.path.name}: {r.reason})" for r in theirs if r.reason == most[0][0]), "")
        raise PhotosFolderError(
            f"{photos}: no usable picture in {', '.join(empty)}{why}: add pictures or remove the sub-folder"
        )


def dataset_name(out: Path) -> str:
    """Returns what people call the dataset: its folder's name, in words."""
    return out.resolve().name.replace("-", " ").replace("_", " ").capitalize()
