import json
from pathlib import Path

import pytest

from dataset_card.dances import DANCES, dance_of, name_classes, write_class_facts
from files.errors import UserError


@pytest.mark.parametrize(
    ("spelling", "label"),
    [
        ("Bharathanatyam", "bharatanatyam"),
        ("bharata nāṭyam", "bharatanatyam"),
        ("BHARAT_NATYAM", "bharatanatyam"),
        ("Bharatha Natyam", "bharatanatyam"),
        ("jagoi dance", "manipuri"),
        ("Manipuri dance", "manipuri"),
        ("Mohiniattam", "mohiniyattam"),
        ("kathak", "kathak"),
        ("Kathakali", "kathakali"),
        ("Kathak-dancers", "kathak"),
        ("ଓଡ଼ିଶୀ", "odissi"),
        ("ଓ\u0b5c\u0b3fଶୀ", "odissi"),
        ("Orissi", "odissi"),
        ("सत्रिया", None),
        ("Satriya", "sattriya"),
        ("Seraikella Chhau", "chhau"),
        ("cats", None),
        ("kathaka li", "kathakali"),
        ("", None),
        ("dance", None),
    ],
)
def test_spellings(spelling: str, label: str | None) -> None:
    dance = dance_of(spelling)
    assert (dance.label if dance else None) == label


def test_no_spelling_means_two_dances() -> None:
    for dance in DANCES.values():
        for spelling in (dance.label, dance.name, dance.native, *dance.aliases):
            assert dance_of(spelling) is dance


def test_every_dance_is_told_in_full() -> None:
    assert len(DANCES) == 9
    for dance in DANCES.values():
        assert dance.fact.endswith(".")
        assert dance.look_for.endswith(".")
        assert dance.region
        assert dance.categories
        assert dance.searches
        assert not dance.native.isascii()


def test_what_is_known_of_a_class_travels_with_the_dataset(tmp_path: Path) -> None:
    facts = json.loads(write_class_facts(tmp_path, ["cats", "odissi"]).read_text(encoding="utf-8"))
    assert list(facts) == ["cats", "odissi"]
    assert facts["cats"] == {}
    assert facts["odissi"]["region"] == "Odisha"
    assert set(facts["odissi"]) == {"name", "native", "region", "fact", "look_for"}


def test_other_names_are_spelled_one_way_and_join() -> None:
    labels, notes = name_classes(["Cafe\u0301", "Caf\u00e9", " two \n words "])
    assert labels == {"Cafe\u0301": "Caf\u00e9", "Caf\u00e9": "Caf\u00e9", " two \n words ": "two words"}
    assert notes == ["no dance that is known here, kept as named: Caf\u00e9, two words"]


def test_letters_of_indian_scripts_may_join() -> None:
    assert name_classes(["\u0915\u094d\u200d\u0937"])[0].popitem()[1] == "\u0915\u094d\u200d\u0937"


@pytest.mark.parametrize("name", ["\udcff\udcfe", " ", "\x1b[2J", "abc\u202edef"])
def test_a_name_that_can_not_be_shown(name: str) -> None:
    with pytest.raises(UserError, match=r"has a name that can't be shown: rename it"):
        name_classes([name, "kathak"])


def test_names_that_differ_in_letter_case_only() -> None:
    with pytest.raises(UserError, match="Cats and cats differ in letter case only: rename one"):
        name_classes(["cats", "kathak", "Cats"])


@pytest.mark.parametrize("name", ["x" * 201, "\u0915" * 84])
def test_a_name_that_no_model_folder_or_file_system_can_hold(name: str) -> None:
    with pytest.raises(
        UserError, match=r"letters \(\d+ bytes\): rename its sub-folder to at most 200 letters and 240 bytes"
    ):
        name_classes([name, "kathak"])
    assert name_classes([name[:66], "kathak"])[0][name[:66]] == name[:66]
