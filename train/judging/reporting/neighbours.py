"""The training pictures that look most like what a model was wrong about: what it may have taken them for."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import datasets

from model_folder.reference_features import Nearest
from model_folder.reference_pictures import ReferencePicture
from train.judging.reporting.credits import Credit
from train.judging.reporting.pictures import Pictures, data_uri

MOST = 3
"""Of a picture."""
_SIDE, _QUALITY = 96, 70


@dataclass(frozen=True)
class Neighbour:
    """A training picture, as the page shows it.

    Attributes:
        label: Its class.
        image: Source of its `<img>`; empty where it is not at hand.
        credit: Author and licence.
        url: Its page; may be empty.
    """

    label: str
    image: str
    credit: str
    url: str


class Neighbours:
    """Training pictures for one report, each of them once, however many pictures it is near to.

    Attributes:
        shown: In the order in which they were asked for.
        credits: Whose those are that can be seen.
    """

    def __init__(
        self, nearest: Nearest | None, learned: Sequence[ReferencePicture], train: datasets.Dataset | None
    ) -> None:
        """Takes what is near to the pictures of a split, and where it can be seen.

        Args:
            nearest: As the predictions have it; without it, and without `learned`, there is nothing to show.
            learned: The pictures of the model's reference features, which hold small copies where licences allow it.
            train: The training split, where it is at hand: it shows all of those that it has.
        """
        self._nearest, self._learned = nearest if learned else None, learned
        at_hand = train is not None and {"sha256", "image"} <= set(train.column_names)
        self._pictures = Pictures(train) if train is not None and at_hand else None
        self._row_of = {name: row for row, name in enumerate(train["sha256"])} if train is not None and at_hand else {}
        self._places: dict[int, int] = {}
        self.shown: list[Neighbour] = []
        self.credits: list[Credit] = []

    def of(self, index: int) -> list[tuple[int, float]]:
        """Returns what is nearest to a picture: places in `shown`, and distances; nothing where nobody knows."""
        if self._nearest is None:
            return []
        rows, distances = self._nearest.rows[index, :MOST].tolist(), self._nearest.distances[index, :MOST].tolist()
        return [(self._place(row), round(distance, 3)) for row, distance in zip(rows, distances, strict=True)]

    def _place(self, row: int) -> int:
        if row not in self._places:
            self._places[row] = len(self.shown)
            self.shown.append(self._look_up(self._learned[row]))
        return self._places[row]

    def _look_up(self, learned: ReferencePicture) -> Neighbour:
        here = self._row_of.get(learned.sha256) if learned.sha256 else None
        if self._pictures is not None and here is not None:
            credit = self._pictures.credit(here)
            image = data_uri(self._pictures.open(here, _SIDE), _QUALITY)
        else:
            credit = Credit(learned.sha256, learned.license, learned.author, learned.source_url)
            copied = learned.jpeg
            image = f"data:image/jpeg;base64,{base64.b64encode(copied).decode()}" if copied else ""
        if image:
            self.credits.append(credit)
        return Neighbour(learned.label, image, credit.line, credit.source_url)
