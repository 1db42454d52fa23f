"""A server of files as any host of them is one: it knows nothing, and what is asked of it can be looked at."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FilesServer:
    """Serves a folder on loopback.

    Attributes:
        address: Of the folder, with a slash at the end.
        folder: May be changed while it serves.
        asked: Paths that were asked for, in order.
        sent: Bytes of content that were sent.
        missing: Ends of paths that are not found.
        pause: Seconds before each piece of 64 kB.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.sent = 0
        self.missing: tuple[str, ...] = ()
        self.pause = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *words: _Handler(self, *words))
        self.address = f"http://127.0.0.1:{self._server.server_port}/"

    @contextmanager
    def running(self) -> Iterator["FilesServer"]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, files: FilesServer, *words: object) -> None:
        self.files = files
        super().__init__(*words, directory=str(files.folder))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.files.asked.append(self.path)
        if self.files.missing and self.path.endswith(self.files.missing):
            self.send_error(404)
            return
        super().do_GET()

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        try:
            while piece := source.read(2**16):
                time.sleep(self.files.pause)
                outputfile.write(piece)
                self.files.sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            # A visitor who has left.
            self.close_connection = True

    def log_message(self, *words: object) -> None:
        """Says nothing."""
