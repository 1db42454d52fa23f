"""Openverse, unregistered: 20 results a page, 240 a query."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.openweb.pictures import picture
from tests.openweb.server import Answer, OpenWeb, json_answer

OLD_NAMES = {"li", "lt", "pagesize", "provider"}


def result(number: int, **fields: Any) -> dict[str, Any]:
    """One result, its file at `/media/NUMBER.jpg`."""
    return {
        "id": f"{number:08x}-0000-4000-8000-000000000000",
        "title": f"Kathak evening {number}",
        "foreign_landing_url": f"https://www.flickr.com/photos/mira/{number}",
        "creator": "Mira",
        "creator_url": "https://www.flickr.com/photos/mira",
        "license": "by",
        "license_version": "2.0",
        "license_url": "https://creativecommons.org/licenses/by/2.0/",
        "filetype": None,
        "mature": False,
        "width": 640,
        "height": 480,
        **fields,
    }


@dataclass
class Openverse:
    """Results by query; an `url` that a result lacks is filled in."""

    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def put_on(self, web: OpenWeb) -> None:
        web.routes |= {"/v1/images/": self.images, "/media/": self.media}

    def media(self, path: str, query: dict[str, str], url: str) -> Answer:
        return Answer(picture(int(path.split("/")[-1].partition(".")[0])), kind="image/jpeg")

    def images(self, path: str, query: dict[str, str], url: str) -> Answer:
        if wrong := OLD_NAMES & set(query):
            return json_answer({"detail": {name: ["unknown"] for name in wrong}}, 400)
        size, page = int(query.get("page_size", 20)), int(query.get("page", 1))
        if size > 20 or page * size > 240:
            return json_answer({"detail": "Authentication credentials were not provided."}, 401)
        if {"source", "excluded_source"} <= set(query):
            return json_answer({"error": "InputError", "detail": "both", "fields": []}, 400)
        everything = self.results.get(query["q"], [])
        page_results = [
            {**one, "url": one.get("url") or f"{url}/media/{quote(str(int(one['id'][:8], 16)))}.jpg"}
            for one in everything[size * (page - 1) : size * page]
        ]
        pages = min(-(-len(everything) // size), 240 // size)
        return json_answer(
            {
                "result_count": min(len(everything), 240),
                "page_count": pages,
                "page_size": size,
                "page": page,
                "results": page_results,
            }
        )
