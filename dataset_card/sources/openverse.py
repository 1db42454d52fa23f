"""Openverse: a search over many collections, Flickr above all, that tells the licence and the author of each picture.

What its API allows an unregistered client: https://docs.openverse.org/api/reference/made_with_ov.html. It does not
check licences; the page of each picture does tell them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from dataset_card.licenses import UNKNOWN, license_of, license_of_url
from dataset_card.sources.addresses import Door
from dataset_card.sources.event import event_of
from dataset_card.sources.finding import Candidate, Finding, Skipped
from dataset_card.sources.http import Web
from dataset_card.sources.servers import pause_between, server

SOURCE = "openverse"
PAGE_SIZE = 20
"""More is answered with 401."""
MAX_RESULTS = 240
"""Of one query, however many there are: several narrow queries find more than a wide one."""

# 20 requests a minute; a slower rate that it names is obeyed as well.
_PAUSES = 3
_LICENSES = ("by", "by-sa", "cc0", "pdm")


class Openverse:
    """Asks the API of Openverse, without an account.

    Args:
        name: What every request says of itself, see `contact.user_agent`.
    """

    def __init__(self, name: str) -> None:
        self._api = server("NRITYA_OPENVERSE_API", "https://api.openverse.org/v1")
        pause = pause_between(self._api)
        # The pictures are anywhere, but not in the network of whoever runs this.
        door = Door(frozenset({self._api.netloc}), any_public=True)
        pauses = {} if self._api.is_replaced else {self._api.netloc: _PAUSES * pause}
        self.web = Web(name, door, pause, pauses)

    def search(self, words: str) -> Iterator[Finding]:
        """Finds pictures by words, best match first; what Wikimedia Commons has is left to `commons`."""
        question = {
            "q": words,
            # By name: the API's "commercial" and "modification" together let more in.
            "license": ",".join(_LICENSES),
            "category": "photograph",
            "excluded_source": "wikimedia",
            "page_size": str(PAGE_SIZE),
        }
        for page in range(1, MAX_RESULTS // PAGE_SIZE + 1):
            reply = self.web.get_json(f"{self._api.url}/images/", {**question, "page": str(page)})
            results = reply.get("results") or []
            yield from map(read_result, results)
            if not results or page >= int(reply.get("page_count") or 0):
                return


def read_result(result: Mapping[str, Any]) -> Finding:
    """Reads one result: a candidate, or the reason why it is none. Any of its values may be null."""

    def value(field: str) -> str:
        return " ".join(str(result.get(field) or "").split())

    page_url = value("foreign_landing_url")
    if not page_url.startswith(("http://", "https://")) or not value("url"):
        return Skipped(page_url, "no file to fetch", value("id"))
    if result.get("mature"):
        return Skipped(page_url, "marked as mature")
    code = value("license")
    name = f"cc-{code}-{value('license_version')}" if code.startswith("by") else code
    license = license_of(name)
    if license_of_url(value("license_url")) not in (UNKNOWN, license):
        return Skipped(page_url, "licence unclear", f"{name}, but {value('license_url')}")
    if code not in _LICENSES or not license.redistributable or license.noncommercial:
        return Skipped(page_url, "licence does not allow it", name or "none")
    if license.attribution and not value("creator"):
        return Skipped(page_url, "no author named", license.name)
    author_url = value("creator_url")
    return Candidate(
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
