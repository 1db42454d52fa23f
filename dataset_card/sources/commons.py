"""Wikimedia Commons: categories, their sub-categories, searches, and the files of each.

API facts: https://www.mediawiki.org/wiki/API:Continue, API:Categorymembers, API:Imageinfo, Manual:Maxlag_parameter.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dataset_card.sources.addresses import Door
from dataset_card.sources.answers import BusyError, retry_after
from dataset_card.sources.commons_page import FIELDS, read_page
from dataset_card.sources.finding import Finding
from dataset_card.sources.http import Web, WebError
from dataset_card.sources.servers import pause_between, server

THUMBNAIL_WIDTH = 960
"""Pixels: one of the widths that Wikimedia makes. Any other is refused when it is asked for by hand."""
MAX_CATEGORIES = 200

_MEDIA = {"upload.wikimedia.org", "thumb.wikimedia.org"}
# Each reply takes as many parses of description pages as it has files: 50 is what thumbnails are limited to, too.
_BATCH = "50"
_DESCRIBED = {
    "prop": "imageinfo|categories",
    "cllimit": "max",
    "clshow": "hidden",
    "iiprop": "url|size|mime|sha1|user|extmetadata",
    "iiurlwidth": str(THUMBNAIL_WIDTH),
    "iiextmetadatalanguage": "en",
    "iiextmetadatafilter": "|".join(FIELDS),
}
_MAXLAG = 5


class Commons:
    """Asks the APIs of Wikimedia Commons and Wikidata, one request at a time.

    Args:
        name: What every request says of itself, see `contact.user_agent`.
    """

    def __init__(self, name: str) -> None:
        self._commons = server("NRITYA_COMMONS_API", "https://commons.wikimedia.org/w/api.php")
        self._wikidata = server("NRITYA_WIKIDATA_API", "https://www.wikidata.org/w/api.php")
        servers = (self._commons, self._wikidata)
        self._pause = pause_between(*servers)
        # Where a test stands in for the API, it stands in for the media servers as well.
        media = set() if self._commons.is_replaced else _MEDIA
        self.web = Web(name, Door(frozenset({*media, *(one.netloc for one in servers)})), self._pause)

    def category_of_article(self, title: str) -> str | None:
        """Returns the category that belongs to an article of the English Wikipedia, as Wikidata says."""
        question = {"action": "wbgetentities", "sites": "enwiki", "titles": title, "props": "claims|sitelinks"}
        for entity in self._ask(self._wikidata.url, question).get("entities", {}).values():
            for claim in (entity.get("claims") or {}).get("P373", []):
                if value := claim.get("mainsnak", {}).get("datavalue", {}).get("value"):
                    return str(value)
            link = (entity.get("sitelinks") or {}).get("commonswiki", {}).get("title", "")
            if link.startswith("Category:"):
                return str(link.removeprefix("Category:"))
        return None

    def existing(self, categories: list[str]) -> list[str]:
        """Returns those categories that hold files or other categories, in the order given."""
        titles = [f"Category:{_plain(name)}" for name in categories]
        question = {"action": "query", "prop": "categoryinfo", "titles": "|".join(titles)}
        alive = set()
        for page in self._pages(question):
            info = page.get("categoryinfo") or {}
            # A category without either is often one that has moved elsewhere.
            if info.get("files", 0) + info.get("subcats", 0) > 0:
                alive.add(page["title"])
        return [title.removeprefix("Category:") for title in dict.fromkeys(titles) if title in alive]

    def in_categories(
        self, categories: list[str], depth: int, is_off_topic: Callable[[str], bool]
    ) -> Iterator[Finding]:
        """Finds the files of categories and of those below them, nearest first.

        Args:
            categories: Names, without "Category:".
            depth: How many levels of sub-categories to go down, 0 for none; never more than `MAX_CATEGORIES` in all.
            is_off_topic: Tells by its name whether a sub-category is left out.
        """
        # The graph has cycles, and drifts off its topic sooner or later.
        seen = set(categories)
        waiting = deque((name, 0) for name in categories)
        while waiting:
            name, level = waiting.popleft()
            members = {"gcmtitle": f"Category:{name}", "gcmtype": "file", "gcmlimit": _BATCH}
            question = {"action": "query", "generator": "categorymembers", **members, **_DESCRIBED}
            yield from map(read_page, self._pages(question))
            if level == depth:
                continue
            for below in self._subcategories(name):
                if below not in seen and len(seen) < MAX_CATEGORIES and not is_off_topic(below):
                    seen.add(below)
                    waiting.append((below, level + 1))

    def search(self, words: str) -> Iterator[Finding]:
        """Finds pictures whose description holds all these words, best match first."""
        found = {"gsrsearch": f"{words} filetype:bitmap", "gsrnamespace": "6", "gsrlimit": _BATCH, "gsrwhat": "text"}
        question = {"action": "query", "generator": "search", **found, **_DESCRIBED}
        yield from map(read_page, self._pages(question))

    def _subcategories(self, name: str) -> Iterator[str]:
        members = {"cmtitle": f"Category:{name}", "cmtype": "subcat", "cmlimit": "500"}
        for reply in self._replies({"action": "query", "list": "categorymembers", **members}):
            for member in reply.get("query", {}).get("categorymembers", []):
                yield str(member["title"]).removeprefix("Category:")

    def _pages(self, question: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Gives the pages of all replies, each once and complete.

        One page may come in several replies, each with more of its properties, until one says `batchcomplete`.
        """
        batch: dict[str, dict[str, Any]] = {}
        for reply in self._replies(question):
            for page in reply.get("query", {}).get("pages", []):
                known = batch.setdefault(str(page.get("pageid", page.get("title"))), {})
                for key, value in page.items():
                    known[key] = known[key] + value if isinstance(known.get(key), list) else value
            if reply.get("batchcomplete") or "continue" not in reply:
                yield from sorted(batch.values(), key=lambda page: page.get("index", 0))
                batch = {}

    def _replies(self, question: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        # What a reply says under `continue` is added to the first question, never to the one before.
        more: dict[str, str] = {}
        while True:
            reply = self._ask(self._commons.url, {**question, **more})
            yield reply
            if "continue" not in reply:
                return
            following = {key: str(value) for key, value in reply["continue"].items()}
            if following == more:
                raise WebError("Wikimedia Commons goes round in circles: run the same command again later")
            more = following

    def _ask(self, url: str, question: Mapping[str, str]) -> dict[str, Any]:
        params = {"format": "json", "formatversion": "2", "maxlag": str(_MAXLAG), **question}
        reply = self.web.get_json(url, params, self._check_lag)
        if error := reply.get("error"):
            raise WebError(
                f"Wikimedia Commons refuses to answer ({error.get('code')}: {error.get('info')}): check the options"
            )
        return reply

    def _check_lag(self, reply: dict[str, Any], headers: Mapping[str, str]) -> None:
        """Errors come with status 200; two of them mean "later"."""
        code = (reply.get("error") or {}).get("code")
        if code in ("maxlag", "ratelimited"):
            named = retry_after(headers.get("Retry-After", ""))
            raise BusyError(f"is busy ({code})", max(_MAXLAG * self._pause, named or 0))


def _plain(category: str) -> str:
    name = " ".join(category.replace("_", " ").split()).removeprefix("Category:").strip()
    return name[:1].upper() + name[1:]
