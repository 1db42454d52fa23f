import json
import re
import string
from pathlib import Path

import pytest

from dataset_card.dances import DANCES
from demo.reading.upload import MAX_BYTES, MAX_RATIO
from demo.words import ENGLISH, LANGUAGES, languages_of, words_for
from model_folder.facts import read_dances
from pictures.decoding import MAX_PIXELS, MIN_SIDE


def test_english_and_hindi_are_there() -> None:
    assert {"en", "hi"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_has_the_same_keys_and_placeholders(language: str) -> None:
    def placeholders(text: str) -> list[str]:
        return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)

    english, texts = LANGUAGES[ENGLISH].texts, LANGUAGES[language].texts
    assert list(texts) == list(english)
    assert {key: placeholders(text) for key, text in texts.items()} == {
        key: placeholders(text) for key, text in english.items()
    }
    assert all(text.strip() for text in texts.values())


def test_no_text_is_left_in_english() -> None:
    hindi, english = LANGUAGES["hi"].texts, LANGUAGES[ENGLISH].texts
    same = {key for key, text in hindi.items() if text == english[key]}
    assert same == {"sure"}


def _other_classes(language: str) -> dict[str, str]:
    return json.loads(Path(f"demo/words/other_classes/{language}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_what_is_said_of_other_classes_stands_for_what_is_said_of_dances(language: str) -> None:
    def placeholders(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    texts, dances = _other_classes(language), LANGUAGES[language].texts
    assert list(texts) == list(_other_classes(ENGLISH))
    assert set(texts) < set(dances)
    assert {key: placeholders(text) for key, text in texts.items()} == {
        key: placeholders(dances[key]) for key in texts
    }


def test_only_a_model_of_dances_speaks_of_dances() -> None:
    fishes = languages_of(read_dances({"label_names": ["carp", "constructor"], "classes": {"carp": {"name": "Carp"}}}))
    known = {"label_names": ["carp", "kathak"], "classes": {"kathak": {"region": "northern India"}}}
    assert languages_of(read_dances(known)) is LANGUAGES
    assert list(fishes) == list(LANGUAGES)
    # Placeholders and what nobody reads aside.
    told = {key: re.sub(r"\{\w+\}", "", text) for key, text in fishes[ENGLISH].texts.items()}
    assert {key for key, text in told.items() if re.search("danc", text)} == set()
    assert {key for key, text in fishes["hi"].texts.items() if re.search("नृत्य|नर्तक", text)} == set()


def test_every_dance_is_told_of_in_every_other_language() -> None:
    for language, words in LANGUAGES.items():
        if language == ENGLISH:
            assert words.dances == {}
            continue
        assert set(words.dances) == set(DANCES)
        for told in words.dances.values():
            assert list(told) == ["name", "region", "fact", "look_for"]
            # In its own script, digits and punctuation aside.
            assert not re.search("[A-Za-z]", "".join(told.values()))


def test_a_class_that_only_has_the_name_of_a_dance_is_not_told_of() -> None:
    hindi = LANGUAGES["hi"]
    other = read_dances({"label_names": ["kathak"], "classes": {}})
    assert hindi.tell(other) == other
    known = read_dances(
        {"label_names": ["kathak"], "classes": {"kathak": {"native": "कथक", "region": "northern India"}}}
    )
    told = hindi.tell(known)["kathak"]
    # The name is that of its home already.
    assert (told.name, told.native, told.region, told.language) == ("कथक", "", "उत्तर भारत", "hi")


def test_a_key_twice_in_a_file_would_be_lost() -> None:
    for language in LANGUAGES:
        path = Path("demo/words") / f"{language}.json"
        pairs = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
        assert len(pairs) == len(dict(pairs))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("*", "en"),
        ("hi", "hi"),
        ("hi-IN,hi;q=0.9,en-GB;q=0.8", "hi"),
        ("HI-in", "hi"),
        ("en-GB,en;q=0.9,hi;q=0.8", "en"),
        ("en;q=0.5, hi;q=0.9", "hi"),
        ("ta-IN,hi;q=0.9", "en"),
        ("hi;q=much,en;q=0.1", "en"),
        (";q=,;;,q=0," * 500, "en"),
    ],
)
def test_the_visitors_first_language_is_taken_or_else_english(header: str | None, language: str) -> None:
    assert words_for(header).language == language


@pytest.mark.parametrize(
    ("key", "limit"),
    [
        ("too_heavy", MAX_BYTES // 2**20),
        ("too_large", MAX_PIXELS // 10**6),
        ("too_small", MIN_SIDE),
        ("too_narrow", MAX_RATIO),
    ],
)
def test_the_limits_that_are_told_are_those_that_hold(key: str, limit: int) -> None:
    for words in LANGUAGES.values():
        assert re.search(rf"\b{limit}\b", words(key)), words.language
