"""Which servers are asked, and how a test puts its own in their place.

The environment variables `NRITYA_COMMONS_API`, `NRITYA_WIKIDATA_API`, `NRITYA_OPENVERSE_API` and `NRITYA_BING`
replace a server's address. `NRITYA_PAUSE` then replaces the second between two requests, but only where every server
has been replaced: nobody asks the real ones faster than they allow.
"""

import os
from dataclasses import dataclass

import httpx2

from dataset_card.sources.addresses import netloc_of
from dataset_card.sources.pace import PAUSE


@dataclass(frozen=True)
class Server:
    """A server's address, and whether a test has put it in the place of the real one."""

    url: str
    is_replaced: bool

    @property
    def netloc(self) -> str:
        """Host and port, as `Door.hosts` wants them."""
        return netloc_of(httpx2.URL(self.url))


def server(variable: str, url: str) -> Server:
    """Returns the server at `url`, or the one that an environment variable names in its place."""
    replaced = os.environ.get(variable)
    return Server(replaced or url, bool(replaced))


def pause_between(*servers: Server) -> float:
    """Returns the seconds between two requests, the unit of all waiting that no server asks for by itself."""
    replaced = os.environ.get("NRITYA_PAUSE")
    return float(replaced) if replaced and all(server.is_replaced for server in servers) else PAUSE
