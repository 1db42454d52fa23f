"""What to search for at a source, and in which order."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dataset_card.dances import DANCES, Dance, dance_of
from dataset_card.sources.commons import Commons
from dataset_card.sources.icrawler import Bing
from dataset_card.sources.openverse import Openverse
from dataset_card.sources.search_hit import SearchHit, SkippedHit
from files.errors import UserError

SourceName = Literal["commons", "openverse", "icrawler"]
SOURCES: dict[SourceName, type[Commons] | type[Openverse] | type[Bing]] = {
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


@dataclass(frozen=True)
class SearchPlan:
    """What to search for.

    Attributes:
        label: The sub-folder.
        dance: None for a class that is not one of `DANCES`.
        categories: Of Wikimedia Commons; None for those of the dance.
        queries: Words to search for.
    """

    label: str
    dance: Dance | None
    categories: list[str] | None
    queries: list[str]


def make_plan(name: str, source: SourceName, categories: list[str], queries: list[str]) -> SearchPlan:
    """Decides what to search for: what the user asks for, or else what belongs to the dance.

    Raises:
        UserError: The name is unknown, or the options contradict each other.
    """
    dance = dance_of(name)
    if categories and source != "commons":
        raise UserError(f"--category is for --source commons, {source} has none: use --query")
    if dance is None and not categories and not queries:
        raise UserError(
            f"{name!r} is none of the known dances ({', '.join(DANCES)}): say where to look with --category or --query"
        )
    label = dance.label if dance else re.sub(r"\W+", "-", unicodedata.normalize("NFC", name).casefold()).strip("-_")
    if not label:
        raise UserError(f"{name!r} gives no name for a folder: use letters")
    if dance and not categories and not queries:
        return SearchPlan(label, dance, None, list(dance.searches))
    return SearchPlan(label, dance, categories, queries)


def search(
    source: Commons | Openverse | Bing, plan: SearchPlan, depth: int, limit: int
) -> Iterator[SearchHit | SkippedHit]:
    """Yields what a source has, the surest first; the source is asked only as far as the iterator is read.

    Args:
        source: Where to search.
        plan: What to search for.
        depth: Levels of sub-categories on Wikimedia Commons.
        limit: Results of one query of `Bing`, which does not wait to be read.

    Raises:
        UserError: A category does not exist, or the source does not answer.
    """
    if isinstance(source, Commons):
        categories = _categories(source, plan)
        yield from source.in_categories(categories, depth, lambda name: is_off_topic(name, plan.label))
    for words in plan.queries:
        yield from source.search(words, limit) if isinstance(source, Bing) else source.search(words)


def is_off_topic(category: str, label: str) -> bool:
    """Tells whether a sub-category holds something else than dancers of this dance."""
    other = dance_of(category)
    return bool(_OFF_TOPIC.search(category)) or (other is not None and other.label != label)


def _categories(commons: Commons, plan: SearchPlan) -> list[str]:
    # Names of categories follow no rule: only existing ones are used.
    if plan.categories is None and plan.dance:
        own = commons.category_of_article(plan.dance.wikipedia)
        return (commons.existing([own]) if own else []) or commons.existing(list(plan.dance.categories))
    names = plan.categories or []
    if missing := [name for name in names if not commons.existing([name])]:
        raise UserError(
            f"Wikimedia Commons has no category {missing[0]!r} with files: look its name up there, or use --query"
        )
    return commons.existing(names) if names else []
