"""An HTTP client that keeps to Wikimedia's API etiquette and robot policy, which suit every other server as well.

Each request says who asks and waits for its turn. Redirects are checked as requests are, and a server that is busy is
asked again when it says so.
"""

import json
import os
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tqdm import tqdm

from dataset_card.sources.allowed_hosts import AllowedHosts, ForbiddenAddressError, netloc
from files.errors import UserError
from pictures import RefusedError

VERSION = "0.1.0"
PAUSE = 1.0
"""Seconds between the starts of two requests to one host. With two hosts, media and API, this stays well under the
200 requests a minute that Wikimedia grants a client that says who it is."""
MAX_REPLY_BYTES = 20_000_000
MAX_IMAGE_BYTES = 30_000_000
MAX_ATTEMPTS = 5
TRY_AGAIN = "run the same command again later; what is here is not downloaded again"

_CHUNK = 1 << 16
_TIMEOUT = httpx2.Timeout(30, connect=15)
_MAX_WAIT = 300.0
_MAX_DOWNLOAD_SECONDS = 120.0
_MAX_REDIRECTS = 5
_TEMPORARY = {408, 425, 429}
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RULES_WITH_VALUE = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}

T = TypeVar("T")


class BusyError(Exception):
    """A server did not deliver now and should be asked again.

    Attributes:
        seconds: When, as the server says; None where it does not.
    """

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class StatusError(Exception):
    """A server refused a request with a status that no waiting changes.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"answered with status {status}" + (f" ({text})" if text else ""))
        self.status, self.text = status, text


class NotDeliveredError(Exception):
    """A file that was not delivered but may be another time.

    Attributes:
        leave_host: Whether the host wants no further request for a long time.
    """

    def __init__(self, message: str, leave_host: bool = False) -> None:
        super().__init__(message)
        self.leave_host = leave_host


class StoppedError(Exception):
    """The client was closed while a request waited."""


class _LongWaitError(Exception):
    """A server asks to wait longer than a command does."""


@dataclass(frozen=True)
class Server:
    """The address of a server's API.

    Attributes:
        url: The address.
        is_replaced: Whether an environment variable put another server, such as that of a test, in its place.
    """

    url: str
    is_replaced: bool

    @classmethod
    def at(cls, url: str, variable: str) -> "Server":
        """Returns the server at `url`, or the one that the environment variable names instead."""
        replacement = os.environ.get(variable)
        return cls(replacement or url, bool(replacement))

    @property
    def netloc(self) -> str:
        """Host and port, as in `AllowedHosts.hosts`."""
        return netloc(httpx2.URL(self.url))


def pause_for(*servers: Server) -> float:
    """Returns the seconds between two requests to a host.

    The environment variable `NRITYA_PAUSE` replaces `PAUSE` where every server is replaced, too: the real ones are
    never asked faster than they allow.
    """
    replacement = os.environ.get("NRITYA_PAUSE")
    return float(replacement) if replacement and all(server.is_replaced for server in servers) else PAUSE


def user_agent(contact: str) -> str:
    """Returns the `User-Agent` of every request: `nritya/0.1.0 (contact) httpx2/2.16.2`.

    Args:
        contact: An e-mail address or web page of the person who runs the command.

    Raises:
        UserError: `contact` is neither.
    """
    header = contact.isascii() and contact.isprintable() and not set("()") & set(contact)
    if not header or not re.search(r"\S@\S+\.\S|https?://\S+\.\S", contact):
        given = f"{contact!r} is neither" if contact else "none is given"
        raise UserError(
            f"servers require an e-mail address or web page of whoever asks, and {given}: add --contact (or "
            "NRITYA_CONTACT), such as --contact me@example.org"
        )
    return f"nritya/{VERSION} ({contact.strip()}) httpx2/{httpx2.__version__}"


class RateLimiter:
    """Spaces the requests to each host; threads may share it.

    Args:
        pause: Seconds between the starts of two requests to a host.
        pauses: Other pauses, by host.
    """

    def __init__(self, pause: float, pauses: Mapping[str, float]) -> None:
        self._pause, self._pauses = pause, dict(pauses)
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def acquire(self, host: str) -> None:
        """Waits until a request to this host may start.

        Raises:
            StoppedError: `stop` was called.
        """
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at.get(host, 0))
            self._free_at[host] = start + self._pauses.get(host, self._pause)
        self.sleep(start - now)

    def hold(self, host: str, seconds: float) -> None:
        """Lets no request to this host start for some seconds."""
        with self._lock:
            self._free_at[host] = max(self._free_at.get(host, 0), time.monotonic() + seconds)

    def update(self, host: str, headers: Mapping[str, str]) -> None:
        """Slows down to the rate that Openverse states in its headers: `X-RateLimit-Limit-anon_burst: 20/min`."""
        for name, value in headers.items():
            if re.fullmatch(r"x-ratelimit-limit-\w+_burst", name.lower()):
                rate = re.fullmatch(r"(\d+)/([smhd])\w*", value.strip())
                if rate and int(rate[1]):
                    with self._lock:
                        pause = _PERIODS[rate[2]] / int(rate[1])
                        self._pauses[host] = max(pause, self._pauses.get(host, self._pause))

    def sleep(self, seconds: float) -> None:
        """Waits.

        Raises:
            StoppedError: `stop` was called.
        """
        if self._stopped.wait(max(0.0, seconds)):
            raise StoppedError

    def stop(self) -> None:
        """Ends every wait, now and later."""
        self._stopped.set()


class HttpClient:
    """Sends the requests of one source; threads may share it.

    Args:
        user_agent: What every request says of itself, see `user_agent`.
        allowed: Where requests may go.
        pause: Seconds between the starts of two requests to one host, and the unit of the waits before new attempts.
        pauses: Other pauses, by host.
    """

    def __init__(
        self, user_agent: str, allowed: AllowedHosts, pause: float, pauses: Mapping[str, float] | None = None
    ) -> None:
        self.allowed, self._pause = allowed, pause
        self._limiter = RateLimiter(pause, pauses or {})
        self._client = httpx2.Client(headers={"User-Agent": user_agent}, timeout=_TIMEOUT)
        self._reached: set[str] = set()

    def close(self) -> None:
        """Ends every wait and every transfer at once."""
        self._limiter.stop()
        self._client.close()

    def get_json(
        self,
        url: str,
        params: Mapping[str, str],
        check: Callable[[dict[str, Any], Mapping[str, str]], None] = lambda reply, headers: None,
    ) -> dict[str, Any]:
        """Sends a request to an API.

        Args:
            url: Its address.
            params: The query.
            check: Gets the reply and its headers and raises `BusyError` where they ask to come back later.

        Raises:
            UserError: There was no useful reply in `MAX_ATTEMPTS` attempts.
        """
        host = httpx2.URL(url).host

        def ask() -> dict[str, Any]:
            with self._response(httpx2.URL(url, params=dict(params))) as response:
                body = b"".join(_limited(response.iter_bytes(_CHUNK), MAX_REPLY_BYTES))
            try:
                reply = json.loads(body)
            except ValueError:
                reply = None
            if not isinstance(reply, dict):
                raise BusyError(f"answers {_content_type(response) or 'nothing'} where JSON was expected")
            check(reply, response.headers)
            return reply

        try:
            return self._retry(ask, host)
        except _LongWaitError as wait:
            raise UserError(f"{wait}: {TRY_AGAIN}") from None
        except (StatusError, RefusedError) as refusal:
            raise UserError(f"{host} refuses to answer ({refusal}): check --contact and the options") from None
        except NotDeliveredError as failure:
            raise UserError(f"{failure}: check the network, and {TRY_AGAIN}") from None
        except BusyError as busy:
            raise UserError(f"{host} {busy}, also when asked {MAX_ATTEMPTS} times: {TRY_AGAIN}") from None
        except httpx2.RequestError as error:
            raise UserError(
                f"{host} can't be reached ({_message(error)}): check the network, and {TRY_AGAIN}"
            ) from None

    def download(self, url: str, target: Path) -> str | None:
        """Downloads a picture. `target` may hold a part of it where this raises.

        Returns:
            Why the file may be something else than the picture at this address: a login page, an error message or a
            part of it. None where the answer states a length and an image type.

        Raises:
            ForbiddenAddressError: The address must not be requested.
            RefusedError: The picture is gone, too large, or not to be used for AI (`X-Robots-Tag`).
            NotDeliveredError: Anything else; it may be delivered another time.
        """
        try:
            address = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise ForbiddenAddressError(url) from None

        def fetch() -> str | None:
            # Without compression: a small answer must not become a large file.
            with self._response(address, {"Accept": "image/*", "Accept-Encoding": "identity"}) as response:
                if rule := no_ai_rule(response.headers.get_list("X-Robots-Tag")):
                    raise RefusedError("not to be used for AI", f"X-Robots-Tag: {rule}")
                if int(response.headers.get("Content-Length", 0)) > MAX_IMAGE_BYTES:
                    raise RefusedError("too many bytes", f"more than {MAX_IMAGE_BYTES:,}")
                deadline = time.monotonic() + _MAX_DOWNLOAD_SECONDS
                with target.open("wb") as file:
                    for chunk in _limited(response.iter_raw(_CHUNK), MAX_IMAGE_BYTES, deadline):
                        file.write(chunk)
                    if not file.tell():
                        raise BusyError("answers with an empty file")
                kind = _content_type(response)
                if not kind.startswith("image/"):
                    return f"{response.url.host} answers {kind or 'no type'} where a picture was expected"
                # The last chunk of an answer in chunks says that it is the last.
                if {"content-length", "transfer-encoding"}.isdisjoint(response.headers):
                    return f"{response.url.host} states no length, the file may be cut short"
                return None

        try:
            return self._retry(fetch, address.host)
        except StatusError as error:
            if error.status in (404, 410):
                raise RefusedError(f"answered with status {error.status}", error.text) from None
            raise NotDeliveredError(f"{address.host} {error}") from None
        except _LongWaitError as wait:
            raise NotDeliveredError(str(wait), leave_host=True) from None
        except (BusyError, httpx2.RequestError) as error:
            raise NotDeliveredError(f"{address.host} {_message(error)}") from None

    @contextmanager
    def _response(self, url: httpx2.URL, headers: Mapping[str, str] | None = None) -> Iterator[httpx2.Response]:
        """Yields the response to a request, its body unread, after any redirects.

        Raises:
            ForbiddenAddressError: `url` must not be requested.
            NotDeliveredError: A redirect leads to an address that must not be requested, or there are too many.
            StatusError: The server refuses.
            BusyError: The server asks to come back later.
        """
        for redirects in range(_MAX_REDIRECTS + 1):
            try:
                self.allowed.check(url)
            except ForbiddenAddressError as error:
                if not redirects:
                    raise
                # Such as the login page of a hotel's network: it tells nothing about the picture.
                raise NotDeliveredError(f"a redirect leads to {error.detail}: {error.reason}") from None
            self._limiter.acquire(url.host)
            with self._client.stream("GET", url, headers=headers) as response:
                self._reached.add(url.host)
                self.allowed.check_peer(response)
                self._limiter.update(url.host, response.headers)
                if response.next_request is None:
                    _check_status(response)
                    yield response
                    return
                url = response.next_request.url
        raise NotDeliveredError(f"{url.host} answers with too many redirects")

    def _retry(self, call: Callable[[], T], host: str) -> T:
        for attempt in Retrying(
            retry=retry_if_exception_type((BusyError, httpx2.RequestError)),
            wait=lambda state: self._wait(state, host),
            stop=lambda state: self._is_unreachable(state, host) or stop_after_attempt(MAX_ATTEMPTS)(state),
            sleep=self._limiter.sleep,
            reraise=True,
        ):
            with attempt:
                return call()
        raise AssertionError("tenacity re-raises the last error")

    def _is_unreachable(self, state: RetryCallState, host: str) -> bool:
        """Tells whether a server was never reached, so that waiting won't help."""
        error = state.outcome.exception() if state.outcome else None
        return isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)) and host not in self._reached

    def _wait(self, state: RetryCallState, host: str) -> float:
        error = state.outcome.exception() if state.outcome else None
        seconds = getattr(error, "seconds", None)
        if seconds is None:
            # 5, 10, 20, 40 s, with jitter.
            seconds = 5 * self._pause * 2 ** (state.attempt_number - 1) * random.uniform(1, 1.2)
        if seconds > _MAX_WAIT:
            raise _LongWaitError(f"{host} asks to wait for {seconds / 60:.0f} minutes")
        if seconds >= 5:
            tqdm.write(f"waiting for {seconds:.0f} s: {host} {_message(error)}", file=sys.stderr)
        # Also the other threads wait: the server did not mean this one request.
        self._limiter.hold(host, seconds)
        return seconds


def retry_after(value: str) -> float | None:
    """Returns the seconds to wait that a `Retry-After` header states, as a number or a date; None for any other."""
    if value.strip().isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date without a zone means GMT.
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def no_ai_rule(headers: list[str]) -> str | None:
    """Returns the first rule of `X-Robots-Tag` headers that forbids use for AI, `noai` or `noimageai`.

    A rule may be for one agent, as in `otherbot: noai, noindex`, and then counts where that agent is `nritya` or `*`.

    Args:
        headers: The values of all headers of this name.
    """
    for header in headers:
        agent = "*"
        for rule in header.lower().split(","):
            name, colon, value = (part.strip() for part in rule.partition(":"))
            if colon and name not in _RULES_WITH_VALUE:
                agent, name = name, value
            if name in ("noai", "noimageai") and agent in ("*", "nritya"):
                return name
    return None


def _check_status(response: httpx2.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    body = next(response.iter_bytes(_CHUNK), b"").decode(errors="replace")
    wait = retry_after(response.headers.get("Retry-After", ""))
    # The one 429 that no waiting changes: a scaled copy of a width that Wikimedia does not make.
    if "thumbnail steps" not in body and (status in _TEMPORARY or status >= 500 or wait is not None):
        raise BusyError(f"is busy (status {status})", wait)
    raise StatusError(status, " ".join(re.sub(r"<[^>]*>", " ", body).split())[:200])


def _content_type(response: httpx2.Response) -> str:
    return str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def _limited(chunks: Iterator[bytes], max_bytes: int, deadline: float | None = None) -> Iterator[bytes]:
    """Yields the chunks of a body, up to `max_bytes` and until `deadline` of `time.monotonic`.

    Raises:
        RefusedError: The body is longer.
        BusyError: It takes longer.
    """
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise RefusedError("too many bytes", f"more than {max_bytes:,}")
        if deadline is not None and time.monotonic() > deadline:
            raise BusyError("is too slow")
        yield chunk


def _message(error: BaseException | None) -> str:
    return " ".join(str(error).split()) or type(error).__name__
