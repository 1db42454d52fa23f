"""The ranking, on scikit-learn's handwritten digits with planted errors; `benchmarks/label_issues.py` has dancers."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from train.cleaner.label_issues import expected_issues, label_quality, rank_label_issues, write_label_issues
from train.predictions import Predictions


@pytest.fixture(scope="module")
def planted() -> tuple[Predictions, set[int]]:
    """Out-of-fold answers on digits of which 5 % have a wrong label, and which."""
    images, truth = load_digits(return_X_y=True)
    rng = np.random.default_rng(8)
    wrong = rng.choice(len(truth), round(0.05 * len(truth)), replace=False)
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + rng.integers(1, 10, len(wrong))) % 10
    model = LogisticRegression(C=0.1, max_iter=300)
    probs = cross_val_predict(model, images / 16, labels, cv=5, method="predict_proba")
    names = [f"{number:064x}" for number in range(len(labels))]
    digits = [str(digit) for digit in range(10)]
    return Predictions(names, labels, np.log(probs).astype(np.float32), digits), set(wrong.tolist())


def test_the_worst_twentieth_holds_four_fifths_of_planted_errors(
    planted: tuple[Predictions, set[int]],
) -> None:
    predictions, wrong = planted
    worst = rank_label_issues(predictions)[: len(wrong)]
    assert len(wrong & {issue.index for issue in worst}) >= 0.8 * len(wrong)


def test_of_three_scores_none_beats_the_one_that_was_chosen(
    planted: tuple[Predictions, set[int]],
) -> None:
    predictions, wrong = planted

    def hits(scores: np.ndarray) -> int:
        return len(wrong & set(np.argsort(scores)[: len(wrong)].tolist()))

    ours = hits(label_quality(predictions))
    assert ours >= hits(label_quality(predictions, "normalized_margin")) - 1
    assert ours >= hits(label_quality(predictions, "confidence_weighted_entropy")) - 1


def test_the_estimate_is_near(planted: tuple[Predictions, set[int]]) -> None:
    predictions, wrong = planted
    assert 0.5 * len(wrong) < expected_issues(predictions) < 1.5 * len(wrong)


def test_the_list_names_what_the_models_say(planted: tuple[Predictions, set[int]], tmp_path: Path) -> None:
    predictions, _ = planted
    splits = ["train" if number % 2 else "validation" for number in range(len(predictions.labels))]
    write_label_issues(tmp_path / "label_issues.csv", rank_label_issues(replace(predictions, splits=splits)))
    with (tmp_path / "label_issues.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["sha256", "split", "label", "suggested", "score"]
    assert sorted(line["sha256"] for line in lines) == predictions.sha256
    scores = [float(line["score"]) for line in lines]
    assert scores == sorted(scores)
    for line in lines[:50]:
        index = predictions.sha256.index(line["sha256"])
        assert line["split"] == splits[index]
        assert line["label"] == str(predictions.labels[index])
        assert line["suggested"] == str(predictions.probs[index].argmax())
        assert float(line["score"]) == pytest.approx(predictions.probs[index, predictions.labels[index]])
