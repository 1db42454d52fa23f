"""Which labels are probably wrong, by the answers of models that have not learned from them (confident learning)."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from cleanlab.count import num_label_issues
from cleanlab.rank import get_label_quality_scores

from files.atomic import atomic_write
from train.predictions import Predictions

Method = Literal["self_confidence", "normalized_margin", "confidence_weighted_entropy"]
COLUMNS = ("sha256", "split", "label", "suggested", "score")


@dataclass(frozen=True)
class LabelIssue:
    """A picture, and how far its label is to be doubted.

    Attributes:
        index: Its row in what was ranked.
        sha256: Its name.
        split: Where it is.
        label: The class it has.
        suggested: The class that is most probable; often the same.
        score: cleanlab's label quality, 0 to 1; the lower, the more doubtful.
    """

    index: int
    sha256: str
    split: str
    label: str
    suggested: str
    score: float


def label_quality(predictions: Predictions, method: Method = "self_confidence") -> np.ndarray:
    """Returns a score per picture, 0 to 1, the lower the more doubtful its label (Northcutt et al. 2021).

    Of cleanlab's three scores the default found most planted labels; `benchmarks/label_issues.py` compares them.
    """
    return get_label_quality_scores(predictions.labels, predictions.probs, method=method)


def rank_label_issues(predictions: Predictions) -> list[LabelIssue]:
    """Ranks all pictures of out-of-fold answers, the most doubtful label first."""
    scores, names, answers = label_quality(predictions), predictions.label_names, predictions.answers
    return [
        LabelIssue(
            index,
            predictions.sha256[index],
            predictions.splits[index],
            names[predictions.labels[index]],
            names[answers[index]],
            float(scores[index]),
        )
        # Among equals the name decides, so that the same answers always give the same order.
        for index in sorted(range(len(scores)), key=lambda row: (scores[row], predictions.sha256[row]))
    ]


def expected_issues(predictions: Predictions) -> int:
    """Returns how many labels are wrong by cleanlab's estimate."""
    return int(num_label_issues(predictions.labels, predictions.probs))


def write_label_issues(path: Path, issues: Sequence[LabelIssue]) -> None:
    """Writes `label_issues.csv`, a line per picture, the most doubtful first; it appears whole or not at all."""
    with atomic_write(path) as draft, draft.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(COLUMNS)
        writer.writerows([getattr(issue, column) for column in COLUMNS] for issue in issues)
