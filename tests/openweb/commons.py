"""Wikimedia Commons and Wikidata: categories, files, search, thumbnails."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.openweb.pictures import picture
from tests.openweb.server import Answer, OpenWeb, json_answer

STEPS = {20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840}
TOO_WIDE = "Use thumbnail steps listed on https://w.wiki/GHai"


@dataclass
class File:
    """A file page. `meta` replaces single fields of its extmetadata; None takes one away."""

    name: str
    pageid: int
    size: tuple[int, int] = (320, 240)
    kind: str = "JPEG"
    license: str = "CC BY-SA 4.0"
    author: str = '<a href="//commons.wikimedia.org/wiki/User:Mira" title="User:Mira">Mira</a>'
    date: str = ""
    meta: dict[str, str | None] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    no_meta: bool = False
    seed: int = 0

    def original(self) -> bytes:
        return picture(self.seed or self.pageid, *self.size, self.kind)

    def described(self, url: str, width: int) -> dict[str, Any]:
        """Its `imageinfo`."""
        name = quote(self.name.replace(" ", "_"))
        address = f"{url}/media/{name}"
        scaled = self.size[0] > width
        height = round(self.size[1] * width / self.size[0])
        meta: dict[str, str | None] = {
            "LicenseShortName": self.license,
            "LicenseUrl": _license_url(self.license),
            "Artist": self.author,
            "AttributionRequired": "true" if self.license.startswith("CC BY") else "false",
            "DateTimeOriginal": self.date,
        }
        meta = {key: value for key, value in (meta | self.meta).items() if value}
        return {
            "url": address,
            "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{name}",
            "mime": f"image/{self.kind.lower()}",
            "sha1": hashlib.sha1(self.original()).hexdigest(),
            "size": len(self.original()),
            "width": self.size[0],
            "height": self.size[1],
            "thumburl": f"{url}/media/thumb/{name}/{width}px-{name}?utm_source=api" if scaled else address,
            "thumbwidth": width if scaled else self.size[0],
            "thumbheight": height if scaled else self.size[1],
            "extmetadata": [] if self.no_meta else {key: {"value": value} for key, value in meta.items()},
            **self.info,
        }


def _license_url(name: str) -> str:
    match = re.fullmatch(r"CC (BY[A-Z-]*) (\d\.\d)", name)
    return f"https://creativecommons.org/licenses/{match[1].lower()}/{match[2]}" if match else ""


@dataclass
class Commons:
    """What is there.

    Attributes:
        files: All files.
        members: Files of each category, by name.
        below: Categories of each category.
        articles: Commons category of each article of the English Wikipedia.
        search_results: Names of the files that a search gives, by its words.
        batch: Pages in a reply; the rest is continued.
        split: Whether hidden categories come in a reply of their own, for the same pages.
    """

    files: list[File]
    members: dict[str, list[str]] = field(default_factory=dict)
    below: dict[str, list[str]] = field(default_factory=dict)
    articles: dict[str, str] = field(default_factory=dict)
    search_results: dict[str, list[str]] = field(default_factory=dict)
    batch: int = 50
    split: bool = False

    def put_on(self, web: OpenWeb) -> None:
        web.routes |= {"/w/api.php": self.api, "/wikidata/": self.wikidata, "/media/": self.media}

    def media(self, path: str, query: dict[str, str], url: str) -> Answer:
        by_name = {file.name.replace(" ", "_"): file for file in self.files}
        if scaled := re.fullmatch(r"/media/thumb/(.+)/(\d+)px-.+", path):
            file, width = by_name[scaled[1]], int(scaled[2])
            if width not in STEPS:
                return Answer(TOO_WIDE.encode(), 429, "text/plain")
            height = round(file.size[1] * width / file.size[0])
            return Answer(picture(file.seed or file.pageid, width, height, file.kind), kind="image/jpeg")
        file = by_name.get(path.removeprefix("/media/"))
        return Answer(file.original(), kind="image/jpeg") if file else Answer(b"gone", 404, "text/html")

    def wikidata(self, path: str, query: dict[str, str], url: str) -> Answer:
        category = self.articles.get(query["titles"])
        if category is None:
            return json_answer({"entities": {"-1": {"site": "enwiki", "title": query["titles"], "missing": ""}}})
        claim = {"mainsnak": {"datavalue": {"value": category, "type": "string"}}}
        return json_answer({"entities": {"Q1": {"claims": {"P373": [claim]}, "sitelinks": {}}}, "success": 1})

    def api(self, path: str, query: dict[str, str], url: str) -> Answer:
        assert query["formatversion"] == "2"
        assert query["format"] == "json"
        assert query["maxlag"] == "5"
        if query.get("prop") == "categoryinfo":
            return json_answer(
                {"batchcomplete": True, "query": {"pages": [self._category(t) for t in _titles(query)]}}
            )
        if query.get("list") == "categorymembers":
            return self._subcategories(query)
        name = query.get("gcmtitle", "").removeprefix("Category:")
        words = query.get("gsrsearch", "").removesuffix(" filetype:bitmap")
        names = self.members.get(name, []) if name else self.search_results.get(words, [])
        return self._described(names, query, url)

    def _category(self, title: str) -> dict[str, Any]:
        name = title.removeprefix("Category:")
        files, below = self.members.get(name, []), self.below.get(name, [])
        if name not in self.members and name not in self.below:
            return {"ns": 14, "title": title, "missing": True}
        return {"ns": 14, "title": title, "categoryinfo": {"files": len(files), "subcats": len(below), "pages": 0}}

    def _subcategories(self, query: dict[str, str]) -> Answer:
        names = self.below.get(query["cmtitle"].removeprefix("Category:"), [])
        start = int(query.get("cmcontinue", 0))
        reply: dict[str, Any] = {
            "query": {
                "categorymembers": [{"ns": 14, "title": f"Category:{name}"} for name in names[start:][: self.batch]]
            }
        }
        if start + self.batch < len(names):
            reply["continue"] = {"cmcontinue": str(start + self.batch), "continue": "-||"}
        else:
            reply["batchcomplete"] = True
        return json_answer(reply)

    def _described(self, names: list[str], query: dict[str, str], url: str) -> Answer:
        by_name = {file.name: file for file in self.files}
        start = int(query.get("gcmcontinue", query.get("gsroffset", 0)))
        chosen = [by_name[name] for name in names[start:][: self.batch]]
        late = "clcontinue" in query
        pages = []
        for index, file in enumerate(chosen, start + 1):
            page: dict[str, Any] = {"pageid": file.pageid, "ns": 6, "title": f"File:{file.name}"}
            if "gsrsearch" in query:
                page["index"] = index
            if not late:
                page["imageinfo"] = [file.described(url, int(query["iiurlwidth"]))]
            if late or not self.split:
                page["categories"] = [{"ns": 14, "title": f"Category:{name}"} for name in file.hidden]
            pages.append(page)
        reply: dict[str, Any] = {"query": {"pages": pages}} if pages else {}
        following = (
            {"gsroffset": start + self.batch} if "gsrsearch" in query else {"gcmcontinue": str(start + self.batch)}
        )
        if self.split and not late and pages:
            now = {key: query[key] for key in ("gcmcontinue", "gsroffset") if key in query}
            reply["continue"] = {"clcontinue": "1|X", "continue": "gcmcontinue||imageinfo", **now}
        else:
            reply["batchcomplete"] = True
            if start + self.batch < len(names):
                reply["continue"] = {**following, "continue": "-||"}
        return json_answer(reply)


def _titles(query: dict[str, str]) -> list[str]:
    titles = query["titles"].split("|")
    assert len(titles) <= 50
    return titles
