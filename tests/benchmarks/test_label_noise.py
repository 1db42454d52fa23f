import numpy as np

from benchmarks.label_issues import table
from train.predictions import Predictions


def test_the_table_counts_planted_labels_among_the_worst() -> None:
    names = [f"{number:064x}" for number in range(100)]
    labels = np.arange(100) % 2
    unseen = np.zeros((100, 2), np.float32)
    unseen[np.arange(100), labels] = 3
    # Four planted labels are doubted most, the fifth least; the final model has learned all of them by heart.
    unseen[:4] = -unseen[:4]
    unseen[4, labels[4]] = 9
    seen = np.zeros((100, 2), np.float32)
    seen[np.arange(100), labels] = np.linspace(9, 3, 100)
    truth = {name: "ab"[1 - number % 2] for number, name in enumerate(names[:5])}
    said = table(
        Predictions(names, labels, unseen, ["a", "b"]), Predictions(names, labels, seen, ["a", "b"]), truth, 0.05
    )
    lines = said.splitlines()
    assert lines[0].startswith("100 pictures, 5 of them with a planted label; out of fold 99.0% are given")
    assert lines[2] == "| planted labels among the worst | 5% | 95 % interval | 10% |"
    # Wilson 1927, by hand: 4 of 5.
    assert lines[4] == "| out of fold, self-confidence (`train clean`) | 80% | 38% – 96% | 80% |"
    assert lines[-1] == "| top losses of the final model | 0% | 0% – 43% | 0% |"
