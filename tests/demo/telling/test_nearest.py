import dataclasses
import re

import numpy as np

from demo.telling.nearest import neighbourhood
from demo.telling.showing import Showing
from demo.telling.verdict import judge
from demo.words import LANGUAGES
from model_folder.facts import Threshold, read_dances
from model_folder.reference_features import Nearest
from model_folder.reference_pictures import ReferencePicture

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
DANCES = read_dances({"label_names": ["kathak", "odissi"], "classes": {"kathak": {"name": "Kathak"}}})
NEAREST = Nearest(np.array([[-1e-7, 0.25, 0.3, 0.4]]), np.array([[2, 0, 1, 3]]))
LEARNED = [
    ReferencePicture("kathak", "", "cc-by-4.0", HOSTILE, "https://a.example/page", b"\xff\xd8\xff"),
    ReferencePicture("odissi", "", "unknown", "Bela", "https://b.example", None),
    ReferencePicture("kathak", "", "cc0-1.0", "", "", b"\xff\xd8\xff"),
    ReferencePicture(HOSTILE, "", "", "", "", None),
]


def _html(threshold: float | None, language: str = "en") -> str:
    probs = {"kathak": 0.9, "odissi": 0.1}
    near = neighbourhood(NEAREST, threshold, LEARNED, DANCES)
    return Showing(DANCES, {}).answer(LANGUAGES[language], judge(probs, Threshold()), probs, None, near)


def test_three_are_shown_with_author_and_licence() -> None:
    html = _html(0.31)
    shown = html.split('<details class="near">')[1].split("</details>")[0]
    assert shown.count("<li>") == 3
    # Half of what is far, and more of it, in words; the number for who points at them.
    told = re.findall(r'<span class="alike" title="distance (.....)">(.*?)</span>', shown)
    assert told == [("0.000", "Very alike"), ("0.250", "Alike"), ("0.300", "Alike")]
    assert '"distance 0.300">Far<' in _html(0.29)
    assert shown.count('src="data:image/jpeg;base64,/9j/"') == 2
    assert "“Far” means farther than 0.310; where the nearest 4 are that far on average" in shown
    assert '<a href="https://a.example/page" target="_blank" rel="noopener noreferrer">&lt;img src=x' in shown
    assert "<img src=x" not in html


def test_what_must_not_be_shown_has_label_and_distance_alone() -> None:
    shown = _html(None).split('<details class="near">')[1].split("<li>")[3]
    assert "Its licence does not let it be shown here." in shown
    assert "distance 0.300" in shown
    assert "<img" not in shown
    assert "Bela" not in shown
    assert "farther than" not in _html(None)


def test_where_none_may_be_shown_it_is_said_once() -> None:
    hidden = [dataclasses.replace(picture, jpeg=None) for picture in LEARNED]
    near = neighbourhood(NEAREST, 0.31, hidden, DANCES)
    probs = {"kathak": 0.9, "odissi": 0.1}
    shown = Showing(DANCES, {}).answer(LANGUAGES["en"], judge(probs, Threshold()), probs, None, near)
    assert shown.count("Their licences do not let them be shown here.") == 1
    assert "Its licence" not in shown
    assert shown.split('<details class="near">')[1].count("<li>") == 3


def test_it_speaks_hindi() -> None:
    assert "सबसे मिलती-जुलती प्रशिक्षण तस्वीरें" in _html(0.31, "hi")


def test_who_can_not_tell_shows_nothing() -> None:
    assert neighbourhood(None, None, LEARNED, DANCES) is None
    assert neighbourhood(NEAREST, None, [], DANCES) is None
