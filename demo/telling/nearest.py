"""The training pictures that look most like a visitor's one, each with author and licence where it may be shown."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_folder.facts import Dance, plain
from model_folder.reference_features import Nearest
from model_folder.reference_pictures import ReferencePicture

MOST = 3
_LONGEST_CREDIT = 80


@dataclass(frozen=True)
class Neighbour:
    """A training picture to show.

    Attributes:
        name: Of its dance.
        distance: In words, such as "0.123".
        alike: The key of the words on it; empty where nobody knows what is far.
        uri: A small copy for an `img` of HTML; empty where its licence does not let it be shown.
        credit: Author and licence; empty where it is not shown.
        url: Its page on the web; may be empty.
    """

    name: str
    distance: str
    alike: str
    uri: str
    credit: str
    url: str


@dataclass(frozen=True)
class Neighbourhood:
    """What there is to say of the training pictures that look most like one.

    Attributes:
        neighbours: The nearest first.
        k: Over how many the distance is averaged that says whether it is like none of the dances.
        threshold: That distance, in words; empty where there is none.
    """

    neighbours: Sequence[Neighbour]
    k: int
    threshold: str


def neighbourhood(
    nearest: Nearest | None, threshold: float | None, learned: Sequence[ReferencePicture], dances: Mapping[str, Dance]
) -> Neighbourhood | None:
    """Gathers what there is to say of the training pictures that look most like a visitor's one.

    Args:
        nearest: Of this one picture; None where nobody knows.
        threshold: From which mean distance on it is like none of the dances.
        learned: The pictures of the reference features.
        dances: The model's classes.

    Returns:
        None where nobody knows.
    """
    if nearest is None or not learned:
        return None
    found = zip(nearest.rows[0, :MOST].tolist(), nearest.distances[0, :MOST].tolist(), strict=True)
    return Neighbourhood(
        [_neighbour(learned[row], distance, threshold, dances) for row, distance in found],
        nearest.rows.shape[1],
        "" if threshold is None else f"{threshold:.3f}",
    )


def _neighbour(
    picture: ReferencePicture, distance: float, threshold: float | None, dances: Mapping[str, Dance]
) -> Neighbour:
    name = dances[picture.label].name if picture.label in dances else plain(picture.label)
    said = f"{max(0.0, distance):.3f}"
    alike = ""
    if threshold is not None:
        alike = "near_far" if distance > threshold else "near_alike" if distance > threshold / 2 else "near_very"
    if picture.jpeg is None:
        return Neighbour(name, said, alike, "", "", "")
    uri = f"data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}"
    credit = ", ".join(filter(None, (plain(of, _LONGEST_CREDIT) for of in (picture.author, picture.license))))
    return Neighbour(name, said, alike, uri, credit, picture.source_url)
