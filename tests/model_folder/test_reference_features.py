"""Wrong and hostile reference features: app.py, `evaluate` and `push` open every one of them through this door."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.neighbors import NearestNeighbors

from model_folder.folder import REFERENCE, ModelFolder, ModelFolderError, open_model_folder
from model_folder.reference_features import ReferenceFeatures, open_reference, scores_of, unit_length


@pytest.fixture
def folder(comparing_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(comparing_folder, tmp_path / "model"))


def _open(folder: Path) -> ModelFolder:
    return open_model_folder(str(folder))


def test_a_good_one_is_opened_and_needs_its_file_no_more(folder: Path) -> None:
    reference = open_reference(_open(folder))
    assert reference is not None
    shutil.rmtree(folder)
    assert reference.features.shape == (32, 96)
    assert (reference.features.dtype, reference.k) == (np.float32, 5)
    nearest = reference.nearest(7 * reference.features[:3])
    assert nearest.rows[:, 0].tolist() == [0, 1, 2]
    assert nearest.distances[:, 0] == pytest.approx(0, abs=1e-3)
    assert not reference.is_ood(nearest).any()


def test_distances_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(8)
    learned, others = random.normal(size=(300, 16)), random.normal(size=(600, 16)).astype(np.float32)
    found = ReferenceFeatures(unit_length(learned), 5, None).nearest(others)
    distances, rows = NearestNeighbors(n_neighbors=5, metric="cosine").fit(learned).kneighbors(others)
    np.testing.assert_allclose(found.distances, distances, atol=1e-6)
    assert (found.rows == rows).all()
    np.testing.assert_allclose(scores_of(found), distances.mean(1), atol=1e-6)


def test_without_a_threshold_nothing_is_ood() -> None:
    reference = ReferenceFeatures(np.eye(3, dtype=np.float32), 1, None)
    assert not reference.is_ood(reference.nearest(-np.eye(3, dtype=np.float32))).any()
    known = ReferenceFeatures(reference.features, 1, 0.9)
    assert known.is_ood(known.nearest(-np.eye(3, dtype=np.float32))).tolist() == [True] * 3


def _features(change: Callable[[np.ndarray], dict[str, np.ndarray]]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        save_file(change(load_file(folder / REFERENCE)["features"]), folder / REFERENCE)

    return rewrite


def _stated(**changes: object) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config["ood"] |= changes
        (folder / "config.json").write_text(json.dumps(config))

    return rewrite


def test_the_key_of_earlier_versions_is_read(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    stated = config["unlike"] = config.pop("ood")
    (folder / "config.json").write_text(json.dumps(config))
    reference = open_reference(_open(folder))
    assert reference is not None
    assert (reference.k, reference.threshold) == (stated["k"], stated["value"])


def _unstated(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["ood"]
    (folder / "config.json").write_text(json.dumps(config))


def _cut(folder: Path) -> None:
    (folder / REFERENCE).write_bytes((folder / REFERENCE).read_bytes()[:500])


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (_cut, "has a damaged reference_features.safetensors"),
    "of another model": (
        _features(lambda f: {"features": f[:, :32].copy()}),
        "has 32 features for a picture, and no classifier of model.safetensors takes as many: fit the model again",
    ),
    "fewer than neighbours": (_features(lambda f: {"features": f[:4]}), "has 4 pictures: 5 to 2000 are allowed"),
    "too many": (
        _features(lambda f: {"features": np.tile(f, (80, 1))}),
        "has 2560 pictures: 5 to 2000 are allowed",
    ),
    "other numbers": (
        _features(lambda f: {"features": f.astype(np.float32)}),
        "holds features F32 of 2 dimensions: features, F16 of 2 dimensions, is allowed",
    ),
    "another name": (_features(lambda f: {"evil": f}), "holds evil F16 of 2 dimensions"),
    "more beside it": (_features(lambda f: {"features": f, "more": f}), "holds features F16 of 2 dimensions, more"),
    "lengths": (_features(lambda f: {"features": 2 * f}), "has features whose length is not 1"),
    "no numbers": (_features(lambda f: {"features": f * np.float16("nan")}), "has features whose length is not 1"),
    "k of text": (_stated(k="5"), "ood in config.json has k 5: 1 to 50 is allowed"),
    "k too large": (_stated(k=51), "ood in config.json has k 51: 1 to 50 is allowed"),
    "value of text": (_stated(value="far"), "has value far: 0 to 2, or none, is allowed"),
    "value no number": (_stated(value=float("nan")), "has value nan: 0 to 2, or none, is allowed"),
    "another score": (_stated(score="magic"), "a score of mean_cosine_distance, k and value are allowed"),
    "not stated": (_unstated, "it has reference_features.safetensors, but no ood in its config.json"),
    "file gone": (lambda f: (f / REFERENCE).unlink(), "it has ood, but no reference_features.safetensors"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_changed_one_is_refused_clearly(folder: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    change(folder)
    with pytest.raises(ModelFolderError) as error:
        open_reference(_open(folder))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_without_any_has_none(folder: Path) -> None:
    _unstated(folder)
    (folder / REFERENCE).unlink()
    assert open_reference(_open(folder)) is None


def test_evaluate_and_push_say_it_in_one_line(folder: Path, refused: Callable[..., str]) -> None:
    FAULTS["of another model"][0](folder)
    for words in (("evaluate", folder, f"dataset={folder.parent}"), ("push", folder, "user/dances-model")):
        assert "no classifier of model.safetensors takes as many" in refused("train", *words)
