"""Splits that the photographs came in: a missing validation split is drawn, and what leaks can be left out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from dataset_card.choosing.pile import Pile
from dataset_card.choosing.splits import RATIOS, SPLITS, assign_splits
from dataset_card.reading.rejected import Rejected
from files.errors import UserError

REASON = "shared with another split"

_DRAWN = {split: RATIOS[split] / (1 - RATIOS["test"]) for split in ("train", "validation")}


class GivenSplitsError(UserError):
    """Given splits that do not have the same classes."""


def check_same_classes(photos: Path, found: Iterable[tuple[str, str]]) -> None:
    """Refuses given splits of which one has a class that another one lacks.

    Args:
        photos: Names them in the error.
        found: Pairs of split and class.

    Raises:
        GivenSplitsError: Names the classes and where they are.
    """
    splits_of: dict[str, set[str]] = defaultdict(set)
    for split, label in found:
        splits_of[label].add(split)
    everywhere = set().union(*splits_of.values())
    if odd := {label: of for label, of in sorted(splits_of.items()) if of != everywhere}:
        listed = ", ".join(
            f"{label} is in {' and '.join(sorted(of, key=SPLITS.index))} only" for label, of in odd.items()
        )
        raise GivenSplitsError(
            f"{photos}: every split needs usable pictures of every class, but {listed}: add pictures of it to the "
            "other splits, or remove it from all"
        )


def without_leaks(pile: Pile) -> tuple[Pile, list[Rejected]]:
    """Leaves out pictures whose group is in a later split, too: test stays whole, validation gives way to it alone.

    Returns:
        What stays, and a line for each picture that went.
    """
    groups = pile.groups()
    last: dict[str, str] = {}
    for group, split in zip(groups, pile.given, strict=True):
        last[group] = max(split, last.get(group, split), key=SPLITS.index)
    stay = [last[group] == split for group, split in zip(groups, pile.given, strict=True)]
    gone = [
        Rejected(photo.path, photo.label, REASON, f"in {split}, its group is in {last[group]}, too", photo.sha256)
        for photo, group, split, stays in zip(pile.photos, groups, pile.given, stay, strict=True)
        if not stays
    ]
    return pile.only(stay), gone


def with_validation(labels: Sequence[str], groups: Sequence[str], given: Sequence[str], seed: int) -> list[str]:
    """Draws validation from train, by whole groups, where no folder gave it; else returns the splits as they are.

    Raises:
        TooFewGroupsError: A class has one group only.
    """
    splits = list(given)
    if "validation" not in splits:
        places = [place for place, split in enumerate(splits) if split == "train"]
        drawn = assign_splits([labels[at] for at in places], [groups[at] for at in places], seed, ratios=_DRAWN)
        for place, split in zip(places, drawn, strict=True):
            splits[place] = split
    return splits
