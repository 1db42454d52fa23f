"""Starts the test Hub for a test: `with start_hub(folder) as hub:`."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).parents[2]
WRITE_TOKEN = "hf_alice"
# What would lead a client to this machine's own cache, account or settings.
FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_", "XDG_CACHE_HOME")


@dataclass(frozen=True)
class RunningHub:
    """A Hub that runs; `user` owns `token` and the read-only `read_token`, `other_user` owns `other_token`."""

    url: str
    root: Path
    xet: bool
    token: str = WRITE_TOKEN
    read_token: str = "hf_alice_read"
    other_token: str = "hf_bob"
    user: str = "alice"
    other_user: str = "bob"
    organisation: str = "acme"
    _homes: Iterator[int] = field(default_factory=itertools.count)

    def environment(self, token: str | None = WRITE_TOKEN, home: Path | None = None) -> dict[str, str]:
        """The environment of a client's process: this Hub, a token or none, and a cache of its own.

        Args:
            token: The token, `None` for nobody.
            home: The client's HF_HOME; a fresh one if not given. The cache answers for whoever filled it, so
                take one per identity.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        hub = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home or self.root / "homes" / str(next(self._homes))),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        if token:
            hub["HF_TOKEN"] = token
        if not self.xet:
            hub["HF_HUB_DISABLE_XET"] = "1"
        return kept | hub

    def faults(self, faults: list[dict[str, Any]]) -> None:
        """Asks for faults; tests/minihub/faults.py says which there are."""
        self._control("POST", "_faults", faults)

    def clear_faults(self) -> None:
        self._control("DELETE", "_faults")

    def faults_left(self) -> list[dict[str, Any]]:
        """The faults asked for that are still to come."""
        return [fault for fault in self._control("GET", "_faults") if fault["next"] > 0]

    def log(self) -> list[dict[str, Any]]:
        """Every request served so far."""
        return self._control("GET", "_log")

    def clear_log(self) -> None:
        self._control("DELETE", "_log")

    def _control(self, method: str, what: str, content: object = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = Request(f"{self.url}/{what}", body, {"Content-Type": "application/json"}, method=method)
        with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def start_hub(root: Path, *, xet: bool = False, **options: int | str) -> Iterator[RunningHub]:
    """Runs a Hub as a process of its own, and ends it.

    Args:
        root: The folder that keeps its repositories; a new Hub over an old folder goes on there.
        xet: Whether it takes hf_xet uploads, the clients' default. It then takes plain LFS ones as well.
        options: More options of `python -m tests.minihub`, say `multipart_above=1000`.
    """
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.minihub",
            "--root",
            str(root),
            "--stop-at-eof",
            *(["--xet"] if xet else []),
            *words,
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        word, _, url = process.stdout.readline().strip().partition(" ")
        if word != "MINIHUB":
            raise RuntimeError(f"the test Hub ended with {process.wait()} before it served; it says why above")
        yield RunningHub(url, root, xet)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdin.close()
        process.stdout.close()
