import json
from pathlib import Path

import pytest

from dataset_card.knowing.taxonomy import DANCES, dance_of, write_class_facts


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
