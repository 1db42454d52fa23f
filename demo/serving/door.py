"""The door: which of Gradio's routes visitors may reach, with how much, and what an answer tells their browsers."""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.reading.upload import MAX_BYTES
from demo.serving.calls import NAME, CallError, checked_call, checked_message
from demo.serving.forgetting import forget_uploads, forget_visitors
from demo.serving.upload_folder import UploadFolder
from demo.words import ENGLISH, LANGUAGES

MAX_UPLOAD = 256 * 2**20
"""Bytes of one request with files."""
MAX_CALL = 2**20
"""Bytes of a call: JSON with names of files, not files."""
MAX_MESSAGE = MAX_BYTES * 4 // 3 + 2**16
"""Bytes from an MCP client: it may hold a picture as a data: URL."""
# A body may take this many seconds, and one more for so many bytes of it that have come.
GRACE, SLOWEST = 20, 16 * 2**10
# Bodies that come at the same time.
_MOST_BODIES = 64

_READ = re.compile(
    rf"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt|/(?:assets|static)(?:/[\w.@~+-]{{1,120}}){{1,6}}"
    rf"|/gradio_api/(?:info/?|openapi\.json|startup-events|app_id/?|theme\.css|queue/status|upload_progress"
    rf"|heartbeat/{NAME}|mcp/?|mcp/http/?|mcp/schema)"
)
_ANSWER = re.compile(rf"/gradio_api/call/(?:v2/)?{NAME}/(?P<event>{NAME})")
_FILE = re.compile(r"/gradio_api/file=(?P<path>/.+)", re.DOTALL)
_UPLOAD = "/gradio_api/upload"
_CALL = re.compile(rf"/gradio_api/(?:queue/join|(?:call|call/v2|run)/{NAME}/?)")
_SMALL = re.compile(r"/gradio_api/(?:cancel|reset/?)")
_MCP = re.compile(r"/gradio_api/mcp/?(?:http/?)?")
_RANGE = re.compile(rb"bytes=\d{1,12}-")


class _BodyError(ValueError):
    """A body that is too long or too slow."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Door:
    """ASGI middleware in front of Gradio.

    What is not listed here is not there: Gradio's proxy, its screen recordings, monitoring, deep links, run history,
    component functions, and whatever it will have next.
    """

    def __init__(
        self,
        app: ASGIApp,
        uploads: UploadFolder,
        max_waiting: int,
        busy: Callable[[Headers], str],
        closing: threading.Event,
    ) -> None:
        """Makes the door.

        Args:
            app: What is behind it.
            uploads: Where every file lies.
            max_waiting: Calls that may wait for their turn.
            busy: Says that the page is busy, in the language that a request's headers ask for.
            closing: When set, no more calls are taken; those that have been are answered.
        """
        self._app, self._uploads, self._busy, self._closing = app, uploads, busy, closing
        self._max_waiting = max_waiting
        self._bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request in, or answers it."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        method = scope["method"]
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, is_file=bool(_FILE.fullmatch(path)))
            await send(message)

        async def refuse(status: int, message: str, **headers: str) -> None:
            if not started:
                await JSONResponse({"detail": message}, status, headers)(scope, receive, answer)

        if method in ("GET", "HEAD"):
            if path == "/health":
                await JSONResponse({"status": "ok"})(scope, receive, answer)
            elif self._is_there(path, scope):
                await self._app(_without_oddities(scope), receive, answer)
            else:
                await refuse(404, "There is nothing here.")
            return
        known = path == _UPLOAD or any(route.fullmatch(path) for route in (_CALL, _SMALL, _MCP))
        if method != "POST" or not known:
            await refuse(404 if method == "POST" else 405, "There is nothing here.")
            return
        if (
            self._closing.is_set()
            or self._bodies >= _MOST_BODIES
            or (_CALL.fullmatch(path) and self._is_full(scope["app"]))
        ):
            await refuse(429, self._busy(Headers(scope=scope)), **{"Retry-After": "30"})
            return
        self._bodies += 1
        try:
            await self._post(path, scope, receive, answer)
        except _BodyError as error:
            await refuse(error.status, str(error), Connection="close")
        except CallError as error:
            await refuse(error.status, str(error))
        finally:
            self._bodies -= 1

    async def _post(self, path: str, scope: Scope, receive: Receive, answer: Send) -> None:
        limit = MAX_UPLOAD if path == _UPLOAD else MAX_MESSAGE if _MCP.fullmatch(path) else MAX_CALL
        limited = self._limited(scope, receive, limit)
        if path == _UPLOAD:
            forget_uploads()
            try:
                await self._app(scope, limited, answer)
            except TypeError:
                # So Gradio takes a form whose files are text.
                raise _BodyError(400, "This form holds no file.") from None
            return
        body = await _whole(limited)
        page = scope["app"].get_blocks()
        if _CALL.fullmatch(path):
            body, session = checked_call(path, body, page, self._uploads)
            forget_visitors(page._queue, session)
        elif _MCP.fullmatch(path) and (refusal := checked_message(body)):
            await JSONResponse(refusal)(scope, receive, answer)
            return
        await self._app(_with_length(scope, len(body)), _again(body, receive), answer)

    def _is_there(self, path: str, scope: Scope) -> bool:
        if file := _FILE.fullmatch(path):
            return self._uploads.holds(file["path"])
        answer = _ANSWER.fullmatch(path)
        if answer or path == "/gradio_api/queue/data":
            queue = scope["app"].get_blocks()._queue
            asked = answer["event"] if answer else _query(scope).get("session_hash", "")
            # Gradio notices only after it has begun to answer.
            return _session(queue, asked) in queue.pending_messages_per_session
        return bool(_READ.fullmatch(path))

    def _is_full(self, app: Any) -> bool:
        return len(app.get_blocks()._queue) >= self._max_waiting

    def _limited(self, scope: Scope, receive: Receive, limit: int) -> Receive:
        began, came, complete = time.monotonic(), 0, False
        announced = Headers(scope=scope).get("content-length", "0")
        too_long = f"A request has at most {limit:,} bytes."
        if limit == MAX_MESSAGE:
            too_long = LANGUAGES[ENGLISH]("too_heavy")
        if announced.isdecimal() and int(announced[:20]) > limit:
            raise _BodyError(413, too_long)

        async def limited() -> Message:
            nonlocal came, complete
            if complete:
                return await receive()
            left = began + GRACE + came / SLOWEST - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(left, 0))
            except TimeoutError:
                raise _BodyError(408, "This took too long to arrive.") from None
            size = len(message.get("body", b""))
            came += size
            complete = not message.get("more_body")
            self._uploads.arrived(size)
            if came > limit:
                raise _BodyError(413, too_long)
            return message

        return limited


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _BodyError(400, "The request ended too early.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _with_length(scope: Scope, length: int) -> Scope:
    scope = dict(scope, headers=list(scope["headers"]))
    MutableHeaders(scope=scope)["content-length"] = str(length)
    return scope


def _without_oddities(scope: Scope) -> Scope:
    # Gradio splits a range at every hyphen, and sends the request's own headers back with it.
    kept = [(name, value) for name, value in scope["headers"] if name != b"range" or _RANGE.fullmatch(value)]
    # It knows neither pages that are not there nor links into them.
    query = {name: value for name, value in _query(scope).items() if name not in ("page", "deep_link")}
    if scope["path"].rstrip("/").endswith("/info"):
        # Of a page that is named it tells everybody anew how to call it; else it tells all what the first one is told,
        # by whatever name he called this host.
        query["page"] = ""
    return dict(scope, headers=kept, query_string=urlencode(query).encode())


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _session(queue: Any, asked: str) -> str:
    """Returns the session of an event, or what was asked for where that is a session itself."""
    if event := queue.event_ids_to_events.get(asked):
        return event.session_hash
    waiting = queue.pending_event_ids_session.items()
    return next((session for session, events in waiting if asked in events), asked)


def _add_headers(message: Message, is_file: bool) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Content-Type-Options"] = "nosniff"
    if is_file:
        # A file that calls itself a picture may be a page with a script; here it can do nothing.
        headers["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
