import pytest

from dataset_card.sources.markup import first_link, plain_text


@pytest.mark.parametrize(
    ("html", "text", "link"),
    [
        ("", "", ""),
        ("Ravi &amp; Mira", "Ravi & Mira", ""),
        ('<a href="//commons.wikimedia.org/wiki/User:U">U</a>', "U", "https://commons.wikimedia.org/wiki/User:U"),
        ('<a href="/wiki/User:U">U</a>', "U", "https://commons.wikimedia.org/wiki/User:U"),
        ('<a href="javascript:alert(1)">U</a> <a href="https://x.org">X</a>', "U X", "https://x.org"),
        ("<style>.a{color:red}</style>Ravi<script>x()</script>", "Ravi", ""),
        ('<div><span style="display:none;">Un<b>known<br></b></span>Ravi</div>', "Ravi", ""),
        ("<table><tr><td>Ravi<td>Mira</table>", "Ravi Mira", ""),
        ("a\n\t b\u00a0c", "a b c", ""),
        ("<b>open", "open", ""),
        ("1 < 2", "1 < 2", ""),
    ],
)
def test_what_a_reader_sees(html: str, text: str, link: str) -> None:
    assert plain_text(html) == text
    assert first_link(html) == link
