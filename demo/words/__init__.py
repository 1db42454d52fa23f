"""What the page says, in every language that it speaks: a JSON file each, all with the same keys and placeholders.

To add a language, add its file.
"""

import json
from dataclasses import dataclass
from pathlib import Path

ENGLISH = "en"


@dataclass(frozen=True)
class Words:
    """The page's texts in one language.

    Attributes:
        language: As in the attribute `lang` of HTML.
        texts: By key, with placeholders as `str.format` takes them.
    """

    language: str
    texts: dict[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Returns a text with its placeholders filled in."""
        return self.texts[key].format(**values)

    def __contains__(self, key: str) -> bool:
        """Tells whether there is a text for a key."""
        return key in self.texts


def _read(path: Path) -> Words:
    return Words(path.stem, json.loads(path.read_text(encoding="utf-8")))


LANGUAGES = {path.stem: _read(path) for path in sorted(Path(__file__).parent.glob("*.json"))}
"""All there are, by language."""


def words_for(accept_language: str | None) -> Words:
    """Chooses the language for a request.

    Only what the visitor wants most counts, for Gradio's own texts follow that alone: a page in two languages would
    serve nobody.

    Args:
        accept_language: The request's header, such as "hi-IN,hi;q=0.9,en;q=0.8".
    """
    wanted = [_weighed(entry) for entry in (accept_language or "").split(",")]
    # The first of equals: max keeps it.
    tag = max(wanted, key=lambda entry: entry[1])[0]
    return LANGUAGES.get(tag.split("-")[0].lower(), LANGUAGES[ENGLISH])


def _weighed(entry: str) -> tuple[str, float]:
    tag, _, weight = entry.strip().partition(";q=")
    try:
        return tag.strip(), float(weight or 1)
    except ValueError:
        return tag.strip(), 0.0
