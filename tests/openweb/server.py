"""A threaded server that keeps a log of every request and does what a test's faults say."""

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Answer:
    """Status, body and headers.

    `cut` sends only so many bytes of the body and closes the connection; without `with_length` the end of the
    connection is the end of the body; `hangs_up` closes the connection without a word.
    """

    body: bytes = b""
    status: int = 200
    kind: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    with_length: bool = True
    hangs_up: bool = False


def json_answer(reply: object, status: int = 200, **headers: str) -> Answer:
    """An answer in JSON; `Retry_After="3"` becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(json.dumps(reply).encode(), status, headers=named)


@dataclass
class Fault:
    """An answer in place of the true one, for the next `times` requests whose path and query hold `match`."""

    match: str
    answer: Answer | Callable[[Answer], Answer]
    times: int = 1
    skip: int = 0


@dataclass
class Request:
    """One request as it was served. Times are of `time.monotonic`."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    start: float
    end: float = 0.0
    status: int = 0

    @property
    def is_media(self) -> bool:
        return self.path.startswith("/media/")


Handler = Callable[[str, dict[str, str], str], Answer]


class OpenWeb:
    """The server, its log, and the routes that `worlds` put in.

    Attributes:
        url: Where it listens.
        routes: Who answers, by the beginning of the path.
        delay: Seconds that every answer takes.
    """

    def __init__(self) -> None:
        self.routes: dict[str, Handler] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.delay = 0.0
        self._lock = threading.Lock()
        web = self

        class Handles(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Otherwise the body waits 40 ms for the acknowledgement of the headers.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                web.serve(self)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                # A client that was killed, or closed its connections, is no fault of the server.
                if not isinstance(sys.exception(), ConnectionError):
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", 0), Handles)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, pause: float = 0.01) -> dict[str, str]:
        """What makes the command ask this server."""
        return {
            "NRITYA_COMMONS_API": f"{self.url}/w/api.php",
            "NRITYA_WIKIDATA_API": f"{self.url}/wikidata/api.php",
            "NRITYA_OPENVERSE_API": f"{self.url}/v1",
            "NRITYA_BING": f"{self.url}/bing",
            "NRITYA_PAUSE": str(pause),
            "NRITYA_CONTACT": "tests@example.org",
            "NO_PROXY": "127.0.0.1",
        }

    def media(self) -> list[str]:
        """The paths of all files that were asked for, in order."""
        return [request.path for request in self.requests if request.is_media]

    def most_at_once(self, requests: list[Request]) -> int:
        """How many of these were under way at one moment."""
        moments = [(one.start, 1) for one in requests] + [(one.end, -1) for one in requests]
        most = now = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        # A proxy is asked for whole addresses.
        path = unquote(handler.path.partition("?")[0] if parts.netloc else parts.path)
        request = Request(path, query, dict(handler.headers), time.monotonic())
        with self._lock:
            self.requests.append(request)
        time.sleep(self.delay)
        answer = self._answer(request, handler.path)
        request.status, request.end = answer.status, time.monotonic()
        if answer.hangs_up:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in {"Content-Type": answer.kind, **answer.headers}.items():
            handler.send_header(name, value)
        if answer.with_length:
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None or not answer.with_length:
            handler.close_connection = True

    def _answer(self, request: Request, line: str) -> Answer:
        answer = Answer(b"<h1>Not found</h1>", 404, "text/html")
        for beginning, route in self.routes.items():
            if request.path.startswith(beginning):
                answer = route(request.path, request.query, self.url)
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.match, unquote(line)):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault.answer if isinstance(fault.answer, Answer) else fault.answer(answer)
        return answer

    @contextmanager
    def running(self) -> Iterator["OpenWeb"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
