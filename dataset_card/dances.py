"""The dances: their names in any spelling, how to tell one from another, where their photographs may be found.

Everything a page or a card says about a dance is here, and what a class may be called.
"""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from files.errors import UserError

MOST_LETTERS, MOST_BYTES = 200, 240
"""A class's name: a model folder takes no longer one, and a file that is named after it has at most 255 bytes."""

# Within words of Indian scripts these two say how letters join.
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class Dance:
    """One classical dance.

    Attributes:
        label: The class name.
        name: For people.
        native: The name in the script of its home.
        region: Where it comes from.
        fact: One line about it.
        look_for: What a photograph shows of it, in one line.
        aliases: Other spellings and names of the same dance; letter case, marks and spaces do not matter.
        wikipedia: Title of its English article.
        categories: Categories on Wikimedia Commons that may exist; to be resolved before use.
        searches: Words that find its photographs.
    """

    label: str
    name: str
    native: str
    region: str
    fact: str
    look_for: str
    aliases: tuple[str, ...]
    wikipedia: str
    categories: tuple[str, ...]
    searches: tuple[str, ...]


DANCES = {
    dance.label: dance
    for dance in (
        Dance(
            "bharatanatyam", "Bharatanatyam", "பரதநாட்டியம்", "Tamil Nadu",
            "Grew out of the Sadir of Tamil temple dancers; on the modern stage since the early twentieth century.",
            "A half-sit with the knees turned out, straight lines of the arms, a silk fan of pleats between the legs, "
            "gold-toned temple jewellery, one long plait.",
            ("Bharathanatyam", "Bharatnatyam", "Bharatanatya", "Bharathanatya", "Bharat Natya", "Sadir",
             "Sadirattam", "Dasi Attam", "Thanjavur Natyam"),
            "Bharatanatyam",
            ("Bharatanatyam", "Bharatanatyam dancers"),
            ("Bharatanatyam dancer", "Bharatanatyam performance stage", "Bharathanatyam arangetram"),
        ),
        Dance(
            "kathak", "Kathak", "कथक", "northern India",
            "Northern storytellers' dance, at home in temples and at princely courts alike.",
            "Upright on straight legs, a flared frock that opens in spins, rows of bells up the shins, a thin veil.",
            ("Katthak", "Kathak nritya", "Kathaka"),
            "Kathak",
            ("Kathak", "Kathak dancers"),
            ("Kathak dancer", "Kathak chakkar spin", "Kathak performance ghungroo"),
        ),
        Dance(
            "kathakali", "Kathakali", "കഥകളി", "Kerala",
            "Dance-drama of the seventeenth century: actors play epics while singers tell them.",
            "A face painted like a mask (green for heroes) with a white rim along the jaw, a huge round crown, "
            "a bell-shaped skirt.",
            ("Kathakaḷi", "Attakatha"),
            "Kathakali",
            ("Kathakali", "Kathakali actors", "Kathakali characters"),
            ("Kathakali performance", "Kathakali pacha", "Kathakali artist Kerala"),
        ),
        Dance(
            "kuchipudi", "Kuchipudi", "కూచిపూడి", "Andhra Pradesh",
            "Named after a village whose men staged plays about Krishna; solo women's dancing came later.",
            "Feet on the rim of a brass plate at times; one long fan, quick and rounded poses, a smiling face.",
            ("Kuchipoodi", "Kuchupudi", "Kuchhipudi", "Kuchipudi natyam"),
            "Kuchipudi",
            ("Kuchipudi", "Kuchipudi dance", "Kuchipudi dancers"),
            ("Kuchipudi dance", "Kuchipudi tarangam plate", "Kuchipudi dancer Andhra"),
        ),
        Dance(
            "manipuri", "Manipuri", "মণিপুরী নৃত্য", "Manipur",
            "Devotional dance of the Meitei people: the Ras Lila of Radha, Krishna and the milkmaids.",
            "A stiff skirt like a drum with mirrors on it, a see-through veil over a conical cap; men leap "
            "with drums, in white, with large turbans.",
            ("Jagoi", "Jagoi dance", "Jagoi Raas", "Raas Jagoi", "Ras Lila", "Rasa Lila", "Raas Leela", "Raas Lila",
             "Manipuri Ras Lila", "Manipuri Raas Leela", "Manipuri nritya", "Pung Cholom", "Kartal Cholom",
             "Nata Sankirtana"),
            "Manipuri dance",
            ("Manipuri dance", "Manipuri Raas Leela", "Manipuri dancers", "Pung cholom"),
            ("Manipuri dance potloi", "Manipuri Ras Lila dance", "Pung Cholom"),
        ),
        Dance(
            "mohiniyattam", "Mohiniyattam", "മോഹിനിയാട്ടം", "Kerala",
            "Women's solo dance, named after Mohini, the enchantress whose shape Vishnu took.",
            "White or cream with a gold border, hair in a bun at the side ringed with jasmine, a swaying torso over "
            "bent knees.",
            ("Mohiniattam", "Mohini Attam", "Mohiniyattom", "Mohini Aattam", "Mohini Attom"),
            "Mohiniyattam",
            ("Mohiniyattam", "Mohiniyattam dancers", "Mohiniattam"),
            ("Mohiniyattam dancer", "Mohiniattam performance Kerala", "Mohiniyattam kasavu costume"),
        ),
        Dance(
            "odissi", "Odissi", "ଓଡ଼ିଶୀ", "Odisha",
            "Temple dance of Odisha, rebuilt for the stage in the 1950s from dancers, boy dancers and sculpture.",
            "Silver jewellery and belt, a white crown of pith, the body bent three times or in a square half-sit.",
            ("Orissi", "Odishi", "Odisi", "Oddisi", "Odissi nrutya"),
            "Odissi",
            ("Odissi", "Odissi dance", "Odissi dancers"),
            ("Odissi dancer", "Odissi tribhangi", "Odissi dance Konark festival"),
        ),
        Dance(
            "sattriya", "Sattriya", "সত্ৰীয়া", "Assam",
            "Danced by monks in the monasteries of Assam since the fifteenth century; women and the stage came later.",
            "Pale raw silk with woven Assamese motifs and a red border, white flowers round the bun; men with shawl, "
            "turban and drum.",
            ("Satriya", "Sattriya nritya", "Satriya nritya", "Xattriya", "Satria", "Sankari dance"),
            "Sattriya",
            ("Sattriya", "Sattriya dance", "Satriya dance", "Sattriya dancers"),
            ("Sattriya dance", "Satriya Nritya Assam", "Majuli sattra monks dance"),
        ),
        Dance(
            "chhau", "Chhau", "ছৌ নাচ", "West Bengal, Jharkhand, Odisha",
            "Martial, acrobatic dance of spring festivals; two of its three main styles are masked.",
            "A large glossy mask with a halo, or a small pale one; leaps in the open, with sword and shield.",
            ("Chau", "Chhou", "Chho", "Chhau nach", "Purulia Chhau", "Seraikella Chhau", "Mayurbhanj Chhau"),
            "Chhau dance",
            ("Chhau dance", "Chhau", "Purulia Chhau", "Seraikella Chhau", "Mayurbhanj Chhau"),
            ("Purulia Chhau dance", "Seraikella Chhau", "Mayurbhanj Chhau"),
        ),
    )
}  # fmt: skip
"""The eight dances that the Sangeet Natak Akademi calls classical, and Chhau, by label."""


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


def name_classes(folders: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Gives classes their labels: a dance its usual one, in whatever spelling its folder has, any other its own.

    Args:
        folders: Names of class folders.

    Returns:
        The label of every folder, and a note for people on every name that changed or is unknown.

    Raises:
        UserError: A name that can't be shown or is too long, or two that differ in letter case only.
    """
    label_of = {}
    notes = []
    unknown = []
    for folder in folders:
        dance = dance_of(folder)
        label = dance.label if dance else _normalized(folder)
        label_of[folder] = label
        if dance is None:
            unknown.append(label)
        if label not in (folder, _normalized(folder)):
            notes.append(f"{folder} is taken as {label}")
    by_key: dict[str, set[str]] = defaultdict(set)
    for label in label_of.values():
        by_key[label.casefold()].add(label)
    if twins := next((labels for labels in by_key.values() if len(labels) > 1), None):
        raise UserError(f"{' and '.join(sorted(twins))} differ in letter case only: rename one, or join them")
    if unknown:
        notes.append(f"no dance that is known here, kept as named: {', '.join(dict.fromkeys(unknown))}")
    return label_of, notes


def write_class_facts(folder: Path, label_names: list[str]) -> Path:
    """Writes `folder/classes.json`: what is known of every dance, for the model and the page to show.

    A class that is no dance known here has an empty entry.
    """
    keys = ("name", "native", "region", "fact", "look_for")
    facts = {
        label: {key: getattr(DANCES[label], key) for key in keys} if label in DANCES else {} for label in label_names
    }
    path = folder / "classes.json"
    path.write_text(json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return path


def _normalized(folder: str) -> str:
    """Returns a folder's name in composed letters (macOS stores a letter and its marks apart) and single spaces."""
    name = " ".join(unicodedata.normalize("NFC", folder).split())
    if not name or not all(char.isprintable() or char in _JOINERS for char in name):
        raise UserError(f"sub-folder {folder!r} has a name that can't be shown: rename it to the name of its class")
    if len(name) > MOST_LETTERS or len(name.encode()) > MOST_BYTES:
        raise UserError(
            f"the class {name[:40]}... has {len(name)} letters ({len(name.encode())} bytes): rename its sub-folder to "
            f"at most {MOST_LETTERS} letters and {MOST_BYTES} bytes, which model folders and file systems can hold"
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
