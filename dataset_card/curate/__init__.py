"""Curate: decides over the scan table which photographs become rows, which belong together, and their splits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dataset_card.curate.duplicates import (
    SAME_DISTANCE,
    estimate_distance,
    hash_rows,
    near_groups,
    near_pairs,
)
from dataset_card.curate.previous import Previous
from dataset_card.curate.splits import (
    SPLITS,
    SplitPlan,
    assign_splits,
    check_same_classes,
    latest_split,
    with_validation,
)
from dataset_card.licenses import why_not_publish
from dataset_card.lists import Correction, Removed, same_page
from files.errors import UserError


@dataclass(frozen=True)
class Options:
    """What a person asks of `build`.

    Attributes:
        seed: Decides the splits.
        plan: Where the splits come from.
        only_redistributable: Leave out what must not be published.
        min_per_class: Leave out classes with fewer different pictures; None refuses those that can't be split.
        max_side: Longest side, in pixels, of a published picture.
        min_side: Shortest side, in pixels, that a published picture may have.
    """

    seed: int
    plan: SplitPlan
    only_redistributable: bool
    min_per_class: int | None
    max_side: int
    min_side: int


@dataclass(frozen=True)
class Leaks:
    """What two splits share.

    Attributes:
        left: One split.
        right: The other.
        exact: Pictures of the left one whose pixels are in the right one, too.
        near: Pictures of the left one with a near-duplicate in the right one.
        events: Events, each one photographer's, that have pictures in both.
        closest: Bits of 256 between the two most alike near-duplicates; None where there are none.
    """

    left: str
    right: str
    exact: int
    near: int
    events: int
    closest: int | None


@dataclass(frozen=True)
class Curated:
    """What a dataset will hold, and what was left out of it.

    Attributes:
        label_names: Class names, in the order of their numbers.
        rows: The pictures, in the order they are written: the scan table with the columns of provenance, `split`,
            `group` (pictures of one group stay together) and `near` (a number that near-duplicates share).
        rejected: The files left out: the same table with a `reason`.
        taken_down: The pictures that the takedown list kept out.
        corrected: How many corrections were replayed.
        given: The splits that the pictures came in; empty where all were drawn.
        ratios: The share of every split that was drawn; None where some were given.
        distance: Bits of 256 within which two pictures were taken for near-duplicates.
        leaks: What every two splits share.
        notes: What people should know about their input, a line each.
    """

    label_names: list[str]
    rows: pd.DataFrame
    rejected: pd.DataFrame
    taken_down: pd.DataFrame
    corrected: int
    given: list[str]
    ratios: Mapping[str, float] | None
    distance: int
    leaks: list[Leaks]
    notes: list[str]

    @property
    def splits(self) -> list[str]:
        """The splits that there are, in their usual order."""
        return [split for split in SPLITS if (self.rows["split"] == split).any()]

    def counts(self) -> pd.DataFrame:
        """Returns how many pictures every class (rows) has in every split (columns)."""
        counts = pd.crosstab(self.rows["label"], self.rows["split"])
        return counts.reindex(index=self.label_names, columns=self.splits, fill_value=0)


def curate(
    photos: Path,
    table: pd.DataFrame,
    label_names: Sequence[str],
    options: Options,
    *,
    corrections: Sequence[Correction],
    removed: Removed,
    previous: Previous,
) -> Curated:
    """Decides what becomes of every picture.

    Args:
        photos: Names the folder in messages.
        table: A row per file, from the scan, with the columns of provenance; it is changed.
        label_names: The classes.
        options: What a person asks for.
        corrections: What people decided about single pictures.
        removed: What must never come back.
        previous: Where earlier datasets had their pictures.

    Raises:
        UserError: The pictures that are left can't make a dataset.
    """
    plan = options.plan
    _reject_sizes(table, options)
    done, notes = _apply_corrections(table, corrections)
    usable = table["reason"] == ""
    is_removed = usable & _taken_down(table, usable, removed, previous)
    taken_down, table = table[is_removed], table[~is_removed].copy()

    table["near"], distance = _compare(table)
    table["unpublishable"] = [
        why_not_publish(*row) or "" for row in zip(table["license"], table["author"], table["source_url"], strict=True)
    ]
    _reject_copies(table, previous)
    if options.only_redistributable:
        _reject(table, table["unpublishable"] != "", "must not be published", table["unpublishable"])
    table["group"] = _groups(table)
    if options.min_per_class:
        label_names, more = _reject_small_classes(table, label_names, options.min_per_class)
        notes += more
    if plan.move_leaks:
        later = latest_split(table["group"], table["given"].where(table["reason"] == "", ""))
        why = "in " + table["given"] + ", its group is in " + later + ", too"
        _reject(table, table["given"] != later, "shared with another split", why)
    ratios = None if plan.given else plan.ratios or previous.ratios
    if ratios:
        table["previous"] = _previous_splits(table, previous)
        later = latest_split(table["group"], table["previous"].where(table["reason"] == "", ""))
        leaking = (table["previous"] != "") & (table["previous"] != later)
        why = "was in " + table["previous"] + ", looks like a picture of " + later
        if count := _reject(table, leaking, "shared with another split", why):
            notes.append(
                f"{count} pictures of the earlier dataset look like pictures of a later split, through new ones that "
                "resemble both, and were left out: what a model is judged on is never learned from"
            )
    _check_classes(photos, table, label_names)

    rows = table[table["reason"] == ""].copy()
    labels, groups = rows["label"].tolist(), rows["group"].tolist()
    if ratios:
        rows["split"] = assign_splits(
            labels, groups, options.seed, [split or None for split in rows["previous"]], ratios
        )
    else:
        rows["split"] = with_validation(labels, groups, rows["given"].tolist(), options.seed)
        check_same_classes(photos, rows["split"], rows["label"])
    # By hash: an order that mixes the classes and does not depend on file names.
    order = pd.DataFrame({"split": rows["split"].map(SPLITS.index), "sha256": rows["sha256"], "file": rows["file"]})
    rows = rows.loc[order.sort_values(list(order)).index]
    leaks = leak_report(rows, distance)
    return Curated(
        label_names=list(label_names),
        rows=rows,
        rejected=table[table["reason"] != ""],
        taken_down=taken_down,
        corrected=done,
        given=sorted(set(table["given"]) - {""}),
        ratios=ratios,
        distance=distance,
        leaks=leaks,
        notes=notes + [_leak_note(pair) for pair in leaks if pair.exact or pair.near or pair.events],
    )


def leak_report(rows: pd.DataFrame, distance: int) -> list[Leaks]:
    """Compares every two splits, picture by picture, on the finished rows.

    Args:
        rows: `split`, `pixels`, `hashes` and the columns of provenance.
        distance: Bits of 256 within which two pictures are near-duplicates.
    """
    parts = {split: rows[rows["split"] == split] for split in SPLITS if (rows["split"] == split).any()}
    return [_leaks(left, right, parts[left], parts[right], distance) for left, right in combinations(parts, 2)]


def _leaks(left: str, right: str, ours: pd.DataFrame, theirs: pd.DataFrame, distance: int) -> Leaks:
    near, closest = np.zeros(len(ours), bool), distance + 1
    hashes = hash_rows([*ours["hashes"], *theirs["hashes"]])
    for first, _, bits in near_pairs(hashes, distance, known=len(ours), within=False):
        near[first] = True
        closest = min(closest, int(bits.min(initial=closest)))
    events = _event_keys(ours)
    return Leaks(
        left,
        right,
        exact=int(ours["pixels"].isin(set(theirs["pixels"])).sum()),
        near=int(near.sum()),
        events=int(events[events.isin(set(_event_keys(theirs)) - {""})].nunique()),
        closest=closest if closest <= distance else None,
    )


def _reject(table: pd.DataFrame, where: pd.Series | np.ndarray, reason: str, detail: pd.Series | str = "") -> int:
    """Writes down why some pictures are left out, unless that is known already; returns how many are new."""
    new = where & (table["reason"] == "")
    table.loc[new, "reason"] = reason
    table.loc[new, "detail"] = detail if isinstance(detail, str) else detail[new]
    return int(new.sum())


def _reject_sizes(table: pd.DataFrame, options: Options) -> None:
    shorter, longer = table[["width", "height"]].min(axis=1), table[["width", "height"]].max(axis=1)
    scale = (options.max_side / longer.clip(lower=1)).clip(upper=1)
    scaled = (shorter * scale).round().astype(int)
    size = table["width"].astype(str) + " x " + table["height"].astype(str) + " pixels, "
    why = size + np.where(
        scale < 1,
        f"after scaling to {options.max_side} a side under {options.min_side}",
        f"a side under {options.min_side}",
    )
    _reject(table, scaled < options.min_side, "too small", why)


def _apply_corrections(table: pd.DataFrame, corrections: Sequence[Correction]) -> tuple[int, list[str]]:
    """Replays corrections, on exact copies, too: else the copy would come back, or contradict its twin."""
    usable = table[table["reason"] == ""].drop_duplicates("sha256").set_index("sha256")
    known = [correction for correction in corrections if correction.sha256 in usable.index]
    decided = {
        usable.at[correction.sha256, "pixels"]: (
            correction.action,
            correction.label or usable.at[correction.sha256, "label"],
        )
        for correction in known
    }
    decisions = [
        decided.get(pixels, ("", label)) for pixels, label in zip(table["pixels"], table["label"], strict=True)
    ]
    actions = pd.Series([action for action, _ in decisions], index=table.index, dtype=object)
    table["confirmed"] = actions.isin(["keep", "relabel"])
    table["label"] = [label for _, label in decisions]
    _reject(table, actions == "delete", "deleted by a correction")
    if not (unknown := [correction.sha256 for correction in corrections if correction.sha256 not in usable.index]):
        return len(known), []
    few = ", ".join(sha256[:12] for sha256 in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
    return len(known), [f"{len(unknown)} corrections name pictures that are not here ({few}): they changed nothing"]


def _taken_down(table: pd.DataFrame, usable: pd.Series, removed: Removed, previous: Previous) -> pd.Series:
    """Returns which pictures the takedown list names, and which are copies or near-duplicates of such."""
    named = table["sha256"].isin(removed.sha256s) | table["source_url"].map(same_page).isin(removed.pages)
    # A file that was taken down and deleted is still known by its hashes.
    known = previous.pictures["hashes"][previous.pictures.index.isin(removed.sha256s)]
    hashes = [*table["hashes"][named & usable], *filter(None, known)]
    like = pd.Series(False, index=table.index)
    if hashes and usable.any():
        candidates = table.index[usable]
        rows = hash_rows([*hashes, *table["hashes"][usable]])
        for _, second, _ in near_pairs(rows, SAME_DISTANCE, known=len(hashes), within=False):
            like[candidates[np.unique(second) - len(hashes)]] = True
    return named | like


def _compare(table: pd.DataFrame) -> tuple[pd.Series, int]:
    """Numbers groups of near-duplicates and rejects pictures whose direct neighbours have another label.

    Grouping goes through any number of neighbours and only decides what stays together. A conflict needs a direct
    neighbour at the tighter `SAME_DISTANCE`: through a chain, one false link would reject two groups. One decision of
    a person speaks for the direct neighbours of its picture; two that differ speak for their own pictures alone.

    Returns:
        A number per picture, -1 for those left out before, and the distance that was used for grouping.
    """
    usable = table[table["reason"] == ""]
    # One node for all pictures with the same hashes and label, so that thousands of copies make no millions of pairs.
    node = usable.groupby(["hashes", "label"], sort=False).ngroup().to_numpy()
    nodes = usable[~usable.duplicated(["hashes", "label"])]
    decided = np.zeros(len(nodes), bool)
    decided[node[usable["confirmed"]]] = True
    labels, label_names = pd.factorize(nodes["label"])
    hashes = hash_rows(nodes["hashes"])
    distance = estimate_distance(hashes, labels)
    # Of every node, the labels of its direct neighbours that differ from its own, and which of all are decided.
    other_labels: list[np.ndarray] = []
    decided_labels: list[np.ndarray] = [np.stack([np.flatnonzero(decided), labels[decided]])]

    def watched() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for first, second, bits in near_pairs(hashes, max(distance, SAME_DISTANCE)):
            same = bits <= SAME_DISTANCE
            for one, other in ((first[same], second[same]), (second[same], first[same])):
                differ = labels[one] != labels[other]
                other_labels.append(np.unique(np.stack([one[differ], labels[other[differ]]]), axis=1))
                speaks = decided[other]
                decided_labels.append(np.unique(np.stack([one[speaks], labels[other[speaks]]]), axis=1))
            near = bits <= distance
            yield first[near], second[near], bits[near]

    near = near_groups(hashes, watched())
    conflicts = _label_sets(other_labels)
    decisions = _label_sets(decided_labels)
    loses = {
        number: ", ".join(sorted(label_names[[*codes, labels[number]]]))
        for number, codes in conflicts.items()
        if decisions.get(number) != {labels[number]}
    }
    details = pd.Series([loses.get(number, "") for number in node], index=usable.index, dtype=object)
    details = details.reindex(table.index, fill_value="")
    _reject(table, (details != "") & ~table["confirmed"], "same picture under several labels", details)
    return pd.Series(near[node], index=usable.index).reindex(table.index, fill_value=-1), distance


def _label_sets(found: list[np.ndarray]) -> dict[int, set[int]]:
    """Collects pairs of node and label, arrays of shape (2, pairs), into a set of labels per node."""
    sets: dict[int, set[int]] = {}
    for number, label in np.unique(np.concatenate(found, axis=1), axis=1).T.tolist() if found else []:
        sets.setdefault(number, set()).add(label)
    return sets


def _reject_copies(table: pd.DataFrame, previous: Previous) -> None:
    """Keeps one of pictures whose pixels are equal, in every split that was given."""
    # A picture keeps its name, and with it its split; then the copy counts whose licence is known. Last the smallest
    # hash, so that the choice does not depend on the order of the files.
    ranked = table.assign(
        is_new=~table["sha256"].isin(previous.pictures.index[previous.pictures["split"] != ""]),
        is_private=table["unpublishable"] != "",
    )[table["reason"] == ""].sort_values(["is_new", "is_private", "sha256", "file"])
    first = pd.Series(ranked.index, index=ranked.index).groupby([ranked["pixels"], ranked["given"]]).transform("first")
    copies = first[first != first.index]
    names = pd.Series([f"of {Path(table.at[row, 'file']).name}" for row in copies], index=copies.index, dtype=object)
    _reject(table, table.index.isin(copies.index), "exact duplicate", names.reindex(table.index))


def _groups(table: pd.DataFrame) -> pd.Series:
    """Joins near-duplicates, and one photographer's pictures of one event: what must stay together.

    Returns:
        For every picture its group's name: the first 16 digits of the smallest SHA-256 in it, which does not depend on
        the order of the pictures; empty for those left out before.
    """
    rows = table[table["reason"] == ""]
    near, events = rows["near"].to_numpy(), _event_keys(rows)
    has_event = (events != "").to_numpy()
    event = pd.factorize(events)[0]
    first_event = int(near.max(initial=-1)) + 1
    size = first_event + int(event.max(initial=-1)) + 1
    links = (np.ones(has_event.sum(), bool), (near[has_event], first_event + event[has_event]))
    component = connected_components(coo_array(links, shape=(size, size)), directed=False)[1]
    names = rows["sha256"].groupby(component[near]).transform("min").str[:16]
    return names.reindex(table.index, fill_value="")


def _event_keys(rows: pd.DataFrame) -> pd.Series:
    """Returns a key that pictures of one class, author and event share; empty where provenance does not tell."""
    key = rows[["label", "source", "author", "event"]].agg("\n".join, axis=1) if len(rows) else rows["event"]
    return key.where((rows["author"] != "") & (rows["event"] != ""), "")


def _reject_small_classes(table: pd.DataFrame, label_names: Sequence[str], least: int) -> tuple[list[str], list[str]]:
    usable = table[table["reason"] == ""]
    counts = usable.groupby("label")["group"].nunique().reindex(label_names, fill_value=0)
    small = counts[counts < least]
    _reject(table, table["label"].isin(small.index), "class too small", f"fewer than {least} different pictures")
    if small.empty:
        return list(label_names), []
    listed = ", ".join(f"{label} {count}" for label, count in small.items())
    return list(counts.index[counts >= least]), [
        f"classes with fewer than {least} different pictures left out: {listed}"
    ]


def _previous_splits(table: pd.DataFrame, previous: Previous) -> pd.Series:
    """Returns where every picture was, or where one was that looks like it and is gone; empty for a new one."""
    pictures = previous.pictures[previous.pictures["split"] != ""]
    splits = pictures["split"].reindex(table["sha256"]).fillna("").set_axis(table.index)
    gone = pictures[~pictures.index.isin(table["sha256"]) & (pictures["hashes"] != b"")]
    new = table.index[(splits == "") & (table["reason"] == "")]
    if len(gone) and len(new):
        rank = gone["split"].map(SPLITS.index).to_numpy()
        best = np.full(len(new), -1)
        hashes = hash_rows([*gone["hashes"], *table["hashes"][new]])
        for first, second, _ in near_pairs(hashes, known=len(gone), within=False):
            np.maximum.at(best, second - len(gone), rank[first])
        splits[new] = [SPLITS[number] if number >= 0 else "" for number in best]
    return splits


def _check_classes(photos: Path, table: pd.DataFrame, label_names: Sequence[str]) -> None:
    """Refuses to go on when a class has no usable picture, or when fewer than two classes are left."""
    kept = set(table["label"][table["reason"] == ""])
    if empty := sorted(set(label_names) - kept):
        theirs = table[table["label"].isin(empty) & (table["reason"] != "")]
        why = ""
        if len(theirs):
            reason = theirs["reason"].value_counts().index[0]
            why = f" ({Path(theirs['file'][theirs['reason'] == reason].iloc[0]).name}: {reason})"
        raise UserError(
            f"{photos}: no usable picture in {', '.join(empty)}{why}: add pictures or remove the sub-folder"
        )
    if len(label_names) < 2:
        raise UserError(f"{photos}: {len(label_names)} class is left: a classifier needs two or more")


def _leak_note(pair: Leaks) -> str:
    return (
        f"{pair.left} and {pair.right} leak: {pair.exact} pictures of {pair.left} are in {pair.right}, too, "
        f"{pair.near} look like one there, and {pair.events} events are in both; --move-leaks leaves these out of "
        f"{pair.left}"
    )
