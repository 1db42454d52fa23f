"""Assigns pictures to train, validation and test: whole groups, stratified by class, seeded, and for good."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from files.errors import UserError

RATIOS = {"train": 0.70, "validation": 0.15, "test": 0.15}
SPLITS = tuple(RATIOS)
_VALIDATION_OF_TRAIN = {split: RATIOS[split] / (1 - RATIOS["test"]) for split in ("train", "validation")}


@dataclass(frozen=True)
class SplitPlan:
    """Where the splits come from.

    Attributes:
        ratios: The share of every split to draw; None for those of the earlier dataset, or the usual ones.
        given: Take the splits from the photographs' folders instead.
        move_leaks: Leave out what the given splits share, except where a model is judged on it.
    """

    ratios: Mapping[str, float] | None = None
    given: bool = False
    move_leaks: bool = False


DRAWN = SplitPlan()


def plan_splits(ratios: str | None, given: bool, move_leaks: bool, keep_splits: str | None) -> SplitPlan:
    """Makes a plan from the options of the command line.

    Args:
        ratios: Such as "0.85,0.15,0".
        given: The photographs lie in folders of splits.
        move_leaks: Leave out what these share.
        keep_splits: The dataset whose pictures keep their splits.

    Raises:
        UserError: The shares are impossible, or the options do not go together.
    """
    if given and (ratios or keep_splits):
        option = "--ratios" if ratios else "--keep-splits"
        raise UserError(f"--splits folders takes the splits as they are: leave {option} away")
    if move_leaks and not given:
        raise UserError("--move-leaks is for splits that folders give (drawn ones have no leaks): leave it away")
    return SplitPlan(parse_ratios(ratios) if ratios else None, given, move_leaks)


def parse_ratios(text: str) -> dict[str, float]:
    """Reads the shares of train, validation and test, such as "0.85,0.15,0".

    Returns:
        The share of each split that there will be; test may have none and is then left out.

    Raises:
        UserError: Not three numbers, one below 0, none for train or validation, or a sum that is not 1.
    """
    allowed = "give the shares of train, validation and test, such as 0.7,0.15,0.15, or 0.85,0.15,0 for no test split"
    try:
        shares = [float(share) for share in text.split(",")]
    except ValueError:
        raise UserError(f"--ratios {text}: these are no numbers: {allowed}") from None
    if len(shares) != len(SPLITS) or not all(0 <= share <= 1 for share in shares):
        raise UserError(f"--ratios {text}: these are not {len(SPLITS)} numbers from 0 to 1: {allowed}")
    # Shares that people write, such as 0.33,0.33,0.34, sum to 1 but for the rounding of their binary form.
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise UserError(f"--ratios {text}: these sum to {sum(shares):g}, not to 1: {allowed}")
    if not all(shares[:2]):
        raise UserError(f"--ratios {text}: train and validation can't be empty, or no model can be fitted: {allowed}")
    return {split: share for split, share in zip(SPLITS, shares, strict=True) if share}


def latest_split(groups: pd.Series, splits: pd.Series) -> pd.Series:
    """Returns for every picture the last split (test after validation after train) that its group has pictures in.

    Args:
        groups: The group of every picture.
        splits: The split of every picture; empty where it has none.

    Returns:
        The split, empty where no picture of the group has one.
    """
    rank = splits.map({"": -1} | {split: number for number, split in enumerate(SPLITS)})
    return rank.groupby(groups).transform("max").map({-1: ""} | dict(enumerate(SPLITS)))


def check_same_classes(photos: Path, splits: pd.Series, labels: pd.Series) -> None:
    """Refuses given splits of which one has a class that another one lacks.

    Raises:
        UserError: Names the classes and where they are.
    """
    classes = {split: set(labels[splits == split]) for split in SPLITS if (splits == split).any()}
    common = set.intersection(*classes.values())
    if odd := sorted(set().union(*classes.values()) - common):
        listed = ", ".join(
            f"{label} is in {' and '.join(split for split, names in classes.items() if label in names)} only"
            for label in odd
        )
        raise UserError(
            f"{photos}: every split needs usable pictures of every class, but {listed}: add pictures of it to the "
            "other splits, or remove it from all"
        )


def with_validation(labels: Sequence[str], groups: Sequence[str], given: Sequence[str], seed: int) -> list[str]:
    """Draws validation from train, by whole groups, where no folder gave it; else returns the splits as they are.

    Raises:
        UserError: A class has one group only.
    """
    splits = list(given)
    if "validation" not in splits:
        train = [number for number, split in enumerate(splits) if split == "train"]
        drawn = assign_splits(
            [labels[n] for n in train], [groups[n] for n in train], seed, ratios=_VALIDATION_OF_TRAIN
        )
        for number, split in zip(train, drawn, strict=True):
            splits[number] = split
    return splits


def assign_splits(
    labels: Sequence[str],
    groups: Sequence[str],
    seed: int,
    previous: Sequence[str | None] | None = None,
    ratios: Mapping[str, float] = RATIOS,
) -> list[str]:
    """Assigns every picture to a split.

    A group with pictures that were assigned before stays where they were; where new pictures joined groups of
    several splits into one, all of it goes to test before validation before train, so that nothing that a model was
    judged on is ever learned from. Each other group goes, whole, to the split that lacks most pictures of its class's
    quota; the largest groups choose first, and among equal ones only the seed and the group's name decide, never the
    order of the files.

    Args:
        labels: The class of every picture.
        groups: The group of every picture: pictures of one group stay together.
        seed: Another seed gives another assignment.
        previous: For every picture the split that an earlier dataset had it in, None for a new one.
        ratios: The share of every split that there will be.

    Returns:
        For every picture the name of its split; within each class, their shares are near `ratios`.

    Raises:
        UserError: A class has too few groups, so that one split would miss it.
        UserError: An earlier dataset has pictures in a split that shall not be any more.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for label, group in zip(labels, groups, strict=True):
        members[group].append(label)
    # A group that spans two classes counts for the one it has more pictures of (ties: by name).
    by_class: dict[str, list[str]] = defaultdict(list)
    for group, of_group in members.items():
        by_class[max(sorted(set(of_group)), key=of_group.count)].append(group)
    _check_enough(sorted(set(labels)), by_class, tuple(ratios))

    split_of = _previous_splits(groups, previous or [None] * len(groups))
    _check_previous(split_of, ratios)
    for label, names in by_class.items():
        _fill(label, names, {name: len(members[name]) for name in names}, seed, split_of, ratios)
    return [split_of[group] for group in groups]


def _check_enough(labels: list[str], by_class: dict[str, list[str]], splits: tuple[str, ...]) -> None:
    too_few = {label: len(by_class.get(label, ())) for label in labels if len(by_class.get(label, ())) < len(splits)}
    if too_few:
        found = ", ".join(f"{label} has {count}" for label, count in too_few.items())
        raise UserError(
            f"every class needs at least {len(splits)} different pictures (one each for {', '.join(splits)}; "
            f"near-duplicates and one photographer's pictures of one event count as one), but {found}: "
            "add pictures, remove the class, or leave such classes out with --min-per-class"
        )


def _check_previous(split_of: dict[str, str], ratios: Mapping[str, float]) -> None:
    if unwanted := sorted(set(split_of.values()) - set(ratios)):
        raise UserError(
            f"the earlier dataset has a {unwanted[0]} split, and --ratios leaves none: its pictures would be learned "
            "from. Build to another --out, or with another --seed, which draws every split anew"
        )


def _previous_splits(groups: Sequence[str], previous: Sequence[str | None]) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for group, split in zip(groups, previous, strict=True):
        if split is not None:
            split_of[group] = max(split, split_of.get(group, split), key=SPLITS.index)
    return split_of


def _fill(
    label: str,
    names: list[str],
    sizes: dict[str, int],
    seed: int,
    split_of: dict[str, str],
    ratios: Mapping[str, float],
) -> None:
    """Adds the new groups of one class to `split_of`."""
    lack = {split: share * sum(sizes.values()) for split, share in ratios.items()}
    for name in names:
        if name in split_of:
            lack[split_of[name]] -= sizes[name]
    # Large groups first, while there is room for them; equal ones in an order that the seed decides.
    new = sorted((name for name in names if name not in split_of), key=lambda n: (-sizes[n], _draw(seed, label, n)))
    for name in new:
        split_of[name] = max(ratios, key=lambda split: lack[split])
        lack[split_of[name]] -= sizes[name]
    for empty in ratios:
        inside = Counter(split_of[name] for name in names)
        if not inside[empty]:
            # The smallest new group of the split that has most of them; what was assigned before stays, unless
            # there is no other way to have the class on every side: then it leaves train, but never test.
            givers = sorted((split for split in ratios if inside[split] > 1), key=lambda split: -inside[split])
            takers = [name for giver in givers for name in reversed(new) if split_of[name] == giver]
            takers += sorted(name for name in names if split_of[name] in set(givers) - {"test"})
            if not takers:
                raise UserError(
                    f"new pictures join what {label} had in several splits, and none is left for {empty}: add more "
                    f"different pictures of {label}, or another --seed, which draws every split anew"
                )
            split_of[takers[0]] = empty


def _draw(seed: int, label: str, group: str) -> bytes:
    return hashlib.sha256(f"{seed}:{label}:{group}".encode()).digest()
