"""From a page to a running server, and to its orderly end."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import gradio as gr
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from demo.models.cores import usable_cores
from demo.reading.upload import MAX_BYTES
from demo.serving.door import Door
from demo.serving.upload_folder import STOPPING, UploadFolder
from demo.words import words_for

AT_ONCE = max(1, usable_cores() // 2)
"""Pictures that are classified at the same time: one alone already keeps about two cores busy."""
MAX_WAITING = 64
"""Calls that wait for their turn; further ones are told that the page is busy."""
FAVICON = Path(__file__).with_name("favicon.svg")
# Gradio keeps a copy of the page's components for every visitor, and for every call that names no session.
_SESSIONS = 256
_CONNECTIONS = 768
# Seconds for a request's head to arrive.
_PATIENCE = 10
# Seconds when the end comes: for what is being answered, for answers to be fetched, for connections to close.
_ANSWERING, _TELLING, _CLOSING = 2.5, 0.5, 0.5
# Seconds; longer than proxies and clients keep a connection, lest they ask on one that is just being closed.
_KEPT = 75


class _Impatient(H11Protocol):
    """Closes connections that ask nothing; uvicorn would hold them for ever."""

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._closing = self.loop.call_later(_PATIENCE, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        asking = self.cycle is None or self.cycle.response_complete
        if self._closing and not asking:
            self._closing.cancel()
            self._closing = None
        elif asking and not self._closing:
            self._closing = self.loop.call_later(_PATIENCE, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._closing:
            self._closing.cancel()


class Serving:
    """A page and its server.

    Attributes:
        page: The page.
    """

    def __init__(self, page: gr.Blocks, uploads: UploadFolder, port: int | None, **looks: Any) -> None:
        """Makes a server that does not listen yet.

        Args:
            page: The page.
            uploads: Where its visitors' files lie.
            port: The port, None for the first free one from 7860 on.
            looks: What else `launch` is to be told, such as `theme`.
        """
        self.page, self._uploads, self._port, self._looks = page, uploads, port, looks
        self._closing = threading.Event()

    def start(self) -> None:
        """Opens the port.

        Raises:
            OSError: The port can't be had.
        """
        self._stop_on_signals()
        door = Middleware(Door, uploads=self._uploads, max_waiting=MAX_WAITING, busy=_busy, closing=self._closing)
        # The door counts, and answers in the visitor's language; Gradio's own limit is there in case it counts wrong.
        self.page.queue(max_size=2 * MAX_WAITING, default_concurrency_limit=AT_ONCE, api_open=False)
        self.page.launch(
            server_port=self._port,
            prevent_thread_lock=True,
            app_kwargs={"middleware": [door]},
            max_file_size=MAX_BYTES,
            # Sentences of ours reach visitors all the same; this is about everything else.
            show_error=False,
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=True,
            state_session_capacity=_SESSIONS,
            favicon_path=FAVICON,
            footer_links=["api", "gradio", "settings"],
            **self._looks,
        )
        # Every odd message to the tool would fill a page of the log.
        logging.getLogger().setLevel(logging.ERROR)
        config = self.page.server.config
        config.http_protocol_class = _Impatient
        config.limit_concurrency = _CONNECTIONS
        config.timeout_keep_alive = _KEPT
        config.timeout_graceful_shutdown = _CLOSING
        self._uploads.keep_what_is_there(self.page.temp_file_sets)

    def until_stopped(self) -> None:
        """Serves until SIGTERM or Ctrl-C, then finishes what is being answered, within five seconds in all."""
        self._closing.wait()
        print("Stopping: what is being answered will be finished.", file=sys.stderr)
        self._wait_while(self._is_answering, _ANSWERING)
        self._wait_while(self._is_telling, _TELLING)
        # Gradio waits longer than there is time for connections that do not end.
        closing = threading.Thread(target=self.page.close, kwargs={"verbose": False}, daemon=True)
        closing.start()
        closing.join(_CLOSING)

    def _stop_on_signals(self) -> None:
        def asked(number: int, _: FrameType | None) -> None:
            if self._closing.is_set():
                # Twice: at once.
                os._exit(128 + number)
            self._closing.set()

        for number in STOPPING:
            signal.signal(number, asked)

    def _is_answering(self) -> bool:
        return bool(len(self.page._queue) or self.page._queue.get_active_worker_count())

    def _is_telling(self) -> bool:
        # Some never come for their answers.
        return any(self.page._queue.pending_event_ids_session.values())

    def _wait_while(self, condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while condition() and time.monotonic() < end:
            time.sleep(0.02)


def _busy(headers: Headers) -> str:
    return words_for(headers.get("accept-language"))("busy")
