import numpy as np
import pytest

from model_folder.reference_features import Nearest, ReferenceFeatures
from train.ood import choose_distance, choose_unlike


@pytest.mark.parametrize(("count", "rank"), [(19, 19), (44, 44), (45, 45), (46, 46), (77, 76), (1000, 960)])
def test_it_is_a_tolerance_limit(count: int, rank: int) -> None:
    scores = np.random.default_rng(8).permutation(np.arange(1.0, count + 1))
    assert choose_distance(scores) == rank


def test_too_few_pictures_promise_nothing() -> None:
    assert choose_distance(np.arange(18.0)) is None
    assert choose_distance(np.arange(9.0), false_alarms=0.1) == 8


@pytest.mark.parametrize("count", [46, 300])
def test_nine_times_of_ten_it_keeps_its_promise(count: int) -> None:
    random = np.random.default_rng(8)
    # What lies above a number, of all that might come.
    chosen = [choose_distance(random.random(count)) for _ in range(2000)]
    kept = np.mean([distance is not None and 1 - distance <= 0.05 for distance in chosen])
    assert 0.885 < kept < 0.935


def test_the_config_says_what_it_rests_on() -> None:
    reference = ReferenceFeatures(np.eye(4, dtype=np.float32), 1, None)
    nearest = Nearest(np.linspace(0.1, 0.49, 40)[:, None], np.zeros((40, 1), int))
    stated = choose_unlike(reference, nearest, "validation")
    assert stated.pop("value") == pytest.approx(nearest.distances[39, 0])
    assert stated == {
        "score": "mean_cosine_distance",
        "k": 1,
        "target_false_alarms": 0.05,
        "split": "validation",
        "pictures": 40,
        "false_alarms": 0.0,
        "reference_pictures": 4,
    }
