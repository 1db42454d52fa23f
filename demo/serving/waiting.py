"""The page before the page: on a Space the port answers at once, while the model is still on its way.

Only the standard library is imported here.
"""

import html
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Status:
    """What there is to say until the page is there.

    Attributes:
        kind: `loading`, or `wrong` where something has to be done about it.
        said: One sentence.
        detail: What is known besides, or what to do.
    """

    kind: str
    said: str
    detail: str = ""


class WaitingPage:
    """Answers at a port: `with waiting.answering():`.

    Attributes:
        status: What it says.
        progress: Adds to it what changes from moment to moment.
        port: Where it answers.
    """

    def __init__(self, host: str, port: int) -> None:
        """Opens the port.

        Raises:
            OSError: It can't be had.
        """
        self.status = Status("loading", "The model is being fetched.")
        self.progress: Callable[[], str] = str
        self._server = _Server((host, port), _Handler)
        self._server.waiting = self
        self.port: int = self._server.server_port

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Answers until the block is left."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="waiting", daemon=True).start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()

    def now(self) -> Status:
        """What it says at this moment."""
        status = self.status
        if status.kind == "loading" and (progress := self.progress()):
            return Status(status.kind, status.said, progress)
        return status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Open connections of visitors must not keep the next page waiting.
    block_on_close = False
    waiting: WaitingPage

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: visitors close connections as they like."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    page = Template((_HERE / "waiting.html").read_text(encoding="utf-8"))
    icon = (_HERE / "favicon.svg").read_text(encoding="utf-8")

    def do_GET(self) -> None:
        now = self.server.waiting.now()
        path = self.path.split("?")[0]
        if path == "/health":
            self._answer(
                503, json.dumps({"status": now.kind, "said": now.said, "detail": now.detail}), "application/json"
            )
        elif path == "/favicon.ico":
            self._answer(200, self.icon, "image/svg+xml")
        else:
            # A Space counts as started when its page answers.
            words = {"kind": now.kind, "said": html.escape(now.said), "detail": html.escape(now.detail)}
            self._answer(200, self.page.substitute(words), "text/html; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def do_POST(self) -> None:
        self._answer(503, json.dumps({"detail": self.server.waiting.now().said}), "application/json")

    def _answer(self, status: int, text: str, kind: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Retry-After", "5")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def version_string(self) -> str:
        return "nritya"

    def log_message(self, *_: object) -> None:
        pass


def megabytes_below(folder: Path) -> str:
    """Tells how much of a download has arrived in a folder of the Hub's cache."""
    try:
        size = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    except OSError:
        # A file that was just renamed.
        return ""
    return f"{size / 1e6:,.0f} MB have arrived." if size > 1e6 else ""
