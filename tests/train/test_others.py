import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawings.places import PLACES, draw_place
from model_folder.reference_features import Nearest, ReferenceFeatures
from train.data import DatasetError, read_image
from train.ood import judge_others, load_others, title_of
from train.predictions import Predictions


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
    judged = judge_others(split, _answers(random_.normal(0, 1, (100, 3))), None, None, "clutter")
    assert judged["better"] == "energy"
    assert judged["scores"]["energy"]["auroc"] > 0.99
    assert 0.4 < judged["scores"]["max_probability"]["auroc"] < 0.6
    assert judged["at_threshold"] is None
    assert judge_others(split, split, {"score": "energy", "value": None}, None, "same")["at_threshold"] is None


def test_distance_is_a_score_like_the_others() -> None:
    logits, rows = np.zeros((50, 3)), np.zeros((50, 5), int)
    near = Nearest(np.linspace(0.1, 0.3, 50)[:, None].repeat(5, 1), rows)
    far = Nearest(np.linspace(0.28, 0.5, 50)[:, None].repeat(5, 1), rows)
    reference = ReferenceFeatures(np.eye(5, dtype=np.float32), 5, 0.3)
    judged = judge_others(_answers(logits, near), _answers(logits, far), None, reference, "clutter")
    assert judged["better"] == "mean_cosine_distance"
    assert 0.98 < judged["scores"]["mean_cosine_distance"]["auroc"] < 1
    assert judged["unlike"]["refused"] == (far.distances[:, 0] > 0.3).mean() == 0.9
    unchosen = ReferenceFeatures(reference.features, 5, None)
    assert judge_others(_answers(logits, near), _answers(logits, far), None, unchosen, "clutter")["unlike"] is None


def test_the_command_shows_others_to_the_model(model_folder: Path, dataset_folder: Path, clutter: Path, cli) -> None:
    words = [f"dataset={dataset_folder}", "num_workers=0", f"output_dir={clutter.parent / 'out'}", f"others={clutter}"]
    code, out, err = cli("train", "evaluate", model_folder, *words)
    assert code == 0, err
    assert "14 other pictures (clutter): AUROC by max probability 0." in out
