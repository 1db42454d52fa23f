"""Openverse: a search over many collections, Flickr above all, that states licence and author of each picture.

What its API allows an unregistered client: https://docs.openverse.org/api/reference/made_with_ov.html. It does not
verify licences; the page of each picture states them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dataset_card.licenses import UNKNOWN, license_of, license_of_url
from dataset_card.sources.allowed_hosts import AllowedHosts
from dataset_card.sources.http import HttpClient, Server, pause_for
from dataset_card.sources.search_hit import SearchHit, SkippedHit, event_of

SOURCE = "openverse"
PAGE_SIZE = 20
"""More is answered with status 401."""
MAX_RESULTS = 240
"""Of one query: several narrow queries find more than a wide one."""

# 20 requests a minute. A slower rate in its headers is kept to as well.
_PAUSES = 3
_LICENSES = ("by", "by-sa", "cc0", "pdm")


class Openverse:
    """The API of Openverse, without an account.

    Args:
        user_agent: See `http.user_agent`.
    """

    def __init__(self, user_agent: str) -> None:
        self._api = Server.at("https://api.openverse.org/v1", "NRITYA_OPENVERSE_API")
        pause = pause_for(self._api)
        allowed = AllowedHosts(frozenset({self._api.netloc}), any_public=True)
        pauses = {} if self._api.is_replaced else {self._api.netloc: _PAUSES * pause}
        self.client = HttpClient(user_agent, allowed, pause, pauses)

    def search(self, words: str) -> Iterator[SearchHit | SkippedHit]:
        """Yields pictures by words, best match first, without those of Wikimedia Commons."""
        query = {
            "q": words,
            # By name: the API's "commercial" and "modification" together let more in.
            "license": ",".join(_LICENSES),
            "category": "photograph",
            "excluded_source": "wikimedia",
            "page_size": str(PAGE_SIZE),
        }
        for page in range(1, MAX_RESULTS // PAGE_SIZE + 1):
            reply = self.client.get_json(f"{self._api.url}/images/", {**query, "page": str(page)})
            results = reply.get("results") or []
            yield from map(read_result, results)
            if not results or page >= int(reply.get("page_count") or 0):
                return


def read_result(result: Mapping[str, Any]) -> SearchHit | SkippedHit:
    """Reads one result; any of its values may be null.

    Returns:
        A hit whose licence allows to publish it and whose author is named where the licence requires it, or the
        reason why not.
    """

    def value(field: str) -> str:
        return " ".join(str(result.get(field) or "").split())

    page_url = value("foreign_landing_url")
    if not page_url.startswith(("http://", "https://")) or not value("url"):
        return SkippedHit(page_url, "no file to download", value("id"))
    if result.get("mature"):
        return SkippedHit(page_url, "marked as mature")
    code = value("license")
    name = f"cc-{code}-{value('license_version')}" if code.startswith("by") else code
    license = license_of(name)
    if license_of_url(value("license_url")) not in (UNKNOWN, license):
        return SkippedHit(page_url, "licence unclear", f"{name}, but {value('license_url')}")
    if code not in _LICENSES or not license.redistributable or license.noncommercial:
        return SkippedHit(page_url, "licence does not allow it", name or "none")
    if license.attribution and not value("creator"):
        return SkippedHit(page_url, "no author named", license.name)
    author_url = value("creator_url")
    return SearchHit(
        source=SOURCE,
        source_id=value("id") or page_url,
        title=value("title"),
        page_url=page_url,
        file_url=value("url"),
        author=value("creator"),
        author_url=author_url if author_url.startswith(("http://", "https://")) else "",
        license=license.id,
        license_url=value("license_url") or license.url,
        event=event_of("", value("title")),
        width=int(result.get("width") or 0),
        height=int(result.get("height") or 0),
    )
