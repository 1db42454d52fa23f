"""Firefox and WebKitGTK, driven by the four commands of W3C WebDriver that the tests need.

WebKitGTK's driver takes them over HTTP, Firefox over Marionette, the socket that geckodriver would talk to.
Selenium drives no Firefox without geckodriver, which neither Debian nor PyPI has; Playwright asks for more than
Firefox ESR knows.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import wait_for

# For a browser that starts, or a page that loads, while other tests keep the processor busy.
PATIENCE = 300
_SCRIPT = """
const done = arguments[arguments.length - 1];
const words = Array.from(arguments).slice(0, -1);
(async () => { %s })().then(done, (error) => done({ failed: String(error) }));
"""
# Of a session's commands, for WebKitGTK's driver.
_PATHS = {
    "Navigate": "url",
    "FindElement": "element",
    "ElementSendKeys": "element/{id}/value",
    "ExecuteAsyncScript": "execute/async",
}


class WebDriver:
    """One window of a browser. Subclasses send a command, named as in the standard, and return its value."""

    def send(self, command: str, **parameters: Any) -> Any:
        raise NotImplementedError

    def go(self, address: str) -> None:
        """Opens a page."""
        self.send("Navigate", url=address)

    def run(self, script: str, *words: Any) -> Any:
        """Runs the body of an async function of `words` in the page; returns what it returns."""
        value = self.send("ExecuteAsyncScript", script=_SCRIPT % script, args=list(words))
        assert not (isinstance(value, dict) and "failed" in value), value["failed"]
        return value

    def choose(self, selector: str, file: Path) -> None:
        """Chooses a file, as a visitor does in the browser's dialogue."""
        (element,) = self.send("FindElement", using="css selector", value=selector).values()
        self.send("ElementSendKeys", id=element, text=str(file))

    def text(self, selector: str) -> str:
        """Returns the text of an element that is there, or comes."""
        found = "return document.querySelector(words[0])?.innerText ?? null"
        wait_for(lambda: self.run(found, selector) is not None, PATIENCE)
        return self.run(found, selector)


class Firefox(WebDriver):
    """Firefox by its Marionette port."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._stream = self._socket.makefile("rwb")
        self._count = 0
        self._receive()
        self.send("NewSession", capabilities={"alwaysMatch": {"timeouts": {"script": 1000 * PATIENCE}}})

    def send(self, command: str, **parameters: Any) -> Any:
        return self._command(f"WebDriver:{command}", parameters)

    def as_browser(self, script: str) -> Any:
        """Runs a script that may do what the browser itself may."""
        self._command("Marionette:SetContext", {"value": "chrome"})
        try:
            return self.run(script)
        finally:
            self._command("Marionette:SetContext", {"value": "content"})

    @contextmanager
    def preferring(self, name: str, value: bool | int) -> Iterator[None]:
        """Changes a setting of `about:config` for a while."""
        kind = "Bool" if isinstance(value, bool) else "Int"
        self.as_browser(f"Services.prefs.set{kind}Pref({json.dumps(name)}, {json.dumps(value)})")
        yield
        self.as_browser(f"Services.prefs.clearUserPref({json.dumps(name)})")

    def quit(self) -> None:
        self._command("Marionette:Quit", {"flags": ["eForceQuit"]})
        self._stream.close()
        self._socket.close()

    def _command(self, name: str, parameters: dict[str, Any]) -> Any:
        self._count += 1
        message = json.dumps([0, self._count, name, parameters]).encode()
        self._stream.write(b"%d:%b" % (len(message), message))
        self._stream.flush()
        _, number, error, result = self._receive()
        assert (number, error) == (self._count, None)
        return result.get("value")

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            length += self._stream.read(1)
        return json.loads(self._stream.read(int(length[:-1])))


class WebKit(WebDriver):
    """WebKitGTK's MiniBrowser by its driver's port."""

    def __init__(self, port: int) -> None:
        self._driver = httpx.Client(base_url=f"http://127.0.0.1:{port}/session", timeout=PATIENCE, trust_env=False)
        capabilities = {"alwaysMatch": {"timeouts": {"script": 1000 * PATIENCE}}}
        self._session = self._post("", {"capabilities": capabilities})["sessionId"]

    def send(self, command: str, **parameters: Any) -> Any:
        return self._post(f"/{self._session}/{_PATHS[command].format(**parameters)}", parameters)

    def quit(self) -> None:
        self._driver.delete(f"/{self._session}")
        self._driver.close()

    def _post(self, path: str, parameters: dict[str, Any]) -> Any:
        answer = self._driver.post(path, json=parameters)
        assert answer.is_success, answer.text
        return answer.json()["value"]


@contextmanager
def firefox(folder: Path) -> Iterator[Firefox]:
    """Starts the system's Firefox, headless, with a new profile in an empty folder."""
    (folder / "user.js").write_text('user_pref("marionette.port", 0);\n')
    words = ["--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", str(folder)]
    with _running([_program("firefox-esr", "firefox"), *words], folder):
        port = folder / "MarionetteActivePort"
        wait_for(lambda: port.exists() and port.read_text(), PATIENCE)
        browser = Firefox(int(port.read_text()))
        yield browser
        browser.quit()


@contextmanager
def webkit(folder: Path) -> Iterator[WebKit]:
    """Starts the system's WebKitGTK on a display that nobody sees."""
    driver, screen = _program("WebKitWebDriver"), folder / "screen"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with screen.open("wb") as number:
        display = [_program("Xvfb"), "-displayfd", str(number.fileno()), "-screen", "0", "1280x1024x24"]
        with _running(display, folder, pass_fds=[number.fileno()]):
            wait_for(lambda: screen.read_text().endswith("\n"), PATIENCE)
            environment = {**os.environ, "DISPLAY": f":{screen.read_text().strip()}", "GDK_BACKEND": "x11"}
            with _running([driver, f"--port={port}"], folder, env=environment):
                wait_for(lambda: _listens(port), PATIENCE)
                browser = WebKit(port)
                yield browser
                browser.quit()


def _program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail(
            f"no {names[0]} on this machine: tests/browser/install_browsers.sh installs what these tests drive"
        )
    return found


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _running(words: list[str], folder: Path, **options: Any) -> Iterator[None]:
    with (folder / "log").open("ab") as log, subprocess.Popen(words, stdout=log, stderr=log, **options) as process:
        try:
            yield
        finally:
            process.terminate()
