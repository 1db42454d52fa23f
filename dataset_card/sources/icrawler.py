"""Bing's image search through icrawler, as in the walk-through of 2018: pictures whose licence nobody knows.

icrawler requests and parses the pages of results; the pictures are downloaded as those of every other source. Its
crawler for Google has been broken since Google answers with a script (icrawler issues 107 and 135).
"""

import json
import logging
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from dataset_card.sources.allowed_hosts import AllowedHosts
from dataset_card.sources.http import HttpClient, Server, pause_for
from dataset_card.sources.search_hit import SearchHit, event_of
from files.errors import UserError

SOURCE = "icrawler"
_PAGE_SIZE = 20
_MAX_RESULTS = 1000


class Bing:
    """Bing's image search.

    Args:
        user_agent: See `http.user_agent`.

    Raises:
        UserError: icrawler is not installed.
    """

    def __init__(self, user_agent: str) -> None:
        try:
            import icrawler.builtin  # noqa: F401
        except ImportError:
            raise UserError(
                "--source icrawler needs icrawler: pip install -r requirements-crawl.txt; or choose another --source, "
                "which also states licences"
            ) from None
        self._user_agent = user_agent
        self._server = Server.at("https://www.bing.com/images/async", "NRITYA_BING")
        self._pause = pause_for(self._server)
        replaced = frozenset({self._server.netloc} if self._server.is_replaced else ())
        self.client = HttpClient(user_agent, AllowedHosts(replaced, any_public=True), self._pause)

    def search(self, words: str, limit: int) -> Iterator[SearchHit]:
        """Yields at most `limit` pictures by words, in no particular order."""
        for result in self._results(words, min(limit, _MAX_RESULTS)):
            title = " ".join(str(result["title"] or "").split())
            yield SearchHit(
                source=SOURCE,
                source_id=result["file_url"],
                title=title,
                page_url=str(result["page_url"] or result["file_url"]),
                file_url=result["file_url"],
                event=event_of("", title),
            )

    def _results(self, words: str, limit: int) -> list[dict[str, Any]]:
        from bs4 import BeautifulSoup
        from icrawler import Crawler, Downloader, Feeder, Parser

        address, pause = f"{self._server.url}?q={quote(words)}&qft=+filterui:photo-photo", self._pause

        class PageFeeder(Feeder):
            def feed(self) -> None:
                for first in range(0, limit, _PAGE_SIZE):
                    self.out_queue.put(f"{address}&first={first}")

        class ResultParser(Parser):
            # The stock parser keeps only addresses that end in .jpg, and no pages.
            def parse(self, response: Any) -> Iterator[dict[str, Any]]:
                time.sleep(pause)
                for link in BeautifulSoup(response.content, "lxml").select("div.imgpt a[m]"):
                    try:
                        result = json.loads(str(link["m"]))
                    except ValueError:
                        continue
                    if isinstance(result, dict) and isinstance(result.get("murl"), str):
                        yield {"file_url": result["murl"], "page_url": result.get("purl"), "title": result.get("t")}

        class ResultCollector(Downloader):
            def download(self, task: dict[str, Any], *args: Any, **options: Any) -> bool:
                results.append(task)
                if len(results) == limit:
                    self.signal.set(reach_max_num=True)
                return False

        results: list[dict[str, Any]] = []
        crawler = Crawler(
            PageFeeder, ResultParser, ResultCollector, storage={"root_dir": "."}, log_level=logging.CRITICAL
        )
        # The session that its parts share; icrawler would claim to be a browser.
        crawler.session.headers["User-Agent"] = self._user_agent
        crawler.crawl(downloader_kwargs={"max_num": limit, "queue_timeout": 0.2})
        return results
