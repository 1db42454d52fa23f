import numpy as np
import pytest

from model_folder.reference_features import Nearest, unit_length
from train.report.map import draw_map


def _clusters(each: int, clusters: int = 3) -> np.ndarray:
    middles = np.eye(clusters, 20).repeat(each, 0)
    return unit_length(middles + np.random.default_rng(8).normal(0, 0.05, middles.shape))


def _near(*rows: list[int]) -> Nearest:
    return Nearest(np.full((len(rows), len(rows[0])), 0.1, np.float32), np.array(rows))


@pytest.mark.parametrize(("each", "expected"), [(12, "PCA"), (50, "t-SNE")])
def test_what_looks_alike_lies_close_together(each: int, expected: str) -> None:
    features, near = _clusters(each), _near([0, 1, 2], [0, each, 2 * each])
    training, judged, method = draw_map(features, near)
    assert method == expected
    assert (training.min(), training.max()) == (0, 1)
    places = training.reshape(3, each, 2)
    middles = places.mean(1)
    spread = np.linalg.norm(places - middles[:, None], axis=2).max()
    apart = min(np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert spread < apart / 2
    # A judged picture lies amid those that it looks like.
    np.testing.assert_allclose(judged[0], places[0, :3].mean(0), rtol=1e-5)
    np.testing.assert_allclose(judged[1], places[:, 0].mean(0), rtol=1e-5)
    np.testing.assert_array_equal(draw_map(features, near)[0], training)


def test_the_nearer_the_more_it_counts() -> None:
    near = Nearest(np.array([[0.05, 0.45], [0.0, 0.0]], np.float32), np.array([[0, 12], [0, 12]]))
    training, judged, _ = draw_map(_clusters(12), near)
    first, second = training[[0, 12]]
    np.testing.assert_allclose(judged[0], 0.9 * first + 0.1 * second, rtol=1e-5)
    # Copies of training pictures have no distance.
    np.testing.assert_allclose(judged[1], (first + second) / 2, rtol=1e-5)


def test_pictures_that_are_all_the_same() -> None:
    training, _, method = draw_map(np.full((150, 4), 0.5), _near([0, 1]))
    assert method == "PCA"
    assert np.isfinite(training).all()


def test_few_pictures_with_few_features() -> None:
    for features in (np.ones((1, 1)), np.ones((3, 1)), np.eye(2)):
        training, judged, _ = draw_map(features, _near([0]))
        assert training.shape == (len(features), 2)
        assert np.isfinite(judged).all()
