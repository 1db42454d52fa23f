"""The pictures on their way into a dataset, and those of them that no dataset should have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from dataset_card.choosing.conflicts import label_conflicts
from dataset_card.choosing.duplicates import exact_duplicates, near_duplicate_groups
from dataset_card.choosing.former import Former
from dataset_card.choosing.groups import event_of, join_groups
from dataset_card.knowing.licenses import why_not_publish
from dataset_card.knowing.provenance import Provenance
from dataset_card.reading.images import Photo
from dataset_card.reading.rejected import Rejected


@dataclass(frozen=True)
class Pile:
    """Pictures on their way into the dataset, with what is known about each of them.

    Attributes:
        photos: The pictures.
        near: The group of near-duplicates of each.
        origin: Where each comes from.
        given: The split that each came in, empty where it has none yet.
    """

    photos: list[Photo]
    near: list[str]
    origin: list[Provenance]
    given: list[str]

    @classmethod
    def of(
        cls, chosen: list[Photo], photos: Path, provenance: Mapping[str, Provenance], given: Mapping[Path, str]
    ) -> "Pile":
        """Finds near-duplicates and origins."""
        files = [photo.path.relative_to(photos).as_posix() for photo in chosen]
        origin = [provenance.get(file, Provenance(file)) for file in files]
        return cls(chosen, near_duplicate_groups(chosen), origin, [given.get(photo.path, "") for photo in chosen])

    def only(self, stay: Sequence[bool]) -> "Pile":
        """Returns the pictures that may stay."""
        return Pile(
            list(compress(self.photos, stay)),
            list(compress(self.near, stay)),
            list(compress(self.origin, stay)),
            list(compress(self.given, stay)),
        )

    def groups(self) -> list[str]:
        """Returns the group of every picture: near-duplicates, joined where they show one event."""
        labels = [photo.label for photo in self.photos]
        events = [event_of(label, record) for label, record in zip(labels, self.origin, strict=True)]
        return join_groups(self.near, events, [photo.sha256 for photo in self.photos])


def leave_out(
    pile: Pile, former: Former, confirmed: frozenset[str], only_redistributable: bool
) -> tuple[Pile, list[Rejected]]:
    """Leaves out pictures whose label is in doubt, copies and, if asked, what must not be published."""
    stay, conflicts = label_conflicts(pile.photos, pile.near, confirmed)
    pile = pile.only(stay)
    # A picture keeps its name, and with it its split; then the copy counts whose licence is known.
    preferred = [
        (photo.sha256 in former.splits, why_not_publish(record.license, record.author, record.source_url) is None)
        for photo, record in zip(pile.photos, pile.origin, strict=True)
    ]
    stay, copies = exact_duplicates(pile.photos, preferred, pile.given)
    pile = pile.only(stay)
    if not only_redistributable:
        return pile, conflicts + copies
    refusals = [why_not_publish(record.license, record.author, record.source_url) for record in pile.origin]
    unpublishable = [
        Rejected(photo.path, photo.label, "must not be published", why, photo.sha256)
        for photo, why in zip(pile.photos, refusals, strict=True)
        if why
    ]
    return pile.only([why is None for why in refusals]), conflicts + copies + unpublishable
