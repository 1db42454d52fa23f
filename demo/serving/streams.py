"""The end of a stream of answers, and the calls that come while its client has not read of it.

Gradio sends a session's answers in one stream (GET /gradio_api/queue/data), which it ends with the message
`close_stream` as soon as no call of the session is pending. Its clients open the next one with the first call whose
event id they get after they have read that message. An id that they get before belongs, for them, to the stream that
is about to end: gradio_client ends such a call with a `CancelledError`, and a browser goes on waiting. Both drop the
connection once they have read the message. So a stream stays open until then, and event ids of its session are held
back meanwhile.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLOSE = b'"msg":"close_stream"'
# Seconds for a client to drop the connection; those that read to the end of the stream never do.
_PATIENCE = 5


class ClosingStreams:
    """The streams of one server that have ended and whose clients may not have read of it."""

    def __init__(self) -> None:
        self._closing: dict[str, asyncio.Event] = {}

    async def serve(self, session: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request for the stream of a session."""
        read = asyncio.Event()

        async def answer(message: Message) -> None:
            if _CLOSE in message.get("body", b""):
                self._closing[session] = read
            elif self._closing.get(session) is read:
                # The empty message after the last one. Starlette cancels this when the connection is dropped.
                await asyncio.sleep(_PATIENCE)
            await send(message)

        try:
            await app(scope, receive, answer)
        finally:
            read.set()
            if self._closing.get(session) is read:
                del self._closing[session]

    def hold_back(self, session: str | None, send: Send) -> Send:
        """Returns how a call of a session is answered: not while its stream is closing."""

        async def answer(message: Message) -> None:
            if session in self._closing:
                await self._closing[session].wait()
            await send(message)

        return answer
