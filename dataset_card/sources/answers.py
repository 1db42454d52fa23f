"""Reading an answer: its status, its body up to a limit, and how long it asks to wait."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from pictures.refused import RefusedError

CHUNK = 1 << 16
MAX_REPLY_BYTES = 20_000_000

_BUSY = {429, 502, 503, 504}


class BusyError(Exception):
    """A server asks to be asked again.

    Attributes:
        seconds: When, as it says; None where it does not.
    """

    def __init__(self, said: str, seconds: float | None) -> None:
        super().__init__(said)
        self.seconds = seconds


def check_status(response: httpx2.Response) -> None:
    """Lets an answer pass that holds what was asked for; reads the body of any other.

    Raises:
        BusyError: The server says later.
        RefusedError: The server says no.
    """
    status = response.status_code
    if status == 200:
        return
    said = b"".join(limited(response.iter_bytes(CHUNK), MAX_REPLY_BYTES, None)).decode(errors="replace")
    # The one 429 that no waiting cures: a scaled copy of a width that Wikimedia does not make.
    if status in _BUSY and "thumbnail steps" not in said:
        raise BusyError(f"is busy (status {status})", retry_after(response.headers.get("Retry-After", "")))
    text = " ".join(re.sub(r"<[^>]*>", " ", said).split())
    raise RefusedError(f"answered with status {status}", text[:200])


def retry_after(value: str) -> float | None:
    """Returns the seconds to wait that a `Retry-After` header names, as a number or a date; None for any other."""
    if value.strip().isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    # A date without a zone is meant as GMT.
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def limited(chunks: Iterator[bytes], limit: int, end: float | None) -> Iterator[bytes]:
    """Passes on the chunks of a body, up to `limit` bytes and until `end`, by `time.monotonic`.

    Raises:
        RefusedError: It is longer.
        BusyError: It takes longer.
    """
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise RefusedError("too many bytes", f"more than {limit:,}")
        if end is not None and time.monotonic() > end:
            raise BusyError("is too slow", None)
        yield chunk
