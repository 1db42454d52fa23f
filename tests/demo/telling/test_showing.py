import re
from pathlib import Path

import numpy as np
import pytest

from demo.telling.examples import Example
from demo.telling.many import Row
from demo.telling.showing import Showing, heat_over
from demo.telling.verdict import judge
from demo.words import LANGUAGES
from model_folder.facts import Confusions, Crop, Pair, PredictionSets, Threshold, read_dances, read_pair

HOSTILE = "<img src=x onerror=\"document.title='owned'\">{{ 7 * 7 }}${7 * 7}"
EN, HI = LANGUAGES["en"], LANGUAGES["hi"]
FACTS = {
    "kathak": {"name": "Kathak", "native": "कथक", "region": "northern India", "fact": "A fact.", "look_for": "Bells."},
    "odissi": {"name": "Odissi", "look_for": "Silver."},
    "waltz": {"name": HOSTILE, "native": HOSTILE, "region": HOSTILE, "fact": HOSTILE, "look_for": HOSTILE},
}
SHOWING = Showing(
    read_dances({"label_names": list(FACTS), "classes": FACTS}),
    {"kathak": Confusions(9, (("odissi", 2), ("waltz", 1)))},
)


def _answer(kathak: float, odissi: float, threshold: float = 0.5, words=EN) -> str:
    probs = {"kathak": kathak, "odissi": odissi, "waltz": 1 - kathak - odissi}
    return SHOWING.answer(words, judge(probs, Threshold(threshold)), probs, None)


def test_a_sure_answer_has_every_bar_facts_and_confusions() -> None:
    html = _answer(0.9, 0.07)
    assert "Kathak, 90 %" in html
    assert [float(width) for width in re.findall(r"width:([\d.]+)%", html)] == [90, 7, 3]
    assert html.count('class="own"') == 1
    for told in ('<span class="native" lang="hi">कथक</span>', "northern India", "A fact.", "Bells."):
        assert told in html
    assert "Of 9 test pictures that the model called Kathak, some were another dance: Odissi (2), " in html
    assert "Silver." not in html


def test_an_unsure_answer_says_how_to_tell_the_two_apart() -> None:
    html = _answer(0.45, 0.4, 0.8)
    assert "Not sure: Kathak or Odissi" in html
    assert "Bells." in html
    assert "Silver." in html
    assert html.count('class="own"') == 2
    assert "A fact." not in html
    assert "some were another dance" not in html


def _with_sets(probs: dict[str, float], sets: PredictionSets, threshold: float = 0.5) -> str:
    showing = Showing(SHOWING.dances, SHOWING.confusions, Pair(("kathak", "odissi"), 7, 41), sets)
    return showing.answer(EN, judge(probs, Threshold(threshold), sets=sets), probs, None)


def test_a_set_of_several_is_told_with_what_it_is_worth() -> None:
    probs = {"kathak": 0.6, "odissi": 0.3, "waltz": 0.1}
    html = _with_sets(probs, PredictionSets(0.2, 0.95))
    assert (
        "One of these: Kathak or Odissi. Such a list holds the right dance 95 times in 100 for pictures like those of "
        "the model&#39;s dataset; for others it has not been measured."
    ) in html
    html = _with_sets(probs, PredictionSets(0.2, 0.95, 0.88, 289))
    assert "On pictures from elsewhere, such a list held the right dance 88 times in 100 (289 were tried)." in html
    assert "95" not in html
    assert "One of these" not in _with_sets(probs, PredictionSets(0.4, 0.95))


def test_the_pair_that_is_confused_most_has_a_sentence_of_its_own() -> None:
    pair = "Kathak and Odissi are the two that this model confuses most: 7 of 41 test pictures of them. Costume alone "
    for probs, threshold, cut in (((0.6, 0.3, 0.1), 0.5, 0.2), ((0.6, 0.3, 0.1), 0.8, 0.9)):
        html = _with_sets(dict(zip(FACTS, probs, strict=True)), PredictionSets(cut, 0.95), threshold)
        assert pair in html
        assert "Of 9 test pictures" not in html
    html = _with_sets({"kathak": 0.6, "odissi": 0.1, "waltz": 0.3}, PredictionSets(0.2, 0.95))
    assert pair not in html
    assert "Of 9 test pictures" in html


@pytest.mark.parametrize(
    ("matrix", "pair"),
    [
        ([[9, 1, 0], [3, 6, 0], [1, 2, 7]], Pair(("a", "b"), 4, 19)),
        ([[9, 0, 3], [0, 6, 0], [3, 2, 7]], Pair(("a", "c"), 6, 24)),
        # One mistake may be chance.
        ([[9, 1, 0], [0, 6, 0], [0, 0, 7]], None),
        ([[9, 1], [3, 6]], None),
        ("damaged", None),
    ],
)
def test_the_pair_is_read_from_both_halves_of_the_matrix(matrix, pair) -> None:
    assert read_pair({"confusion_matrix": matrix}, ["a", "b", "c"]) == pair


@pytest.mark.parametrize("words", [EN, HI])
def test_what_a_folder_says_is_text(words) -> None:
    html = _answer(0.01, 0.02, words=words)
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert f'lang="{words.language}"' in html


def test_waiting_and_faults_have_the_bars_of_an_answer() -> None:
    for html in (SHOWING.waiting(EN), SHOWING.fault(EN, "no <b>picture")):
        assert html.count("<li>") == 3
        assert "width:0%" in html
    assert "no &lt;b&gt;picture" in SHOWING.fault(EN, "no <b>picture")


def test_of_many_classes_most_are_folded_away() -> None:
    names = [f"class {number}" for number in range(40)]
    showing = Showing(read_dances({"label_names": names}), {})
    probs = dict.fromkeys(names, 1 / 40)
    html = showing.answer(EN, judge(probs, Threshold()), probs, None)
    assert html.count("<li") == 40
    assert "28 more" in html


def test_a_heat_map_keeps_the_pictures_proportions() -> None:
    crop = Crop(64, 64, 1, "center")
    heat = heat_over(np.ones((2, 2), np.float32), (300, 200), crop, "Kathak", "gradio_api/file=/a%22b")
    assert heat.cut
    probs = {"kathak": 0.9, "odissi": 0.1, "waltz": 0.0}
    html = SHOWING.answer(EN, judge(probs, Threshold()), probs, heat)
    assert "aspect-ratio:300/200" in html
    assert "cut off" in html
    assert 'src="gradio_api/file=/a%22b"' in html
    assert "Where it looked" in html
    # A model without such maps is not asked for them.
    assert "Where it looked" not in SHOWING.answer(EN, judge(probs, Threshold()), probs, None)


def test_many_rows_name_the_bad_file_and_escape_every_name() -> None:
    probs = {"kathak": 0.9, "odissi": 0.1, "waltz": 0.0}
    rows = [Row("a.jpg", judge(probs, Threshold()), probs, "data:,"), Row("<b>.txt", fault="no picture")]
    html = SHOWING.many(EN, rows, "")
    assert "1 answered, 1 not readable." in html
    assert "&lt;b&gt;.txt" in html
    assert "no picture" in html
    assert html.count("<tr") == 3
    assert 'download="nritya.csv"' in html


def test_credits_are_said_once_where_they_are_the_same() -> None:
    def offered(*credits: str) -> str:
        examples = [Example(Path(f"{n}.jpg"), "kathak", credit, "data:,") for n, credit in enumerate(credits)]
        return SHOWING.examples(EN, examples, drawings=True)

    assert offered("A, cc0-1.0", "A, cc0-1.0").count("cc0-1.0") == 1
    assert [text in offered("A, cc0-1.0", "B, cc-by-4.0") for text in ("A, cc0-1.0", "B, cc-by-4.0")] == [True, True]
    assert 'data-example="1"' in offered("", "")
