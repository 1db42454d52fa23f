from pathlib import Path

import numpy as np
import pytest

from train.features import STRENGTHS, USUAL, Features, choose_l2


def _features(folder: Path, values: np.ndarray, labels: np.ndarray) -> Features:
    np.save(folder / "f.npy", values.astype(np.float32))
    return Features(folder / "f.npy", labels.tolist())


def _alone(number: int) -> list[str]:
    return [str(index) for index in range(number)]


def test_noise_is_held_back_and_what_tells_apart_is_let_through(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    labels = np.arange(160) % 4
    noise = chance.normal(size=(160, 2, 40))
    assert choose_l2(_features(tmp_path, noise, labels), _alone(160), 8) == max(STRENGTHS)
    clear = noise.copy()
    clear[:, :, :4] += 8 * np.eye(4)[labels][:, None]
    assert choose_l2(_features(tmp_path, clear, labels), _alone(160), 8) <= 10


def test_near_duplicates_give_no_confidence(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    # Forty pictures of noise, each there eight times: known by heart where copies part.
    values = np.repeat(chance.normal(size=(40, 1, 60)), 8, axis=0)
    labels = np.repeat(np.arange(40) % 4, 8)
    features = _features(tmp_path, values, labels)
    assert choose_l2(features, _alone(320), 8) <= 30
    assert choose_l2(features, [str(index // 8) for index in range(320)], 8) >= 300


def test_the_size_of_a_feature_does_not_matter(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    labels = np.arange(160) % 4
    values = chance.normal(size=(160, 1, 12)) + 1.5 * np.eye(12)[labels][:, None]
    found = {choose_l2(_features(tmp_path, size * values, labels), _alone(160), 8) for size in (2**-10, 1, 2**10)}
    assert len(found) == 1


@pytest.mark.parametrize("rare", [1, 2])
def test_a_class_too_rare_for_folds(tmp_path: Path, rare: int) -> None:
    labels = np.array([0] * 30 + [1] * rare)
    values = np.random.default_rng(0).normal(size=(len(labels), 1, 3))
    assert choose_l2(_features(tmp_path, values, labels), ["of one group"] * len(labels), 8) == USUAL
