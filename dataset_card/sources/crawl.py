"""Bing's image search through icrawler, as in the walk-through of 2018: pictures whose licence nobody knows.

icrawler only asks and reads the pages of results here; the pictures are fetched as those of every other source. Its
crawler for Google has been broken since Google answers with a script (icrawler issues 107 and 135).
"""

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from dataset_card.sources.addresses import Door
from dataset_card.sources.event import event_of
from dataset_card.sources.finding import Candidate, Finding
from dataset_card.sources.http import Web
from dataset_card.sources.servers import pause_between, server
from files.errors import UserError

SOURCE = "icrawler"
_PAGE = 20
_MOST = 1000


class NoCrawlerError(UserError):
    """icrawler is not installed."""


class Bing:
    """Asks Bing's image search.

    Args:
        name: What every request says of itself, see `contact.user_agent`.

    Raises:
        NoCrawlerError: icrawler is not installed.
    """

    def __init__(self, name: str) -> None:
        try:
            import icrawler.builtin  # noqa: F401
        except ImportError:
            raise NoCrawlerError(
                "--source icrawler needs icrawler: pip install -r requirements-crawl.txt; or take another --source, "
                "which also tells licences"
            ) from None
        self._name = name
        self._server = server("NRITYA_BING", "https://www.bing.com/images/async")
        self._pause = pause_between(self._server)
        local = frozenset({self._server.netloc} if self._server.is_replaced else ())
        self.web = Web(name, Door(local, any_public=True), self._pause)

    def search(self, words: str, limit: int) -> Iterator[Finding]:
        """Finds at most `limit` pictures by words, in no certain order."""
        for task in self._tasks(words, min(limit, _MOST)):
            yield Candidate(
                source=SOURCE,
                source_id=task["file_url"],
                title=" ".join(str(task["title"] or "").split()),
                page_url=str(task["page_url"] or task["file_url"]),
                file_url=task["file_url"],
                event=event_of("", str(task["title"] or "")),
            )

    def _tasks(self, words: str, limit: int) -> list[dict[str, Any]]:
        from bs4 import BeautifulSoup
        from icrawler import Crawler, Downloader, Feeder, Parser

        address, pause = f"{self._server.url}?q={quote(words)}&qft=+filterui:photo-photo", self._pause
        waiting = threading.Event()

        class Pages(Feeder):
            def feed(self) -> None:
                for first in range(0, limit, _PAGE):
                    self.out_queue.put(f"{address}&first={first}")

        class Results(Parser):
            # The stock parser keeps nothing but the addresses that end in .jpg, and no pages.
            def parse(self, response: Any) -> Iterator[dict[str, Any]]:
                waiting.wait(pause)
                for link in BeautifulSoup(response.content, "lxml").select("div.imgpt a[m]"):
                    try:
                        known = json.loads(str(link["m"]))
                    except ValueError:
                        continue
                    if isinstance(known, dict) and isinstance(known.get("murl"), str):
                        yield {"file_url": known["murl"], "page_url": known.get("purl"), "title": known.get("t")}

        class Notes(Downloader):
            def download(self, task: dict[str, Any], *args: Any, **options: Any) -> bool:
                tasks.append(task)
                if len(tasks) == limit:
                    self.signal.set(reach_max_num=True)
                return False

        tasks: list[dict[str, Any]] = []
        crawler = Crawler(Pages, Results, Notes, storage={"root_dir": "."}, log_level=logging.CRITICAL)
        # The session that its parts share; icrawler would pretend to be a browser.
        crawler.session.headers["User-Agent"] = self._name
        crawler.crawl(downloader_kwargs={"max_num": limit, "queue_timeout": 0.2})
        return tasks
