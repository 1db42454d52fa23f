"""Who goes to train, validation and test: whole groups, stratified by class, seeded, and for good."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from files.errors import UserError

RATIOS = {"train": 0.70, "validation": 0.15, "test": 0.15}
SPLITS = tuple(RATIOS)


class TooFewGroupsError(UserError):
    """A class has fewer groups of pictures than there are splits."""


class RatiosError(UserError):
    """Shares of the splits that can't be."""


def assign_splits(
    labels: Sequence[str],
    groups: Sequence[str],
    seed: int,
    former: Sequence[str | None] | None = None,
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
        groups: The group of every picture: pictures of one group never part.
        seed: Another seed gives another assignment.
        former: For every picture the split that an earlier dataset had it in, None for a new one.
        ratios: The share of every split that there will be.

    Returns:
        For every picture the name of its split; within each class, their shares are near `ratios`.

    Raises:
        TooFewGroupsError: A class has too few groups, so that one split would miss it.
        RatiosError: An earlier dataset has pictures in a split that shall not be any more.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for label, group in zip(labels, groups, strict=True):
        members[group].append(label)
    # A group that spans two classes counts for the one it has more pictures of (ties: by name).
    by_class: dict[str, list[str]] = defaultdict(list)
    for group, of in members.items():
        by_class[max(sorted(set(of)), key=of.count)].append(group)
    _check_enough(sorted(set(labels)), by_class, tuple(ratios))

    split_of = _former_splits(groups, former or [None] * len(groups))
    _check_former(split_of, ratios)
    for label, names in by_class.items():
        _fill(label, names, {name: len(members[name]) for name in names}, seed, split_of, ratios)
    return [split_of[group] for group in groups]


def _check_enough(labels: list[str], by_class: dict[str, list[str]], splits: tuple[str, ...]) -> None:
    too_few = {label: len(by_class.get(label, ())) for label in labels if len(by_class.get(label, ())) < len(splits)}
    if too_few:
        found = ", ".join(f"{label} has {count}" for label, count in too_few.items())
        raise TooFewGroupsError(
            f"every class needs at least {len(splits)} different pictures (one each for {', '.join(splits)}; "
            f"near-duplicates and one photographer's pictures of one event count as one), but {found}: "
            "add pictures or remove the class"
        )


def _check_former(split_of: dict[str, str], ratios: Mapping[str, float]) -> None:
    if unwanted := sorted(set(split_of.values()) - set(ratios)):
        raise RatiosError(
            f"the earlier dataset has a {unwanted[0]} split, and --ratios leaves none: its pictures would be learned "
            "from. Build to another --out, or with another --seed, which draws every split anew"
        )


def _former_splits(groups: Sequence[str], former: Sequence[str | None]) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for group, split in zip(groups, former, strict=True):
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
                raise TooFewGroupsError(
                    f"new pictures join what {label} had in several splits, and none is left for {empty}: add more "
                    f"different pictures of {label}, or another --seed, which draws every split anew"
                )
            split_of[takers[0]] = empty


def _draw(seed: int, label: str, group: str) -> bytes:
    return hashlib.sha256(f"{seed}:{label}:{group}".encode()).digest()
