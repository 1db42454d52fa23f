"""What a request brings: counted while it comes, refused when it is too long or too slow."""

import asyncio
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Scope

from demo.reading.upload import MAX_BYTES
from demo.serving.upload_folder import UploadFolder
from demo.words import ENGLISH, LANGUAGES

MAX_UPLOAD = 256 * 2**20
"""Bytes of one request with files."""
MAX_CALL = 2**20
"""Bytes of a call without the pictures in it: JSON with names of files."""
MAX_MESSAGE = MAX_BYTES * 4 // 3 + 2**16
"""Bytes of a call, or from an MCP client: it may hold a picture as a data: URL."""
# A body may take this many seconds, and one more for so many bytes of it that have come.
GRACE, SLOWEST = 20, 16 * 2**10


class BodyError(ValueError):
    """A body that is too long or too slow.

    Attributes:
        status: Of the HTTP answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def limited(scope: Scope, receive: Receive, limit: int, uploads: UploadFolder) -> Receive:
    """Returns how a body is received that may have `limit` bytes; `uploads` learns of them.

    Raises:
        BodyError: It is announced to have more. While it is received: it has more, or takes too long.
    """
    began, came, complete = time.monotonic(), 0, False
    announced = Headers(scope=scope).get("content-length", "0")
    too_long = f"A request has at most {limit:,} bytes."
    if limit == MAX_MESSAGE:
        too_long = LANGUAGES[ENGLISH]("too_heavy")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise BodyError(413, too_long)

    async def receive_some() -> Message:
        nonlocal came, complete
        if complete:
            return await receive()
        left = began + GRACE + came / SLOWEST - time.monotonic()
        try:
            message = await asyncio.wait_for(receive(), max(left, 0))
        except TimeoutError:
            raise BodyError(408, "This took too long to arrive.") from None
        size = len(message.get("body", b""))
        came += size
        complete = not message.get("more_body")
        uploads.arrived(size)
        if came > limit:
            raise BodyError(413, too_long)
        return message

    return receive_some


async def whole(receive: Receive) -> bytes:
    """Receives a body to its end.

    Raises:
        BodyError: The visitor has gone.
    """
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyError(400, "The request ended too early.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def again(body: bytes, receive: Receive) -> Receive:
    """Returns how `body`, which has been received, is received once more."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_it() -> Message:
        return messages.pop() if messages else await receive()

    return receive_it


def with_length(scope: Scope, length: int) -> Scope:
    """Returns a request that announces so many bytes."""
    scope = dict(scope, headers=list(scope["headers"]))
    MutableHeaders(scope=scope)["content-length"] = str(length)
    return scope
