"""A map of the pictures: those that look alike to the model lie close together.

Training pictures are laid out by t-SNE (van der Maaten and Hinton 2008, "Visualizing data using t-SNE") of their
reference features; a judged picture lies amid the training pictures that look most like it.
"""

import numpy as np
from sklearn.manifold import TSNE

from model_folder.reference_features import Nearest

_SEED = 8
# Of fewer pictures t-SNE makes no clusters that would mean anything.
_FEWEST_FOR_TSNE, _COMPONENTS, _PERPLEXITY = 100, 50, 30
# Amid how many training pictures a judged one lies.
_NEAREST = 5
# A training picture that is closer than this counts no more.
_CLOSEST = 0.02
_SAME = 1e-4


def draw_map(features: np.ndarray, nearest: Nearest) -> tuple[np.ndarray, np.ndarray, str]:
    """Lays pictures out in two dimensions; the same features give the same map on one machine.

    Args:
        features: Of training pictures, each of length 1, of shape (pictures, features).
        nearest: The training pictures nearest to each judged one.

    Returns:
        Where the training pictures and the judged ones lie, each of shape (pictures, 2), from 0 to 1; and the method,
        "t-SNE" or "PCA".
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
    weights = 1 / np.maximum(nearest.distances[:, :_NEAREST], _CLOSEST)
    judged = (places[nearest.rows[:, :_NEAREST]] * weights[..., None]).sum(1) / weights.sum(1, keepdims=True)
    return places, judged, method
