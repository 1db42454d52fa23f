import pytest

from dataset_card.write.card import link, plain


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("A *dance*", r"A \*dance\*"),
        ("<script>alert(1)</script>", r"\<script\>alert(1)\</script\>"),
        ("a | b\n\n---\n# c", r"a \| b --- \# c"),
        ("Q&amp;A ~~$x$~~", r"Q\&amp;A \~\~\$x\$\~\~"),
        ("turn \u202eround\u202c \x1b[0m", r"turn round \[0m"),
        ("क्‍ष தமிழ்", "क्‍ष தமிழ்"),
    ],
)
def test_no_character_means_more_than_itself(text: str, written: str) -> None:
    assert plain(text) == written


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://x.org/a_(b) c", r"[\*](https://x.org/a_%28b%29%20c)"),
        ("https://x.org/\n\n# head <b>", r"[\*](https://x.org/%0A%0A#%20head%20%3Cb%3E)"),
        (" https://x.org/%C3%A9?q=1&r=é", r"[\*](https://x.org/%C3%A9?q=1&r=%C3%A9)"),
        ("javascript:alert(1)", r"\*"),
        ("", r"\*"),
    ],
)
def test_addresses_lead_to_the_web_and_end_where_they_end(url: str, written: str) -> None:
    assert link("*", url) == written
