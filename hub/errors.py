"""Everything that can go wrong with the Hub, in one clear line each."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx, parse_ratelimit_headers

from files.errors import UserError
from files.errors import explain as explain_on_disk

_TOKEN = re.compile(r"hf_[A-Za-z0-9_]+")
_AGAIN = "run the same command again: what has arrived is not sent twice"
# What the Hub's clients raise, in three families: their own, their HTTP library's, and the xet extension's.
CLIENT_ERRORS = (HfHubHTTPError, httpx.HTTPError, HFValidationError, EntryNotFoundError, OSError, RuntimeError)


class HubError(UserError):
    """The Hub, or the way to it, says no; the message says what to do. It never holds a token."""


class PublishError(UserError):
    """What is to be published must not be, or not there; nothing was sent. The message says what to change."""


@contextmanager
def one_line_errors(doing: str) -> Iterator[None]:
    """Turns what the Hub's clients raise inside the block into a `HubError` of one line.

    Args:
        doing: What was tried, to begin the line with, such as "pushing to user/dances".
    """
    try:
        yield
    except HubError:
        raise
    except CLIENT_ERRORS as error:
        # `from None`: what a client's error holds may show headers or signed addresses.
        raise HubError(f"{doing}: {explain(error)}") from None


def explain(error: BaseException) -> str:
    """Returns what an error of a Hub client means and what to do, on one line, without tokens."""
    if isinstance(error, HFValidationError):
        return f"the Hub does not allow this name ({_reason(error)}): letters, digits, - _ . and one / are allowed"
    if isinstance(error, LocalTokenNotFoundError):
        return "no token: run `hf auth login`, or set HF_TOKEN"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set: unset it, or use what is in the cache"
    if isinstance(error, GatedRepoError):
        return "access is granted on request: ask for it on its page, then use your token"
    if isinstance(error, RevisionNotFoundError):
        return "it has no such revision: name a branch, a tag or a full commit hash"
    if isinstance(error, RepositoryNotFoundError):
        return "there is no such repository, or the token may not see it: check the name and the token"
    if isinstance(error, LocalEntryNotFoundError):
        return "the Hub can't be reached and the cache does not have it: check the network, or HF_ENDPOINT"
    if isinstance(error, EntryNotFoundError):
        return "the repository lacks a file that is needed: check that it is what you think it is"
    if isinstance(error, HfHubHTTPError):
        return _explain_status(error)
    if isinstance(error, httpx.TransportError):
        return f"the connection to the Hub broke ({type(error).__name__}): {_AGAIN}"
    if _is_local(error):
        return _explain_local(error)
    if isinstance(error, RuntimeError) and error.__cause__ is not None and _is_local(error.__cause__):
        # The clients wrap what stops an upload, and say of which file.
        return f"{_reason(error).rstrip('.')}: {_explain_local(error.__cause__)}"
    return f"{_reason(error)}: {_AGAIN}"


def _is_local(error: BaseException) -> TypeGuard[OSError]:
    """Tells what this machine's files refused from what the way to the Hub did, which Python calls `OSError`, too."""
    return isinstance(error, OSError) and bool(error.errno) and not isinstance(error, (ConnectionError, TimeoutError))


def _explain_local(error: OSError) -> str:
    if explained := explain_on_disk(error):
        return explained
    if error.filename:
        return f"{error.filename} can't be used ({error.strerror}): see to this file, then run the same command again"
    return f"{error.strerror}: see to this machine's files and disk, then run the same command again"


def named_wait(error: HfHubHTTPError) -> float | None:
    """Returns how many seconds the Hub asks to wait, in the headers that its own client follows; None if it does not.

    See `huggingface_hub.utils.http_backoff`: `RateLimit` where nothing remains of it, else `Retry-After` in seconds.
    """
    headers = error.response.headers
    limit = parse_ratelimit_headers(headers) if error.response.status_code == 429 else None
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    seconds = headers.get("Retry-After", "").strip()
    return float(seconds) if seconds.isdigit() else None


def _explain_status(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    reason = _reason(error)
    if status == 401:
        return "the Hub does not accept the token: run `hf auth login` with a valid one, or set HF_TOKEN"
    if status == 403:
        return f"the token may not do this ({reason}): use one that may (write access to this namespace, for a push)"
    if status == 409:
        return f"it collides with what is there ({reason}): choose another name"
    if status == 412:
        return "somebody else changed the repository meanwhile: look at their change, then run the same command again"
    if status == 429:
        seconds = named_wait(error)
        return f"the Hub asks to slow down: wait {f'{seconds:.0f} s' if seconds else 'a little'}, then {_AGAIN}"
    if status >= 500:
        return f"the Hub has trouble of its own (status {status}): wait a little, then {_AGAIN}"
    return f"the Hub refuses it (status {status}: {reason})"


def _reason(error: BaseException) -> str:
    text = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return redact(text.strip().splitlines()[0])


def redact(text: str) -> str:
    """Returns the text with everything that looks like a token erased."""
    return _TOKEN.sub("hf_***", text)
