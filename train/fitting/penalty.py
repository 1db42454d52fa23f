"""How strongly a classifier on frozen features is held back: what does best on pictures that it has not seen."""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from train.fitting.features import Features

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Of the penalty `strength / 2` times the squared norm of the weights, on a loss that is summed over all views; the
inverse of scikit-learn's `C`."""
USUAL = 100.0
"""Where a class is too rare for folds."""
_FOLDS = 5
# A strength is that of a prior belief about the weights, which does not depend on how many pictures there are: what is
# found on so many holds for more.
_MOST_PICTURES = 600


def choose_l2(features: Features, groups: Sequence[str], seed: int) -> float:
    """Chooses the strength whose classifiers give held-out pictures the highest likelihood, by grouped folds.

    The classifiers are scikit-learn's multinomial logistic regression on all views; they are judged by the plain view.

    Args:
        features: Of the training pictures, whose first view is the plain one; they are divided by their spread.
        groups: The group of every picture: pictures of one group never part.
        seed: Deals the folds, and draws from more than 600 pictures.

    Returns:
        One of `STRENGTHS`.
    """
    labels, group = features.labels.numpy(), np.asarray(groups)
    chosen = np.random.default_rng(seed).permutation(len(labels))[:_MOST_PICTURES]
    labels, group = labels[chosen], group[chosen]
    rarest = min(len(np.unique(group[labels == label])) for label in np.unique(labels))
    if rarest < 2:
        return USUAL
    values = features.values[chosen] / features.spread().numpy()
    folds = StratifiedGroupKFold(min(_FOLDS, rarest), shuffle=True, random_state=seed)
    # Matrices are so small that threads would spend their time waiting for each other, most of all where torch's wait,
    # too: with two of them on two cores, the search took 12 s instead of 3.
    with threadpool_limits(1):
        return _best(values, labels, group, folds)


def _best(values: np.ndarray, labels: np.ndarray, group: np.ndarray, folds: StratifiedGroupKFold) -> float:
    losses = dict.fromkeys(STRENGTHS, 0.0)
    for learned, held_out in folds.split(labels, labels, group):
        if set(labels[learned]) != set(labels):
            return USUAL
        rows = values[learned].reshape(-1, values.shape[2])
        truth = np.repeat(labels[learned], values.shape[1])
        # From the strongest on, each begins where the one before has ended; closer to the minimum than this, the
        # likelihood of held-out pictures no longer changes: a fifth of the time, the same choice.
        model = LogisticRegression(tol=1e-3, max_iter=200, warm_start=True)
        for strength in reversed(STRENGTHS):
            model.set_params(C=1 / strength)
            with warnings.catch_warnings():
                # The weakest penalties take long to their minimum, and are not where it lies.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(rows, truth)
            probs = model.predict_proba(values[held_out, 0])
            losses[strength] += log_loss(labels[held_out], probs, labels=model.classes_, normalize=False)
    return min(losses, key=lambda strength: losses[strength])
