"""Plain words from the HTML that Wikimedia Commons gives for authors and credits."""

from html.parser import HTMLParser
from urllib.parse import urljoin

_BASE = "https://commons.wikimedia.org/"
_VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_APART = {"br", "dd", "div", "dt", "li", "p", "td", "th", "tr"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        # Open elements within one that is not shown, that one first.
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in _APART:
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
    """Returns what a reader of the page sees, in one line."""
    return " ".join("".join(_read(html).words).split())


def first_link(html: str) -> str:
    """Returns the first address that the text links to, in full; empty where there is none on the web."""
    links = [urljoin(_BASE, link.strip()) for link in _read(html).links]
    return next((link for link in links if link.startswith(("http://", "https://"))), "")


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader
