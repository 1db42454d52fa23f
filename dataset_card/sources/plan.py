"""What to look for, where, and in which order."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dataset_card.knowing.dances import DANCES, Dance
from dataset_card.knowing.taxonomy import dance_of
from dataset_card.sources.commons import Commons
from dataset_card.sources.crawl import Bing
from dataset_card.sources.finding import Finding
from dataset_card.sources.openverse import Openverse
from files.errors import UserError

Source = Literal["commons", "openverse", "icrawler"]
SITES: dict[Source, type[Commons] | type[Openverse] | type[Bing]] = {
    "commons": Commons,
    "openverse": Openverse,
    "icrawler": Bing,
}

# Sub-categories that hold something else than dancers.
_OFF_TOPIC = re.compile(
    r"\b(videos?|audio|music|sculptures?|statues?|paintings?|murals?|drawings?|stamps|logos|masks?|mudras?|hastas?|"
    r"books|posters|theatres?|costumes?|jewell?ery|musical instruments|people associated|by name|village|"
    r"lai haraoba|thang[- ]ta)\b",
    re.IGNORECASE,
)


class PlanError(UserError):
    """Options that lead nowhere."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for.

    Attributes:
        label: The sub-folder.
        dance: None for a class that is no dance of ours.
        categories: Of Wikimedia Commons; None for those of the dance.
        searches: Words to search for.
    """

    label: str
    dance: Dance | None
    categories: list[str] | None
    searches: list[str]


def plan(name: str, source: Source, categories: list[str], searches: list[str]) -> Wanted:
    """Decides what to look for: what the user says, else what belongs to the dance.

    Raises:
        PlanError: A name that is unknown, or options that don't go together.
    """
    dance = dance_of(name)
    if categories and source != "commons":
        raise PlanError(f"--category is for --source commons, {source} has none: use --query")
    if dance is None and not categories and not searches:
        raise PlanError(
            f"{name!r} is none of the dances known here ({', '.join(DANCES)}): "
            "say where to look with --category or --query"
        )
    label = dance.label if dance else re.sub(r"\W+", "-", unicodedata.normalize("NFC", name).casefold()).strip("-_")
    if not label:
        raise PlanError(f"{name!r} makes no name for a folder: use letters")
    if dance and not categories and not searches:
        return Wanted(label, dance, None, list(dance.searches))
    return Wanted(label, dance, categories, searches)


def find(site: Commons | Openverse | Bing, wanted: Wanted, depth: int, limit: int) -> Iterator[Finding]:
    """Gives all that a source has, the surest first, and asks it for no more than is taken.

    Raises:
        UserError: A category that is not there, or a source that does not answer.
    """
    if isinstance(site, Commons):
        names = categories_of(site, wanted)
        yield from site.in_categories(names, depth, lambda name: is_off_topic(name, wanted.label))
    for words in wanted.searches:
        yield from site.search(words, limit) if isinstance(site, Bing) else site.search(words)


def categories_of(site: Commons, wanted: Wanted) -> list[str]:
    """Returns categories that do exist: their names on Wikimedia Commons follow no rule.

    Raises:
        PlanError: One that the user named does not.
    """
    if wanted.categories is None and wanted.dance:
        own = site.category_of_article(wanted.dance.wikipedia)
        return (site.existing([own]) if own else []) or site.existing(list(wanted.dance.categories))
    names = wanted.categories or []
    if missing := [name for name in names if not site.existing([name])]:
        raise PlanError(
            f"Wikimedia Commons has no category {missing[0]!r} with files: look its name up there, or use --query"
        )
    return site.existing(names) if names else []


def is_off_topic(category: str, label: str) -> bool:
    """Tells whether a sub-category holds something else than dancers of this dance."""
    other = dance_of(category)
    return bool(_OFF_TOPIC.search(category)) or (other is not None and other.label != label)
