"""Answers that every part of the server gives: a refusal, one page of a listing, a file or a range of it."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

CHUNK = 1 << 20


class RefusedError(Exception):
    """A request is answered with an error, worded and coded as the clients expect it.

    Args:
        status: The HTTP status.
        message: What the client shows.
        code: `X-Error-Code`, by which a client tells, say, a missing revision from a missing file.
        headers: More headers.
    """

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        # A header is one line of Latin-1, a YAML error several lines of anything.
        line = " ".join(message.split()).encode("latin-1", "replace").decode("latin-1")
        named = {"X-Error-Message": line} | ({"X-Error-Code": code} if code else {}) | (headers or {})
        self.response = JSONResponse({"error": message}, status, named)


def not_found() -> RefusedError:
    return RefusedError(404, "Sorry, we can't find the page you are looking for.")


def page_of(
    request: Request, items: Sequence[Any], size: int, view: Callable[[Any], object] | None = None
) -> Response:
    """One page of a listing, with the address of the next one in `Link`."""
    size = min(int(request.query_params.get("limit", size)), size)
    start = int(request.query_params.get("cursor", 0))
    headers = {}
    if start + size < len(items):
        kept = [(key, value) for key, value in parse_qsl(request.url.query) if key != "cursor"]
        address = str(request.base_url).rstrip("/") + request.scope["raw_path"].decode()
        headers["Link"] = f'<{address}?{urlencode([*kept, ("cursor", start + size)])}>; rel="next"'
    shown = items[start : start + size]
    return JSONResponse([view(item) for item in shown] if view else list(shown), headers=headers)


def file_answer(request: Request, path: Path, headers: dict[str, str]) -> Response:
    """A file, or the range of it that is asked for."""
    size = path.stat().st_size
    first, last, status = 0, size - 1, 200
    if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", "")):
        first = int(asked[1]) if asked[1] else max(0, size - int(asked[2] or 0))
        last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
        if first > last:
            raise RefusedError(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
        status = 206
        headers = headers | {"Content-Range": f"bytes {first}-{last}/{size}"}
    length = last - first + 1
    headers = headers | {"Content-Length": str(length), "Accept-Ranges": "bytes"}
    body = _read(path, first, 0 if request.method == "HEAD" else length)
    return StreamingResponse(body, status, headers, "application/octet-stream")


def _read(path: Path, start: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (data := file.read(min(CHUNK, length))):
            length -= len(data)
            yield data
