"""A map of the pictures: those that look alike to the model lie close together.

Training pictures are laid out by t-SNE (van der Maaten and Hinton 2008, "Visualizing data using t-SNE") of their
reference features; a judged picture lies amid the training pictures that look most like it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.manifold import TSNE

from model_folder.reference_features import Nearest

_SEED = 8
# Of fewer pictures t-SNE makes no clusters that would mean anything.
_FEWEST_FOR_TSNE, _COMPONENTS, _PERPLEXITY = 100, 50, 30
# A training picture that is closer than this counts no more.
_CLOSEST = 0.02
_SAME = 1e-4


@dataclass(frozen=True)
class PictureMap:
    """Where pictures lie, each coordinate from 0 to 1.

    Attributes:
        training: Rows of the reference features, of shape (pictures, 2).
        judged: Pictures of the split, of shape (pictures, 2).
        labels: The class of every training picture, by name.
        sources: Where every training picture comes from; empty where nobody tells, or all come from one source.
        judged_sources: Where the judged ones come from; likewise.
        method: "t-SNE" or "PCA".
    """

    training: np.ndarray
    judged: np.ndarray
    labels: list[str]
    sources: list[str]
    judged_sources: list[str]
    method: str


def draw_map(
    features: np.ndarray, nearest: Nearest, labels: list[str], sources: Sequence[str], judged_sources: Sequence[str]
) -> PictureMap:
    """Lays pictures out in two dimensions; the same features give the same map on one machine.

    Args:
        features: Of training pictures, each of length 1, of shape (pictures, features).
        nearest: The training pictures nearest to each judged one.
        labels: The class of every training picture, by name.
        sources: Where every training picture comes from, "" where nobody tells.
        judged_sources: Likewise for the judged ones.
    """
    # Principal components; scikit-learn's refuse a single picture.
    left, values, _ = np.linalg.svd(features - features.mean(0), full_matrices=False)
    components = np.pad(left * values, ((0, 0), (0, 2)))
    # Of features that are all the same, t-SNE's beginning would be divided by nothing, and the process ends.
    differ = len(values) and values[0] > _SAME
    method = "t-SNE" if len(features) >= _FEWEST_FOR_TSNE and differ else "PCA"
    if method == "PCA":
        places = components[:, :2]
    else:
        places = TSNE(perplexity=_PERPLEXITY, random_state=_SEED).fit_transform(components[:, :_COMPONENTS])
    low, span = places.min(0), np.maximum(np.ptp(places, axis=0), 1e-9)
    places = (places - low) / span
    weights = 1 / np.maximum(nearest.distances, _CLOSEST)
    judged = (places[nearest.rows] * weights[..., None]).sum(1) / weights.sum(1, keepdims=True)
    known = len({*sources, *judged_sources}) > 1
    return PictureMap(
        places, judged, labels, list(sources) if known else [], list(judged_sources) if known else [], method
    )
