import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawings.places import PLACES, draw_place
from model_folder.reference_features import Nearest, ReferenceFeatures
from train.abstention import stated_threshold
from train.data import DatasetError, read_image
from train.ood import choose_distance, choose_ood, judge_distance, judge_others, load_others, title_of
from train.predictions import Predictions


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
    stated = choose_ood(reference, nearest, None, "validation")
    assert stated.pop("value") == pytest.approx(nearest.distances[39, 0])
    assert stated == {
        "score": "mean_cosine_distance",
        "k": 1,
        "target_false_alarms": 0.05,
        "split": "validation",
        "pictures": 40,
        "groups": 40,
        "false_alarms": 0.0,
        "reference_pictures": 4,
    }


def test_a_group_of_near_duplicates_counts_once_by_its_farthest_picture() -> None:
    scores, groups = np.arange(38.0), [str(number // 2) for number in range(38)]
    assert choose_distance(scores, groups) == 37
    assert choose_distance(scores[:36], groups[:36]) is None
    assert choose_distance(scores[:36]) == 35


def test_near_duplicates_widen_the_interval_of_false_alarms() -> None:
    reference = ReferenceFeatures(np.eye(4, dtype=np.float32), 1, 0.3)
    nearest = Nearest(np.repeat([0.2, 0.4, 0.2], 20)[:, None], np.zeros((60, 1), int))
    groups = [str(number // 10) for number in range(60)]
    alone, grouped = judge_distance(reference, nearest), judge_distance(reference, nearest, groups)
    assert alone["refused"] == grouped["refused"] == 20
    assert np.ptp(grouped["false_alarms_interval"]) > 2 * np.ptp(alone["false_alarms_interval"])


HALF = stated_threshold({})


@pytest.fixture(scope="module")
def clutter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures without a dancer: every place, empty, and textures, in folders of their own."""
    folder = tmp_path_factory.mktemp("others") / "clutter"
    for kind in ("stages", "textures"):
        (folder / kind).mkdir(parents=True)
    for number in range(7):
        stage = draw_place(random.Random(number), (96, 80), 60, PLACES[number % len(PLACES)])
        stage.save(folder / "stages" / f"{number}.jpg")
    for number in range(7):
        blocks = np.random.default_rng(number).integers(0, 256, (2 + number, 3 + number, 3), np.uint8)
        Image.fromarray(blocks).resize((90, 70)).save(folder / "textures" / f"{number}.PNG")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_folder_of_pictures_needs_no_labels(clutter: Path) -> None:
    rows = load_others(str(clutter), "test")
    assert len(rows) == 14
    assert read_image(rows, 0).mode == "RGB"
    assert set(rows["label"]) == {0}
    assert title_of(str(clutter)) == "clutter"
    assert title_of("user/birds") == "user/birds"


def test_of_a_dataset_the_split_is_taken(dataset_folder: Path) -> None:
    assert len(load_others(str(dataset_folder), "test")) == 8
    assert len(load_others(str(dataset_folder), "elsewhere")) == 64


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_no_picture(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"has no picture \(.*\.jpg|neither a folder nor a Hub id"):
        load_others(str(tmp_path / name), "test")


def _answers(logits: np.ndarray, nearest: Nearest | None = None) -> Predictions:
    names = ["a", "b", "c"][: logits.shape[1]]
    return Predictions([""] * len(logits), np.zeros(len(logits), int), logits, names, nearest)


def _sure(scores: np.ndarray) -> Predictions:
    return _answers(np.stack([scores, np.zeros_like(scores)], axis=1))


def test_pictures_that_a_model_is_less_sure_of_are_told_apart() -> None:
    random_ = np.random.default_rng(0)
    split, others = _sure(random_.normal(4, 1, 200)), _sure(random_.normal(2, 1, 100))
    threshold = {"score": "max_probability", "value": 0.95}
    judged = judge_others(split, others, threshold, None, "clutter")
    assert (judged["dataset"], judged["pictures"]) == ("clutter", 100)
    for row in judged["scores"].values():
        low, high = row["auroc_interval"]
        # Two normal distributions, two standard deviations apart.
        assert low < 0.921 < high
        assert 0.5 < row["abstained_at_95"] < 0.8
    at = judged["at_threshold"]
    assert at["abstained"] == pytest.approx((others.logits[:, 0] < np.log(0.95 / 0.05)).mean())
    assert at["abstained_interval"][0] < at["abstained"] < at["abstained_interval"][1]


def test_the_better_score_is_named() -> None:
    random_ = np.random.default_rng(0)
    split = _answers(random_.normal(0, 1, (100, 3)) + 5)
    judged = judge_others(split, _answers(random_.normal(0, 1, (100, 3))), HALF, None, "clutter")
    assert judged["better"] == "energy"
    assert judged["scores"]["energy"]["auroc"] > 0.99
    assert 0.4 < judged["scores"]["max_probability"]["auroc"] < 0.6
    assert judged["at_threshold"]["threshold"] == 0.5


def test_distance_is_a_score_like_the_others() -> None:
    logits, rows = np.zeros((50, 3)), np.zeros((50, 5), int)
    near = Nearest(np.linspace(0.1, 0.3, 50)[:, None].repeat(5, 1), rows)
    far = Nearest(np.linspace(0.28, 0.5, 50)[:, None].repeat(5, 1), rows)
    reference = ReferenceFeatures(np.eye(5, dtype=np.float32), 5, 0.3)
    judged = judge_others(_answers(logits, near), _answers(logits, far), HALF, reference, "clutter")
    assert judged["better"] == "mean_cosine_distance"
    assert 0.98 < judged["scores"]["mean_cosine_distance"]["auroc"] < 1
    assert judged["ood"]["refused"] == (far.distances[:, 0] > 0.3).mean() == 0.9
    unchosen = ReferenceFeatures(reference.features, 5, None)
    assert judge_others(_answers(logits, near), _answers(logits, far), HALF, unchosen, "clutter")["ood"] is None


def test_an_area_counts_groups_and_has_a_width_at_one() -> None:
    split, others = _sure(np.repeat(np.linspace(3, 6, 10), 6)), _sure(np.linspace(0, 4, 50))
    groups = [str(number // 6) for number in range(60)]
    alone, grouped = (
        judge_others(split, others, HALF, None, "clutter", given)["scores"]["energy"]["auroc_interval"]
        for given in (None, groups)
    )
    assert np.ptp(grouped) > 1.5 * np.ptp(alone)
    perfect = judge_others(split, _sure(np.full(50, -9.0)), HALF, None, "clutter", groups)["scores"]["energy"]
    assert perfect["auroc"] == perfect["auroc_interval"][1] == 1
    assert perfect["auroc_interval"][0] < 0.9


def test_the_command_shows_others_to_the_model(model_folder: Path, dataset_folder: Path, clutter: Path, cli) -> None:
    words = [f"dataset={dataset_folder}", "num_workers=0", f"output_dir={clutter.parent / 'out'}", f"others={clutter}"]
    code, out, err = cli("train", "evaluate", model_folder, *words)
    assert code == 0, err
    assert "14 other pictures (clutter): AUROC by max probability 0." in out
