"""The server: two sockets, one application, every request through faults and log."""

import asyncio
import os
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.minihub import api
from tests.minihub.answers import RefusedError
from tests.minihub.auth import Accounts
from tests.minihub.exchange import CutError, Exchange, line_of
from tests.minihub.faults import Fault, FaultBook
from tests.minihub.repository import Blobs, Repositories, Repository
from tests.minihub.storage import ObjectStore

if TYPE_CHECKING:
    from tests.minihub.xet import Xet


@dataclass(frozen=True)
class Settings:
    """What the command line says; see there."""

    root: Path
    port: int
    users: str
    xet: bool
    page: int
    multipart_above: int
    part_size: int
    stop_at_eof: bool


class Hub:
    """The application."""

    def __init__(self, settings: Settings) -> None:
        root = settings.root.resolve()
        self.settings = settings
        self.accounts = Accounts(settings.users)
        self.repositories = Repositories(root, Blobs(root))
        self.store = ObjectStore(self.repositories, settings.multipart_above, settings.part_size)
        self.book = FaultBook()
        self.xet = _xet(root, self.repositories.blobs) if settings.xet else None

    def find_object(self, repository: Repository, oid: str) -> int | None:
        """The size of an LFS object that was uploaded for a repository, by whichever way, or `None`."""
        objects = repository.state["lfs"]
        if self.xet and oid not in objects and (size := self.xet.rebuild(repository, oid)) is not None:
            objects[oid] = size
        return objects.get(oid)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_store = scope["server"][1] == self.store.port
        is_control = not is_store and scope["path"].startswith("/_")
        fault = Fault() if is_control else self.book.take(line_of(scope))
        exchange = Exchange(scope, receive, send, fault, is_store)
        if not is_control:
            self.book.log.append(exchange.entry)
        try:
            await exchange.run(self._control if is_control else self._work)
        except (CutError, ClientDisconnect):
            exchange.entry["status"] = exchange.entry["status"] or "cut"

    async def _control(self, exchange: Exchange) -> Response:
        try:
            return await self.book.control(exchange.request)
        except RefusedError as refused:
            return refused.response

    async def _work(self, exchange: Exchange) -> Response:
        try:
            if exchange.entry["port"] == "store":
                return await self.store.answer(exchange.request)
            user = self.accounts.user_of(exchange.request)
            exchange.entry["user"] = user and user.name
            return await api.answer(self, exchange.request, user)
        except RefusedError as refused:
            return refused.response
        except (ClientDisconnect, CutError):
            raise
        except Exception as error:  # noqa: BLE001 - a malformed request or a bug here: the client is told, and it shows.
            traceback.print_exc()
            return JSONResponse({"error": f"minihub: {error!r}"}, 500)


def _xet(root: Path, blobs: Blobs) -> "Xet":
    # Not at the top: hf_xet is needed for this side only.
    from tests.minihub.xet import Xet

    return Xet(root, blobs)


class Protocol(H11Protocol):
    """uvicorn's own HTTP/1.1, which also hands the transport on, so that a fault can hang up for real."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


def serve(settings: Settings) -> None:
    """Serves until the process is ended."""
    hub = Hub(settings)
    sockets = [_listen(settings.port), _listen(0)]
    hub.store.port = sockets[1].getsockname()[1]
    if settings.stop_at_eof:
        threading.Thread(target=_stop_at_eof, daemon=True).start()
    print(f"MINIHUB http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    config = uvicorn.Config(hub, http=Protocol, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    asyncio.run(uvicorn.Server(config).serve(sockets=sockets))


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    return listener


def _stop_at_eof() -> None:
    """Ends the server when whoever started it is gone, even by a kill."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
