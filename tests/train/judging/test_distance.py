import numpy as np
import pytest

from hub.reference_features import Nearest, ReferenceFeatures
from train.judging.distance import choose_distance, choose_unlike


@pytest.mark.parametrize(("count", "rank"), [(19, 19), (46, 45), (72, 70), (1000, 951)])
def test_the_next_picture_lies_above_it_one_time_in_twenty(count: int, rank: int) -> None:
    scores = np.random.default_rng(8).permutation(np.arange(1.0, count + 1))
    assert choose_distance(scores) == rank
    assert (count - rank + 1) / (count + 1) <= 0.05


def test_too_few_pictures_promise_nothing() -> None:
    assert choose_distance(np.arange(18.0)) is None
    assert choose_distance(np.arange(9.0), false_alarms=0.1) == 8


def test_the_promise_holds_on_average() -> None:
    random = np.random.default_rng(8)
    alarms = []
    for _ in range(2000):
        scores = random.gamma(2, size=47)
        chosen = choose_distance(scores[:46])
        assert chosen is not None
        alarms.append(scores[46] > chosen)
    assert 0.03 < np.mean(alarms) <= 0.055


def test_the_config_says_what_it_rests_on() -> None:
    reference = ReferenceFeatures(np.eye(4, dtype=np.float32), 1, None)
    nearest = Nearest(np.linspace(0.1, 0.49, 40)[:, None], np.zeros((40, 1), int))
    stated = choose_unlike(reference, nearest, "validation")
    assert stated.pop("value") == pytest.approx(nearest.distances[38, 0])
    assert stated == {
        "score": "mean_cosine_distance",
        "k": 1,
        "target_false_alarms": 0.05,
        "split": "validation",
        "pictures": 40,
        "false_alarms": 1 / 40,
        "reference_pictures": 4,
    }
