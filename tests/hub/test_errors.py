import errno
from pathlib import Path

import pytest
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import httpx

from hub.errors import HubError, explain, named_wait, one_line_errors, redact


def _refusal(headers: dict[str, str], status: int = 429) -> httpx.Response:
    return httpx.Response(status, headers=headers, request=httpx.Request("GET", "http://127.0.0.1/"))


def test_tokens_never_show() -> None:
    assert redact("Bearer hf_AbC123xyz: no") == "Bearer hf_***: no"
    with (
        pytest.raises(HubError, match=r"^pushing: token hf_\*\*\* is bad: run the same") as error,
        one_line_errors("pushing"),
    ):
        raise RuntimeError("token hf_secret99 is bad\nheaders: Authorization: Bearer hf_secret99")
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (HFValidationError("Cannot have -- in repo_id: 'a--b'"), "does not allow this name (Cannot have --"),
        (LocalEntryNotFoundError("x"), "can't be reached and the cache does not have it"),
        (httpx.ReadTimeout("slow"), "the connection to the Hub broke (ReadTimeout): run the same command again"),
        # As the clients' own errors come: without a number of the system's.
        (OSError("not to be had"), "not to be had: run the same command again"),
        (OSError(errno.ENOSPC, "No space left"), "no space left on the disk: free some"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "reset: run the same command again"),
        (HfHubHTTPError("slow", response=_refusal({"Retry-After": "7"})), "the Hub asks to slow down: wait 7 s, then"),
    ],
)
def test_each_family_of_errors_says_what_to_do(error: Exception, message: str) -> None:
    assert message in explain(error)
    assert "\n" not in explain(error)


def test_a_local_file_is_named() -> None:
    with (
        pytest.raises(HubError, match=r"^pushing: /no/such is not there, nor is its folder: check the path"),
        one_line_errors("pushing"),
    ):
        Path("/no/such").read_bytes()
    # The clients wrap what happens while they upload.
    error = RuntimeError("Error while uploading 'a' to the Hub.")
    error.__cause__ = FileNotFoundError(errno.ENOENT, "No such file or directory", "/no/such")
    assert explain(error).startswith("Error while uploading 'a' to the Hub: /no/such is not there, nor is its folder")


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"RateLimit": '"api";r=0;t=55', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}, 55),
        (429, {"RateLimit": '"api";r=0;t=55', "Retry-After": "7"}, 55),
        # Something else than this limit says no.
        (429, {"RateLimit": '"api";r=9;t=55', "Retry-After": "7"}, 7),
        (429, {"RateLimit": '"api";r=9;t=55'}, None),
        (503, {"Retry-After": " 7 "}, 7),
        (503, {"RateLimit": '"api";r=0;t=55'}, None),
        (503, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        (503, {}, None),
    ],
)
def test_how_long_the_hub_asks_to_wait(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert named_wait(HfHubHTTPError("no", response=_refusal(headers, status))) == seconds


def test_our_own_faults_are_not_swallowed() -> None:
    with pytest.raises(KeyError, match="bug"), one_line_errors("pushing"):
        raise KeyError("bug")
