"""Who goes to train, validation and test: whole groups, stratified by dance, seeded."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from dataset_card.errors import UserError

RATIOS = {"train": 0.70, "validation": 0.15, "test": 0.15}
SPLITS = tuple(RATIOS)


class TooFewGroupsError(UserError):
    """A dance has fewer groups of pictures than there are splits."""


def assign_splits(labels: Sequence[str], groups: Sequence[str], seed: int) -> list[str]:
    """Assigns every picture to a split.

    Each group goes, whole, to the split that lacks most pictures of its dance's quota; the largest groups choose
    first, and among equal ones only the seed and the group's name decide, never the order of the files.

    Args:
        labels: The dance of every picture.
        groups: The group of every picture: pictures of one group never part.
        seed: Another seed gives another assignment.

    Returns:
        For every picture "train", "validation" or "test", near 70/15/15 within each dance.

    Raises:
        TooFewGroupsError: A dance has fewer than three groups, so that one split would miss it.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for label, group in zip(labels, groups, strict=True):
        members[group].append(label)
    # A group that spans two dances counts for the one it has more pictures of (ties: by name).
    dance_of = {group: max(sorted(set(of)), key=of.count) for group, of in members.items()}
    by_dance: dict[str, list[str]] = defaultdict(list)
    for group, dance in dance_of.items():
        by_dance[dance].append(group)

    too_few = {
        dance: len(by_dance.get(dance, ()))
        for dance in sorted(set(labels))
        if len(by_dance.get(dance, ())) < len(RATIOS)
    }
    if too_few:
        found = ", ".join(f"{dance} has {count}" for dance, count in too_few.items())
        raise TooFewGroupsError(
            f"every class needs at least {len(RATIOS)} different pictures (one each for "
            f"{', '.join(RATIOS)}; near-duplicates count as one), but {found}: add pictures or remove the class"
        )

    split_of: dict[str, str] = {}
    for dance, names in by_dance.items():
        quota = {split: share * sum(len(members[name]) for name in names) for split, share in RATIOS.items()}
        # Large groups first, while there is room for them; equal ones in an order that the seed decides.
        names.sort(key=lambda name: (-len(members[name]), _draw(seed, dance, name)))
        for name in names:
            split = max(RATIOS, key=lambda split: quota[split])
            split_of[name] = split
            quota[split] -= len(members[name])
        for empty in SPLITS:
            if empty not in {split_of[name] for name in names}:
                # The smallest group of the split that has most of them.
                inside = Counter(split_of[name] for name in names)
                giver = max(SPLITS, key=lambda split: inside[split])
                split_of[[name for name in names if split_of[name] == giver][-1]] = empty
    return [split_of[group] for group in groups]


def _draw(seed: int, dance: str, group: str) -> bytes:
    return hashlib.sha256(f"{seed}:{dance}:{group}".encode()).digest()
