"""What the page says, in every language that it speaks: a JSON file each, all with the same keys and placeholders.

Models may know other things than dances; `other_classes/` has what the page says of those where the sentences differ.
`dances/` has what a model folder tells about the dances in English.

To add a language, add its three files. No native speaker has reviewed the Hindi ones yet.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_folder.facts import Dance

ENGLISH = "en"


@dataclass(frozen=True)
class Words:
    """The page's texts in one language.

    Attributes:
        language: As in the attribute `lang` of HTML.
        texts: By key, with placeholders as `str.format` takes them.
        dances: Name, region, fact and what to look for, by label; empty in the language of model folders.
    """

    language: str
    texts: dict[str, str]
    dances: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    def __call__(self, key: str, **values: object) -> str:
        """Returns a text with its placeholders filled in."""
        return self.texts[key].format(**values)

    def tell(self, classes: Mapping[str, Dance]) -> dict[str, Dance]:
        """Returns what there is to tell about a model's classes in this language, as far as that is known.

        Args:
            classes: As its folder has it.
        """
        return {label: self._dance(dance) for label, dance in classes.items()}

    def _dance(self, dance: Dance) -> Dance:
        # A class of this name may be something else: of the dances the folder says where they come from.
        if not dance.region or dance.label not in self.dances:
            return dance
        told = self.dances[dance.label]
        native = "" if dance.native == told["name"] else dance.native
        return dataclasses.replace(dance, native=native, language=self.language, **told)

    def __contains__(self, key: str) -> bool:
        """Tells whether there is a text for a key."""
        return key in self.texts


def _read(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


_HERE = Path(__file__).parent
_DANCES = _read(_HERE / "dances")
LANGUAGES = {language: Words(language, texts, _DANCES.get(language, {})) for language, texts in _read(_HERE).items()}
"""All there are, by language, for a model that knows dances."""
_OF_OTHER_CLASSES = {
    language: Words(language, LANGUAGES[language].texts | texts)
    for language, texts in _read(_HERE / "other_classes").items()
}


def languages_of(classes: Mapping[str, Dance]) -> Mapping[str, Words]:
    """Returns what the page of a model says, by language.

    Args:
        classes: What its folder tells about its classes: of those that are dances it knows where they come from.
    """
    return LANGUAGES if any(dance.region for dance in classes.values()) else _OF_OTHER_CLASSES


def words_for(accept_language: str | None, languages: Mapping[str, Words] = LANGUAGES) -> Words:
    """Chooses the language for a request.

    Only what the visitor wants most counts, for Gradio's own texts follow that alone: a page in two languages would
    serve nobody.

    Args:
        accept_language: The request's header, such as "hi-IN,hi;q=0.9,en;q=0.8".
        languages: Of the model's page.
    """
    wanted = [_weighed(entry) for entry in (accept_language or "").split(",")]
    # The first of equals: max keeps it.
    tag = max(wanted, key=lambda entry: entry[1])[0]
    return languages.get(tag.split("-")[0].lower(), languages[ENGLISH])


def _weighed(entry: str) -> tuple[str, float]:
    tag, _, weight = entry.strip().partition(";q=")
    try:
        return tag.strip(), float(weight or 1)
    except ValueError:
        return tag.strip(), 0.0
