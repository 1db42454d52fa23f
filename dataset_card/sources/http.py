"""Polite requests: they say who asks, take turns, wait as servers ask, and let every redirect pass the door.

Nothing here knows what a server offers. The rules are those of Wikimedia's API etiquette and robot policy, which are
good manners anywhere else.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tqdm import tqdm

from dataset_card.sources.addresses import Door
from dataset_card.sources.answers import CHUNK, MAX_REPLY_BYTES, BusyError, check_status, limited
from dataset_card.sources.pace import Pace
from files.errors import UserError
from pictures.refused import RefusedError

MAX_IMAGE_BYTES = 30_000_000
TRIES = 5

_AGAIN = "run the same command again later, what is here is not fetched twice"
_LONGEST_WAIT = 300.0
_LONGEST_DOWNLOAD = 120.0
_REDIRECTS = 5

T = TypeVar("T")


class WebError(UserError):
    """A server, or the way to it, says no; the message says what to do."""


class NotDeliveredError(Exception):
    """A file that may well arrive another time."""


class Web:
    """One way to all servers of a source; threads may share it.

    Args:
        name: What every request says of itself, see `contact.user_agent`.
        door: Where requests may go.
        pause: Seconds between the starts of two requests to one host, and the unit of waiting before a new try.
        pauses: Other pauses, by host.
    """

    def __init__(self, name: str, door: Door, pause: float, pauses: Mapping[str, float] | None = None) -> None:
        self._door, self._pause = door, pause
        self._pace = Pace(pause, pauses or {})
        self._client = httpx2.Client(headers={"User-Agent": name}, timeout=httpx2.Timeout(30, connect=15))
        self._met: set[str] = set()

    def close(self) -> None:
        """Ends every wait and every transfer at once."""
        self._pace.stop()
        self._client.close()

    def get_json(
        self,
        url: str,
        params: Mapping[str, str],
        check: Callable[[dict[str, Any], Mapping[str, str]], None] = lambda reply, headers: None,
    ) -> dict[str, Any]:
        """Asks an API.

        Args:
            url: Its address.
            params: The question.
            check: Looks at a reply and its headers and raises `BusyError` where they say "later" in their own way.

        Raises:
            WebError: No useful answer, however often it was asked.
        """
        host = httpx2.URL(url).host

        def ask() -> dict[str, Any]:
            with self._answer(httpx2.URL(url, params=dict(params))) as response:
                body = b"".join(limited(response.iter_bytes(CHUNK), MAX_REPLY_BYTES, None))
            try:
                reply = json.loads(body)
            except ValueError:
                reply = None
            if not isinstance(reply, dict):
                kind = response.headers.get("Content-Type", "nothing").partition(";")[0]
                raise BusyError(f"answers {kind} where JSON was expected", None)
            check(reply, response.headers)
            return reply

        try:
            return self._patiently(ask, host)
        except RefusedError as refusal:
            raise WebError(f"{host} refuses to answer ({refusal}): check --contact and the options") from None
        except BusyError as busy:
            raise WebError(f"{host} {busy}, also when asked {TRIES} times: {_AGAIN}") from None
        except httpx2.RequestError as error:
            raise WebError(f"{host} can't be reached ({_said(error)}): check the network; {_AGAIN}") from None

    def download(self, url: str, target: Path) -> None:
        """Fetches a file. `target` may hold a half of it where this raises.

        Raises:
            RefusedError: It is not there, too large, or at an address that is not allowed.
            NotDeliveredError: It did not arrive, however often it was asked for.
        """
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise RefusedError("no address", url) from None

        def fetch() -> None:
            # Not compressed: a small file must not become a large one here.
            with self._answer(address, {"Accept": "image/*", "Accept-Encoding": "identity"}) as response:
                if int(response.headers.get("Content-Length", 0)) > MAX_IMAGE_BYTES:
                    raise RefusedError("too many bytes", f"more than {MAX_IMAGE_BYTES:,}")
                end = time.monotonic() + _LONGEST_DOWNLOAD
                with target.open("wb") as file:
                    for chunk in limited(response.iter_raw(CHUNK), MAX_IMAGE_BYTES, end):
                        file.write(chunk)

        try:
            self._patiently(fetch, address.host)
        except (BusyError, httpx2.RequestError) as error:
            raise NotDeliveredError(f"{address.host} {_said(error)}") from None

    @contextmanager
    def _answer(self, url: httpx2.URL, headers: Mapping[str, str] | None = None) -> Iterator[httpx2.Response]:
        """Gives the answer to a request, its body unread, after any redirects.

        Raises:
            RefusedError: The server, or our door, says no.
            BusyError: The server says later.
        """
        for _ in range(_REDIRECTS + 1):
            self._door.check(url)
            self._pace.wait_turn(url.host)
            with self._client.stream("GET", url, headers=headers) as response:
                self._met.add(url.host)
                self._door.check_peer(response)
                self._pace.obey(url.host, response.headers)
                if response.next_request is None:
                    check_status(response)
                    yield response
                    return
                url = response.next_request.url
        raise RefusedError("too many redirects", url.host)

    def _patiently(self, call: Callable[[], T], host: str) -> T:
        for attempt in Retrying(
            retry=retry_if_exception_type((BusyError, httpx2.RequestError)),
            wait=lambda state: self._wait(state, host),
            stop=lambda state: self._is_hopeless(state, host) or stop_after_attempt(TRIES)(state),
            sleep=self._pace.sleep,
            reraise=True,
        ):
            with attempt:
                return call()
        raise AssertionError("tenacity re-raises the last error")

    def _is_hopeless(self, state: RetryCallState, host: str) -> bool:
        """Tells whether a server was never reached, so that the network is what is wrong."""
        error = state.outcome.exception() if state.outcome else None
        return isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)) and host not in self._met

    def _wait(self, state: RetryCallState, host: str) -> float:
        error = state.outcome.exception() if state.outcome else None
        seconds = getattr(error, "seconds", None)
        if seconds is None:
            # 5, 10, 20, 40 s, not all clients at the same moment.
            seconds = 5 * self._pause * 2 ** (state.attempt_number - 1) * random.uniform(1, 1.2)
        if seconds > _LONGEST_WAIT:
            raise WebError(f"{host} asks to wait for {seconds / 60:.0f} minutes: {_AGAIN}")
        if seconds >= 5:
            tqdm.write(f"waiting for {seconds:.0f} s: {host} {_said(error)}", file=sys.stderr)
        # For everybody: the server did not mean this one request.
        self._pace.hold(host, seconds)
        return seconds


def _said(error: BaseException | None) -> str:
    return " ".join(str(error).split()) or type(error).__name__
