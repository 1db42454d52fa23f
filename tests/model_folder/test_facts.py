import pytest

from dataset_card.dances import DANCES
from model_folder.facts import Confusions, number, plain, read_confusions, read_dances

TOLD = ("name", "native", "region", "fact", "look_for")


def _config(**classes: object) -> dict:
    return {"label_names": list(classes), "classes": classes}


def test_what_the_dataset_knows_arrives_as_it_is() -> None:
    config = _config(**{label: {key: getattr(dance, key) for key in TOLD} for label, dance in DANCES.items()})
    dances = read_dances(config)
    assert list(dances) == list(DANCES)
    for label, dance in dances.items():
        assert {key: getattr(dance, key) for key in TOLD} == config["classes"][label]


def test_native_names_say_their_language_so_that_they_are_read_aloud_rightly() -> None:
    dances = read_dances(_config(**{label: {"native": dance.native} for label, dance in DANCES.items()}))
    assert {label: dance.native_language for label, dance in dances.items()} == {
        "bharatanatyam": "ta", "kathak": "hi", "kathakali": "ml", "kuchipudi": "te", "manipuri": "bn",
        "mohiniyattam": "ml", "odissi": "or", "sattriya": "as", "chhau": "bn",
    }  # fmt: skip


@pytest.mark.parametrize("told", [None, "text", {}, {"name": 3, "native": None, "region": ["x"]}])
def test_a_class_that_nothing_sensible_is_told_of_has_its_name(told: object) -> None:
    dance = read_dances(_config(waltz=told))["waltz"]
    assert (dance.name, dance.native, dance.region, dance.fact, dance.look_for) == ("Waltz", "", "", "", "")


@pytest.mark.parametrize("classes", [None, [], "text"])
def test_a_folder_without_facts_has_names(classes: object) -> None:
    assert read_dances({"label_names": ["a", "b"], "classes": classes})["b"].name == "B"


def test_text_is_one_line_that_reads_as_it_is_written() -> None:
    assert plain("a\n\tb\x00\u202ec  d") == "a b c d"
    assert plain("x" * 1000) == "x" * 500
    # A joiner says how letters of Indian scripts join.
    assert plain("ക്\u200dഷ") == "ക്\u200dഷ"


@pytest.mark.parametrize("value", [None, "1", True, float("nan"), float("inf"), [1]])
def test_what_is_no_number_is_none(value: object) -> None:
    assert number(value) is None


def test_confusions_are_those_behind_an_answer() -> None:
    matrix = [[5, 0, 0, 0], [2, 4, 0, 0], [3, 1, 6, 0], [1, 0, 0, 7]]
    found = read_confusions({"confusion_matrix": matrix}, ["a", "b", "c", "d"])
    assert found == {"a": Confusions(11, (("c", 3), ("b", 2))), "b": Confusions(5, (("c", 1),))}


@pytest.mark.parametrize("matrix", [None, [], [[1]], [[1, 2], [3]], [[1, 2], [3, "4"]], [[1, 2], [3, -4]], "text"])
def test_no_matrix_no_confusions(matrix: object) -> None:
    assert read_confusions({"confusion_matrix": matrix}, ["a", "b"]) == {}
