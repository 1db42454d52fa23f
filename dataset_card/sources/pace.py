"""How fast servers are asked: one pause per host, longer where the server says so."""

import re
import threading
import time
from collections.abc import Mapping

PAUSE = 1.0
"""Seconds between the starts of two requests to one host. With two hosts, media and API, this stays well under the
200 requests a minute that Wikimedia grants a client that says who it is."""

_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class StoppedError(Exception):
    """The command is ending: nobody waits any more."""


class Pace:
    """Gives every request its turn; safe to share between threads.

    Args:
        pause: Seconds between the starts of two requests to a host.
        pauses: Other pauses, by host.
    """

    def __init__(self, pause: float, pauses: Mapping[str, float]) -> None:
        self._pause, self._pauses = pause, dict(pauses)
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def wait_turn(self, host: str) -> None:
        """Returns when a request to this host may start."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at.get(host, 0))
            self._free_at[host] = start + self._pauses.get(host, self._pause)
        self.sleep(start - now)

    def hold(self, host: str, seconds: float) -> None:
        """Lets nobody start a request to this host for some seconds."""
        with self._lock:
            self._free_at[host] = max(self._free_at.get(host, 0), time.monotonic() + seconds)

    def obey(self, host: str, headers: Mapping[str, str]) -> None:
        """Slows down to the rate that Openverse names: `X-RateLimit-Limit-anon_burst: 20/min`."""
        for name, value in headers.items():
            if re.fullmatch(r"x-ratelimit-limit-\w+_burst", name.lower()):
                found = re.fullmatch(r"(\d+)/([smhd])\w*", value.strip())
                if found and int(found[1]):
                    with self._lock:
                        pause = _PERIODS[found[2]] / int(found[1])
                        self._pauses[host] = max(pause, self._pauses.get(host, self._pause))

    def sleep(self, seconds: float) -> None:
        """Waits, unless the command is ending.

        Raises:
            StoppedError: It is.
        """
        if self._stopped.wait(max(0.0, seconds)):
            raise StoppedError

    def stop(self) -> None:
        """Wakes everybody up."""
        self._stopped.set()
