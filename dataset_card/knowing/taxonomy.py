"""Which dance a name means, in any spelling, and what a class is called."""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from dataset_card.knowing.dances import DANCES, Dance
from files.errors import UserError

# Within words of Indian scripts these two say how letters join.
_JOINERS = "\u200c\u200d"


class ClassNameError(UserError):
    """A folder whose name can't be that of a class."""


def dance_of(name: str) -> Dance | None:
    """Finds the dance that a name means, whole and in any known spelling.

    Returns:
        The dance, or None for any other name, such as that of another class.
    """
    key = _plain(name)
    return (
        _BY_SPELLING.get(key)
        or _BY_SPELLING.get(key.removesuffix("dancers"))
        or _BY_SPELLING.get(key.removesuffix("dance"))
    )


def name_classes(files: Mapping[str, list[Path]]) -> tuple[dict[str, list[Path]], list[str]]:
    """Gives classes their labels: a dance its usual one, in whatever spelling its folder has, any other its own.

    Args:
        files: The files of every class folder.

    Returns:
        The files of every label, sorted by label, and a note for people on every name that changed or is unknown.

    Raises:
        ClassNameError: A name that can't be shown, or two that differ in letter case only.
    """
    named: dict[str, list[Path]] = defaultdict(list)
    notes = []
    unknown = []
    for folder, paths in files.items():
        dance = dance_of(folder)
        label = dance.label if dance else _tidy(folder)
        named[label].extend(paths)
        if dance is None:
            unknown.append(label)
        if label not in (folder, _tidy(folder)):
            notes.append(f"{folder} is taken as {label}")
    by_key: dict[str, list[str]] = defaultdict(list)
    for label in named:
        by_key[label.casefold()].append(label)
    if twins := next((of for of in by_key.values() if len(of) > 1), None):
        raise ClassNameError(f"{' and '.join(sorted(twins))} differ in letter case only: rename one, or join them")
    if unknown:
        notes.append(f"no dance that is known here, kept as named: {', '.join(dict.fromkeys(unknown))}")
    return dict(sorted(named.items())), notes


def write_class_facts(folder: Path, label_names: list[str]) -> Path:
    """Writes `folder/classes.json`: what is known of every dance, for the model and the page to tell.

    A class that is no dance known here has an empty entry.
    """
    told = ("name", "native", "region", "fact", "look_for")
    facts = {
        label: {key: getattr(DANCES[label], key) for key in told} if label in DANCES else {} for label in label_names
    }
    path = folder / "classes.json"
    path.write_text(json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return path


def _tidy(folder: str) -> str:
    """Returns a folder's name as every system would spell it, for macOS takes letters and their marks apart."""
    name = " ".join(unicodedata.normalize("NFC", folder).split())
    if not name or not all(char.isprintable() or char in _JOINERS for char in name):
        raise ClassNameError(
            f"sub-folder {folder!r} has a name that can't be shown: rename it to the name of its class"
        )
    return name


def _plain(name: str) -> str:
    """Returns the letters and vowel signs of a name, without Latin accents, letter case, spaces and digits."""
    text = unicodedata.normalize("NFKD", name).casefold()
    return "".join(char for char in text if char.isalpha() or unicodedata.category(char) == "Mc")


_BY_SPELLING = {
    _plain(spelling): dance
    for dance in DANCES.values()
    for spelling in (dance.label, dance.name, dance.native, *dance.aliases)
}
