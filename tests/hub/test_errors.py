import pytest
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import httpx

from hub.errors import HubError, explain, one_line_errors, redact


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
        (OSError("disk full"), "disk full: run the same command again"),
    ],
)
def test_each_family_of_errors_says_what_to_do(error: Exception, message: str) -> None:
    assert message in explain(error)
    assert "\n" not in explain(error)


def test_our_own_faults_are_not_swallowed() -> None:
    with pytest.raises(KeyError, match="bug"), one_line_errors("pushing"):
        raise KeyError("bug")
