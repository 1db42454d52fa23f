"""Wikimedia Commons: categories, their sub-categories, searches, and what the API states of each file.

API facts: https://www.mediawiki.org/wiki/API:Continue, API:Categorymembers, API:Imageinfo, Manual:Maxlag_parameter.
What a page states (`extmetadata`) is text that people typed into templates: HTML, optional throughout, contradictory
at times.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

from dataset_card.licenses import UNKNOWN, License, license_of, license_of_url
from dataset_card.sources.allowed_hosts import AllowedHosts
from dataset_card.sources.http import TRY_AGAIN, BusyError, HttpClient, Server, pause_for, retry_after
from dataset_card.sources.search_hit import SearchHit, SkippedHit, event_of
from files.errors import UserError

SOURCE = "commons"
THUMBNAIL_WIDTH = 960
"""Pixels: one of the widths that Wikimedia makes. It refuses requests for any other."""
MAX_CATEGORIES = 200

_MEDIA_HOSTS = {"upload.wikimedia.org", "thumb.wikimedia.org"}
_MAXLAG = 5
# The server parses the description page of every file in a reply; thumbnails are limited to 50 as well.
_BATCH = "50"
_FIELDS = (
    "LicenseShortName", "License", "LicenseUrl", "Artist", "Attribution", "AttributionRequired", "AuthorCount",
    "NonFree", "DeletionReason", "Restrictions", "DateTimeOriginal",
)  # fmt: skip
_FILE_PROPERTIES = {
    "prop": "imageinfo|categories",
    "cllimit": "max",
    "clshow": "hidden",
    "iiprop": "url|size|mime|sha1|user|extmetadata",
    "iiurlwidth": str(THUMBNAIL_WIDTH),
    "iiextmetadatalanguage": "en",
    "iiextmetadatafilter": "|".join(_FIELDS),
}
_MIME = {"image/jpeg", "image/png", "image/webp"}
_NOBODY = re.compile(r"(unknown|anonymous|author|photographer|not|stated|provided|n/?a|[\W\d_])*", re.IGNORECASE)
_CC_CATEGORY = re.compile(r"Category:(CC-BY(?:-(?:SA|NC|ND))*-\d\.\d)\b", re.IGNORECASE)


class Commons:
    """The APIs of Wikimedia Commons and Wikidata, one request at a time.

    Args:
        user_agent: See `http.user_agent`.
    """

    def __init__(self, user_agent: str) -> None:
        self._commons = Server.at("https://commons.wikimedia.org/w/api.php", "NRITYA_COMMONS_API")
        self._wikidata = Server.at("https://www.wikidata.org/w/api.php", "NRITYA_WIKIDATA_API")
        self._pause = pause_for(self._commons, self._wikidata)
        # A server that replaces the API replaces the media servers as well.
        media = set() if self._commons.is_replaced else _MEDIA_HOSTS
        hosts = frozenset({*media, self._commons.netloc, self._wikidata.netloc})
        self.client = HttpClient(user_agent, AllowedHosts(hosts), self._pause)

    def category_of_article(self, title: str) -> str | None:
        """Returns the category that Wikidata gives for an article of the English Wikipedia."""
        query = {"action": "wbgetentities", "sites": "enwiki", "titles": title, "props": "claims|sitelinks"}
        for entity in self._ask(self._wikidata.url, query).get("entities", {}).values():
            for claim in (entity.get("claims") or {}).get("P373", []):
                if value := claim.get("mainsnak", {}).get("datavalue", {}).get("value"):
                    return str(value)
            link = (entity.get("sitelinks") or {}).get("commonswiki", {}).get("title", "")
            if link.startswith("Category:"):
                return str(link.removeprefix("Category:"))
        return None

    def existing(self, categories: list[str]) -> list[str]:
        """Returns those categories that hold files or other categories, in the order given."""
        titles = [f"Category:{_normalized(name)}" for name in categories]
        query = {"action": "query", "prop": "categoryinfo", "titles": "|".join(titles)}
        filled = set()
        for page in self._pages(query):
            info = page.get("categoryinfo") or {}
            # A category without either has often moved elsewhere.
            if info.get("files", 0) + info.get("subcats", 0) > 0:
                filled.add(page["title"])
        return [title.removeprefix("Category:") for title in dict.fromkeys(titles) if title in filled]

    def in_categories(
        self, categories: list[str], depth: int, is_off_topic: Callable[[str], bool]
    ) -> Iterator[SearchHit | SkippedHit]:
        """Yields the files of categories and of their sub-categories, breadth first.

        Args:
            categories: Names, without "Category:".
            depth: Levels of sub-categories, 0 for none; at most `MAX_CATEGORIES` categories in all.
            is_off_topic: Tells by its name whether a sub-category is left out.
        """
        # The graph has cycles.
        seen = set(categories)
        queue = deque((name, 0) for name in categories)
        while queue:
            name, level = queue.popleft()
            members = {"gcmtitle": f"Category:{name}", "gcmtype": "file", "gcmlimit": _BATCH}
            query = {"action": "query", "generator": "categorymembers", **members, **_FILE_PROPERTIES}
            yield from map(read_page, self._pages(query))
            if level == depth:
                continue
            for below in self._subcategories(name):
                if below not in seen and len(seen) < MAX_CATEGORIES and not is_off_topic(below):
                    seen.add(below)
                    queue.append((below, level + 1))

    def search(self, words: str) -> Iterator[SearchHit | SkippedHit]:
        """Yields pictures whose description holds all these words, best match first."""
        search = {"gsrsearch": f"{words} filetype:bitmap", "gsrnamespace": "6", "gsrlimit": _BATCH, "gsrwhat": "text"}
        query = {"action": "query", "generator": "search", **search, **_FILE_PROPERTIES}
        yield from map(read_page, self._pages(query))

    def _subcategories(self, name: str) -> Iterator[str]:
        members = {"cmtitle": f"Category:{name}", "cmtype": "subcat", "cmlimit": "500"}
        for reply in self._replies({"action": "query", "list": "categorymembers", **members}):
            for member in reply.get("query", {}).get("categorymembers", []):
                yield str(member["title"]).removeprefix("Category:")

    def _pages(self, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yields the pages of all replies, each once and complete.

        A page may come in several replies, each with more of its properties, until one has `batchcomplete`.
        """
        batch: dict[str, dict[str, Any]] = {}
        for reply in self._replies(query):
            for page in reply.get("query", {}).get("pages", []):
                known = batch.setdefault(str(page.get("pageid", page.get("title"))), {})
                for key, value in page.items():
                    known[key] = known[key] + value if isinstance(known.get(key), list) else value
            if reply.get("batchcomplete") or "continue" not in reply:
                yield from sorted(batch.values(), key=lambda page: page.get("index", 0))
                batch = {}

    def _replies(self, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        # The fields of `continue` are added to the first query, never to the one before.
        position: dict[str, str] = {}
        while True:
            reply = self._ask(self._commons.url, {**query, **position})
            yield reply
            if "continue" not in reply:
                return
            following = {key: str(value) for key, value in reply["continue"].items()}
            if following == position:
                raise UserError(f"Wikimedia Commons repeats one page of results: {TRY_AGAIN}")
            position = following

    def _ask(self, url: str, query: Mapping[str, str]) -> dict[str, Any]:
        params = {"format": "json", "formatversion": "2", "maxlag": str(_MAXLAG), **query}
        reply = self.client.get_json(url, params, self._check_lag)
        if error := reply.get("error"):
            raise UserError(
                f"Wikimedia Commons refuses to answer ({error.get('code')}: {error.get('info')}): check the options"
            )
        return reply

    def _check_lag(self, reply: dict[str, Any], headers: Mapping[str, str]) -> None:
        """Raises `BusyError` for the two errors, both with status 200, that ask to come back later."""
        code = (reply.get("error") or {}).get("code")
        if code in ("maxlag", "ratelimited"):
            seconds = retry_after(headers.get("Retry-After", "")) or 0
            raise BusyError(f"is busy ({code})", max(_MAXLAG * self._pause, seconds))


def read_page(page: Mapping[str, Any]) -> SearchHit | SkippedHit:
    """Reads one page of a reply with `prop=imageinfo|categories`, format version 2.

    Returns:
        A hit whose licence allows to publish it and whose author is named where the licence requires it, or the
        reason why not.
    """
    title = str(page.get("title", ""))
    info: Mapping[str, Any] = next(iter(page.get("imageinfo") or []), {})
    url = str(info.get("descriptionurl") or f"https://commons.wikimedia.org/wiki/{title.replace(' ', '_')}")
    # An empty object arrives as a list.
    meta = info.get("extmetadata") or {}

    def value(field: str) -> str:
        entry = meta.get(field)
        return str(entry.get("value", "")).strip() if isinstance(entry, dict) else ""

    if not info.get("url") or info.get("thumberror"):
        return SkippedHit(url, "no file to download", str(info.get("thumberror", "")))
    if info.get("mime") not in _MIME:
        return SkippedHit(url, "no photograph", str(info.get("mime")))
    if value("NonFree"):
        return SkippedHit(url, "not free", value("NonFree"))
    if value("DeletionReason"):
        return SkippedHit(url, "up for deletion", plain_text(value("DeletionReason")))
    if restrictions := set(filter(None, value("Restrictions").split("|"))) - {"personality"}:
        return SkippedHit(url, "restricted by other rights", ", ".join(sorted(restrictions)))

    license_name = plain_text(value("LicenseShortName")) or value("License")
    main_license = license_of(license_name)
    if license_of_url(value("LicenseUrl")) not in (UNKNOWN, main_license):
        return SkippedHit(url, "licence unclear", f"{license_name}, but {value('LicenseUrl')}")
    license = strictest([main_license, *_licenses_in(page.get("categories") or [])])
    if not license.redistributable or license.noncommercial:
        return SkippedHit(url, "licence does not allow it", license_name or "none")

    author = plain_text(value("Attribution")) or plain_text(value("Artist"))
    if _NOBODY.fullmatch(author):
        author = ""
    if not author and (license.attribution or value("AttributionRequired") == "true"):
        return SkippedHit(url, "no author named", license.name)
    if author and value("AuthorCount").isdecimal() and int(value("AuthorCount")) > 1:
        author += " and others"  # Only the first is stated.

    file_url = str(info.get("thumburl") or info["url"])
    is_original = file_url.partition("?")[0] == str(info["url"]).partition("?")[0]
    file_name = title.partition(":")[2]
    return SearchHit(
        source=SOURCE,
        source_id=str(page["pageid"]),
        title=file_name,
        page_url=url,
        file_url=file_url,
        author=author,
        author_url=first_link(value("Artist")),
        license=license.id,
        license_url=value("LicenseUrl") if license == main_license and value("LicenseUrl") else license.url,
        event=event_of(value("DateTimeOriginal"), file_name),
        sha1=str(info.get("sha1", "")).lower(),
        is_original=is_original,
        width=int(info.get("width" if is_original else "thumbwidth") or 0),
        height=int(info.get("height" if is_original else "thumbheight") or 0),
        is_exact=not is_original,
    )


def strictest(licenses: list[License]) -> License:
    """Returns the licence that allows least and requires most; the first of equal ones."""
    return max(
        licenses, key=lambda one: (not one.redistributable, one.noncommercial, one.share_alike, one.attribution)
    )


def _licenses_in(categories: list[Mapping[str, Any]]) -> list[License]:
    """Returns the licences that the page's hidden categories name.

    `extmetadata` states one licence of several and prefers public domain: for a photograph of an old sculpture it may
    state that of the sculpture. The GFDL is left out: beside a Creative Commons licence it is an alternative.
    """
    matches = (_CC_CATEGORY.match(str(category.get("title", ""))) for category in categories)
    return [license_of(match[1]) for match in matches if match]


def _normalized(category: str) -> str:
    name = " ".join(category.replace("_", " ").split()).removeprefix("Category:").strip()
    return name[:1].upper() + name[1:]


_BASE_URL = "https://commons.wikimedia.org/"
_VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_SEPARATING = {"br", "dd", "div", "dt", "li", "p", "td", "th", "tr"}


class _TextReader(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        # Open elements from the outermost hidden one on.
        self._hidden: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in _SEPARATING:
            self.words.append(" ")
        if self._hidden or tag in ("script", "style") or "display:none" in values.get("style", "").replace(" ", ""):
            if tag not in _VOID:
                self._hidden.append(tag)
        elif tag == "a" and values.get("href"):
            self.links.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[len(self._hidden) - 1 - self._hidden[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def plain_text(html: str) -> str:
    """Returns the visible text of HTML, in one line."""
    return " ".join("".join(_TextReader(html).words).split())


def first_link(html: str) -> str:
    """Returns the first http(s) address that HTML links to, in full; empty where there is none."""
    links = [urljoin(_BASE_URL, link.strip()) for link in _TextReader(html).links]
    return next((link for link in links if link.startswith(("http://", "https://"))), "")
