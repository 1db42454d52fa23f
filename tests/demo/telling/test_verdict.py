import pytest

from demo.telling.verdict import Kind, either, judge, percent
from demo.words import LANGUAGES
from model_folder.facts import PredictionSets, Threshold, read_dances, read_prediction_sets, read_threshold

PROBS = {"kathak": 0.05, "odissi": 0.52, "bharatanatyam": 0.43}
DANCES = read_dances({"label_names": list(PROBS)})
EN, HI = LANGUAGES["en"], LANGUAGES["hi"]


def _said(*arguments: object, **options: bool) -> tuple[str, str]:
    verdict = judge(*arguments, **options)
    return verdict.sentence(DANCES, EN), verdict.reason(EN)


def test_a_sure_answer_is_a_name_and_a_share() -> None:
    assert _said({"kathak": 0.93, "odissi": 0.07, "bharatanatyam": 0.0}, Threshold(0.8)) == ("Kathak, 93 %", "")


def test_below_the_threshold_two_are_named_and_why() -> None:
    sentence, reason = _said(PROBS, Threshold(0.8, promised=0.95))
    assert sentence == "Not sure: Odissi or Bharatanatyam"
    assert reason == "The likeliest has 52 %; only answers from 80 % on are right 95 times in 100."
    assert _said(PROBS, Threshold(0.8))[1] == "The likeliest has 52 %; below 80 % this model does not answer."


def test_the_threshold_itself_is_enough() -> None:
    assert judge(PROBS, Threshold(0.52)).kind is Kind.SURE
    assert judge(PROBS, Threshold(0.5200001)).kind is Kind.UNSURE


def test_without_a_threshold_less_than_half_is_not_enough() -> None:
    assert judge(PROBS, Threshold()).kind is Kind.SURE
    sentence, reason = _said({"kathak": 0.2, "odissi": 0.42, "bharatanatyam": 0.38}, Threshold())
    assert sentence == "Not sure: Odissi or Bharatanatyam"
    assert reason == "The likeliest has 42 %; below 50 % this model does not answer."


def test_only_something_else_than_probabilities_tells_that_it_is_no_dance() -> None:
    assert _said(PROBS, Threshold(0.8), ood=True) == (
        "This doesn't look like one of these dances",
        "It is too far from everything that the model has learned from.",
    )
    assert judge(PROBS, Threshold(0.8), ood=True).dances == ()
    for first in (0.34, 0.5, 0.999):
        rest = (1 - first) / 2
        for threshold in (0.0, 0.5, 1.0):
            assert judge({"a": first, "b": rest, "c": rest}, Threshold(threshold)).kind is not Kind.OOD


def test_a_set_holds_what_reaches_the_cut_and_the_likeliest_whatever_it_has() -> None:
    def possible(cut: float, probs: dict[str, float] = PROBS) -> tuple[str, ...]:
        return judge(probs, Threshold(0.8), sets=PredictionSets(cut, 0.95)).prediction_set

    assert possible(0.05) == ("odissi", "bharatanatyam", "kathak")
    assert possible(0.050001) == ("odissi", "bharatanatyam")
    assert possible(0.9) == ("odissi",)
    assert judge(PROBS, Threshold(0.8)).prediction_set == ()
    assert judge(PROBS, Threshold(0.8), ood=True, sets=PredictionSets(0.05, 0.95)).prediction_set == ()


def test_an_unsure_answer_names_a_set_of_two_or_three() -> None:
    def sentence(cut: float, probs: dict[str, float] = PROBS) -> str:
        names = read_dances({"label_names": list(probs)})
        return judge(probs, Threshold(0.8), sets=PredictionSets(cut, 0.95)).sentence(names, EN)

    assert sentence(0.01) == "Not sure: Odissi, Bharatanatyam or Kathak"
    assert sentence(0.1) == sentence(0.9) == "Not sure: Odissi or Bharatanatyam"
    assert sentence(0.01, dict.fromkeys("abcd", 0.25)) == "Not sure: A or B"


def test_of_a_long_list_five_are_named() -> None:
    assert either(["A"], EN) == "A"
    assert either([*"ABCDEF"], EN) == "A, B, C, D, E or F"
    assert either([*"ABCDEFGH"], EN) == "A, B, C, D, E or 3 more"


_STATED = {"score": "probability", "value": 0.1, "target_coverage": 0.95}
_MEASURED = {"cut": 0.1, "coverage": 0.88}


@pytest.mark.parametrize(
    ("stated", "test", "sets"),
    [
        (_STATED, {}, PredictionSets(0.1, 0.95)),
        (
            _STATED,
            {"elsewhere": True, "pictures": 289, "prediction_set": _MEASURED},
            PredictionSets(0.1, 0.95, 0.88, 289),
        ),
        # Measured on pictures like those that it was chosen on, or where nobody knows, or with another cut.
        (_STATED, {"elsewhere": False, "pictures": 9, "prediction_set": _MEASURED}, PredictionSets(0.1, 0.95)),
        (_STATED, {"elsewhere": None, "pictures": 9, "prediction_set": _MEASURED}, PredictionSets(0.1, 0.95)),
        (
            _STATED,
            {"elsewhere": True, "pictures": 9, "prediction_set": {**_MEASURED, "cut": 0.2}},
            PredictionSets(0.1, 0.95),
        ),
        (
            _STATED,
            {"elsewhere": True, "pictures": 9, "prediction_set": {**_MEASURED, "coverage": 88}},
            PredictionSets(0.1, 0.95),
        ),
        (_STATED, {"elsewhere": True, "pictures": 9, "prediction_set": None}, PredictionSets(0.1, 0.95)),
        ({**_STATED, "value": None}, {}, None),
        ({**_STATED, "value": float("nan")}, {}, None),
        ({**_STATED, "value": 2}, {}, None),
        ({**_STATED, "target_coverage": "all"}, {}, None),
        ({**_STATED, "score": "aps"}, {}, None),
        ([0.1], {}, None),
        (None, {}, None),
    ],
)
def test_sets_are_read_and_what_elsewhere_says_of_them(stated, test, sets) -> None:
    assert read_prediction_sets({"prediction_set": stated}, test) == sets


def test_it_speaks_hindi() -> None:
    assert judge(PROBS, Threshold(0.8)).sentence(DANCES, HI) == "पक्का नहीं: Odissi या Bharatanatyam"


@pytest.mark.parametrize(
    ("stated", "threshold"),
    [
        ({"score": "max_probability", "value": 0.72, "promised": True, "target_accuracy": 0.9}, Threshold(0.72, 0.9)),
        ({"score": "max_probability", "value": 0.5, "promised": False, "target_accuracy": 0.9}, Threshold(0.5)),
        # Written before promises were tested: its threshold was right on average.
        ({"score": "max_probability", "value": 0.72, "target_accuracy": 0.9}, Threshold(0.72)),
        ({"score": "max_probability", "value": None}, Threshold(0.5)),
        ({"score": "energy", "value": 3.1}, Threshold(0.5)),
        ({"score": "max_probability", "value": "high"}, Threshold(0.5)),
        ({"score": "max_probability", "value": 7}, Threshold(0.5)),
        ({"score": "max_probability", "value": float("nan")}, Threshold(0.5)),
        ("0.7", Threshold(0.5)),
        (None, Threshold(0.5)),
    ],
)
def test_a_threshold_is_a_probability_and_half_where_there_is_none(stated: object, threshold: Threshold) -> None:
    assert read_threshold({"reject_threshold": stated}) == threshold


@pytest.mark.parametrize(
    ("probability", "said"), [(1.0, ">99"), (0.996, ">99"), (0.994, "99"), (0.5, "50"), (0.006, "1"), (0.004, "<1")]
)
def test_nothing_is_certain(probability: float, said: str) -> None:
    assert percent(probability) == said
