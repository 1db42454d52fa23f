"""Text and addresses from elsewhere, so that Markdown and HTML take no character of them for their own."""

from urllib.parse import quote

_SPECIAL = frozenset(r"\`*_[]<>|#&~$")
# Within words of Indian scripts these two say how letters join; what else can't be seen may turn a line round.
_JOINERS = "\u200c\u200d"
# What RFC 3986 knows, less the brackets that would end a link early.
_ADDRESS = "%/:?#@!$&'*+,;=~"


def plain(text: str) -> str:
    """Returns text in one line, every special character of it escaped."""
    seen = (char for char in " ".join(text.split()) if char.isprintable() or char in _JOINERS)
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in seen)


def link(text: str, url: str) -> str:
    """Returns text that leads to an address of the web; the text alone where there is no such address."""
    address = quote(url.strip(), _ADDRESS)
    return f"[{plain(text)}]({address})" if address.lower().startswith(("http://", "https://")) else plain(text)
