"""The same picture under two labels: one of them is wrong, and no program knows which."""

from collections import defaultdict
from collections.abc import Sequence, Set

from dataset_card.reading.images import Photo
from dataset_card.reading.rejected import Rejected

REASON = "same picture under several labels"


def label_conflicts(
    photos: Sequence[Photo], near: Sequence[str], confirmed: Set[str]
) -> tuple[list[bool], list[Rejected]]:
    """Finds near-duplicates whose labels disagree; a person's decision about one of them settles it.

    Args:
        photos: The pictures, exact duplicates included.
        near: For every picture its group of near-duplicates.
        confirmed: SHA-256 of pictures whose label a person has decided.

    Returns:
        For every picture whether it may stay, and a line for each that must go.
    """
    members: dict[str, list[Photo]] = defaultdict(list)
    for photo, group in zip(photos, near, strict=True):
        members[group].append(photo)
    right: dict[str, set[str]] = {}
    for group, of in members.items():
        labels = {photo.label for photo in of}
        decided = {photo.label for photo in of if photo.sha256 in confirmed}
        if len(labels) > 1:
            # One decision speaks for its copies; two that differ speak for themselves alone.
            right[group] = decided if len(decided) == 1 else set()
    stay = [
        group not in right or photo.label in right[group] or photo.sha256 in confirmed
        for photo, group in zip(photos, near, strict=True)
    ]
    gone = [
        Rejected(photo.path, photo.label, REASON, ", ".join(sorted({p.label for p in members[group]})), photo.sha256)
        for photo, group, stays in zip(photos, near, stay, strict=True)
        if not stays
    ]
    return stay, gone
