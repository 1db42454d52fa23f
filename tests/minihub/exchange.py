"""One request and its answer: where faults happen and the log is written."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tests.minihub.answers import RefusedError
from tests.minihub.faults import LIMITER, Fault

UPLOADS = ("PUT", "POST")


class CutError(Exception):
    """The connection was closed on purpose."""


class Exchange:
    """One request and its answer, with the fault that befalls them.

    Args:
        scope: The request, as ASGI gives it.
        receive: Gives its body.
        send: Takes the answer.
        fault: What goes wrong.
        store: Whether it came to the object store.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, fault: Fault, store: bool) -> None:
        self.request = Request(scope, self.receive)
        self.scope = scope
        self.fault = fault
        self._receive = receive
        self._send = send
        self._transport: asyncio.Transport = scope["state"]["transport"]
        self._is_upload = self.request.method in UPLOADS
        self._length = int(self.request.headers.get("content-length", 0))
        self._received = 0
        self._cut_at = 0
        method, _, address = line_of(scope).partition(" ")
        self.entry: dict[str, Any] = {
            "t": time.time(),
            "port": "store" if store else "hub",
            "method": method,
            "url": address,
            "auth": "authorization" in self.request.headers,
            "user": None,
            "range": self.request.headers.get("range"),
            "status": None,
            "bytes": 0,
            "fault": fault.status or ("delay" if fault.delay else None),
            "agent": self.request.headers.get("user-agent"),
        }

    async def run(self, work: Callable[["Exchange"], Awaitable[Response]]) -> None:
        """Does the work and sends its answer, unless the fault is against it."""
        if self.fault.status != "slow":
            await asyncio.sleep(self.fault.delay)
        if self.fault.status == "drop" and self._is_upload:
            await self._receive_some()
            await self.hang_up()
        if isinstance(self.fault.status, int):
            message = f"injected fault {self.fault.status}"
            headers = self.fault.headers or (LIMITER if self.fault.status == 429 else {})
            response: Response = RefusedError(self.fault.status, message, headers=headers).response
        else:
            response = await work(self)
        if self.fault.status == "lose":
            self.entry["status"] = f"lost {response.status_code}"
            await self.hang_up()
        await response(self.scope, self.receive, self.send)

    async def hang_up(self, flush: bool = False) -> None:
        if flush:
            self._transport.close()
        else:
            self._transport.abort()
        await asyncio.sleep(0.05)
        raise CutError

    async def _receive_some(self) -> None:
        wanted = self.fault.bytes or max(1, self._length // 2)
        got = 0
        async for chunk in self.request.stream():
            got += len(chunk)
            if got >= wanted:
                break

    async def receive(self) -> Message:
        """The next part of the request's body, late or damaged where the fault says so."""
        message = await self._receive()
        if message["type"] == "http.request" and self._is_upload:
            body = message.get("body", b"")
            if self.fault.status == "slow":
                await asyncio.sleep(self.fault.delay)
            if self.fault.status == "corrupt":
                message["body"] = self._damaged(body, self._received, self._length)
            self._received += len(body)
        return message

    async def send(self, message: Message) -> None:
        """Sends the next part of the answer, in pieces, damaged or up to the cut where the fault says so."""
        if message["type"] == "http.response.start":
            await self._send_start(message)
            return
        body = message.get("body", b"")
        sent, status = self.entry["bytes"], self.fault.status
        if status == "drop" and sent + len(body) >= self._cut_at:
            self.entry["bytes"] = self._cut_at
            await self._send({**message, "body": body[: self._cut_at - sent], "more_body": True})
            await self.hang_up(flush=True)
        self.entry["bytes"] += len(body)
        if status == "corrupt" and not self._is_upload:
            body = self._damaged(body, sent, self._length)
        if status == "slow" and not self._is_upload:
            body = await self._trickle(body)
        await self._send({**message, "body": body})

    async def _send_start(self, message: Message) -> None:
        message["headers"] = [*message["headers"], (b"x-request-id", secrets.token_hex(8).encode())]
        self.entry["status"] = message["status"]
        self._length = int(dict(message["headers"]).get(b"content-length", b"0"))
        if self.fault.status == "drop" and (self.request.method == "HEAD" or self._length < 2):
            await self.hang_up()
        self._cut_at = self._length // 2 if self.fault.bytes is None else self.fault.bytes
        await self._send(message)

    async def _trickle(self, body: bytes) -> bytes:
        """Sends all but the last piece of a body, each after the fault's delay; returns the last."""
        size = self.fault.bytes or max(1, self._length // 10)
        while len(body) > size:
            await asyncio.sleep(self.fault.delay)
            await self._send({"type": "http.response.body", "body": body[:size], "more_body": True})
            body = body[size:]
        await asyncio.sleep(self.fault.delay)
        return body

    def _damaged(self, body: bytes, before: int, length: int) -> bytes:
        at = (length // 2 if self.fault.bytes is None else self.fault.bytes) - before
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if 0 <= at < len(body) else body


def line_of(scope: Scope) -> str:
    """`METHOD /path?query` as it came, %2F and all."""
    query = scope["query_string"].decode()
    return f"{scope['method']} {scope['raw_path'].decode()}" + (f"?{query}" if query else "")
