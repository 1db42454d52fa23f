"""The door in front of Gradio: what visitors may ask, how much at once, and what an answer tells their browsers."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.serving.bodies import MAX_CALL, MAX_MESSAGE, MAX_UPLOAD, BodyError, again, limited, whole, with_length
from demo.serving.calls import CallError, checked_call, checked_message
from demo.serving.forgetting import forget_uploads, forget_visitors
from demo.serving.routes import CALL, FILE, MCP, STREAM, UPLOAD, may_post, may_read, query_of, without_oddities
from demo.serving.streams import ClosingStreams
from demo.serving.upload_folder import UploadFolder

# Bodies that come at the same time.
_MOST_BODIES = 64


class Door:
    """ASGI middleware in front of Gradio."""

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
        self._streams = ClosingStreams()

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
                _add_headers(message, is_file=bool(FILE.fullmatch(path)))
            await send(message)

        async def refuse(status: int, detail: str | list[dict[str, Any]], **headers: str) -> None:
            if not started:
                await JSONResponse({"detail": detail}, status, headers)(scope, receive, answer)

        if method in ("GET", "HEAD"):
            if path == "/health":
                await JSONResponse({"status": "ok"})(scope, receive, answer)
            elif not may_read(path, scope, self._uploads):
                await refuse(404, "There is nothing here.")
            elif path == STREAM:
                session = query_of(scope).get("session_hash", "")
                await self._streams.serve(session, self._app, without_oddities(scope), receive, answer)
            else:
                await self._app(without_oddities(scope), receive, answer)
            return
        if method != "POST" or not may_post(path):
            await refuse(404 if method == "POST" else 405, "There is nothing here.")
            return
        if (
            self._closing.is_set()
            or self._bodies >= _MOST_BODIES
            or (CALL.fullmatch(path) and self._is_full(scope["app"]))
        ):
            await refuse(429, self._busy(Headers(scope=scope)), **{"Retry-After": "30"})
            return
        self._bodies += 1
        try:
            await self._post(path, scope, receive, answer)
        except BodyError as error:
            await refuse(error.status, str(error), Connection="close")
        except CallError as error:
            await refuse(error.status, error.detail)
        finally:
            self._bodies -= 1

    async def _post(self, path: str, scope: Scope, receive: Receive, answer: Send) -> None:
        is_call, is_message = CALL.fullmatch(path), MCP.fullmatch(path)
        limit = MAX_UPLOAD if path == UPLOAD else MAX_MESSAGE if is_call or is_message else MAX_CALL
        incoming = limited(scope, receive, limit, self._uploads)
        if path == UPLOAD:
            forget_uploads()
            try:
                await self._app(scope, incoming, answer)
            except TypeError:
                # So Gradio takes a form whose files are text.
                raise BodyError(400, "This form holds no file.") from None
            return
        body = await whole(incoming)
        page = scope["app"].get_blocks()
        if is_call:
            # Pictures within it take a moment, for which nobody else should wait.
            body, session = await asyncio.to_thread(checked_call, path, body, page, self._uploads)
            forget_visitors(page._queue, session)
            answer = self._streams.hold_back(session, answer)
        elif is_message and (refusal := checked_message(body)):
            await JSONResponse(refusal)(scope, receive, answer)
            return
        await self._app(with_length(scope, len(body)), again(body, receive), answer)

    def _is_full(self, app: Any) -> bool:
        return len(app.get_blocks()._queue) >= self._max_waiting


def _add_headers(message: Message, is_file: bool) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Content-Type-Options"] = "nosniff"
    if is_file:
        # A file that calls itself a picture may be a page with a script; here it can do nothing.
        headers["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
