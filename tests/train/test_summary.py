import numpy as np

from model_folder.reference_features import Nearest, ReferenceFeatures
from train.abstention import stated_threshold
from train.evaluate import summary
from train.metrics import compute_metrics
from train.ood import judge_distance, judge_others
from train.predictions import Predictions


def _lines(value: float, others: np.ndarray | None) -> list[str]:
    labels = np.array([0, 1, 2] * 10)
    answers = np.where(np.arange(30) < 3, (labels + 1) % 3, labels)
    logits = np.linspace(1, 4, 30)[:, None] * np.eye(3)[answers]
    names = ["a", "b", "c"]
    split = Predictions([""] * 30, labels, logits, names)
    threshold = stated_threshold({"reject_threshold": {"score": "max_probability", "value": value}})
    metrics = compute_metrics(split, None, 1.31, threshold) | {"ood": None, "others": None}
    if others is not None:
        strange = Predictions([""] * len(others), np.zeros(len(others), int), others, names)
        metrics["others"] = judge_others(split, strange, threshold, None, "clutter")
    return summary(metrics, "test").splitlines()


def test_what_is_printed_says_what_it_rests_on() -> None:
    lines = _lines(0.65, np.full((50, 3), 0.1))
    assert lines[0].split() == ["class", "pictures", "precision", "recall", "F1"]
    assert lines[4].startswith("test accuracy 90.0% of 30 pictures (95 % interval 74.4% – 96.5%), macro F1 0.900 (0.")
    assert lines[5].endswith("without temperature 1.31")
    assert lines[6] == "most confused: a as b (1), b as c (1), c as a (1)"
    assert lines[7].startswith("abstains below a probability of 0.650: answers 86.7%, of which 100.0% are right (95 %")
    assert lines[8] == (
        "50 other pictures (clutter): AUROC by max probability 1.00 (0.95 – 1.00), by energy 1.00 (0.95 – 1.00); "
        "abstains on 100.0% of them"
    )


def test_what_does_not_help_is_said() -> None:
    lines = _lines(0.65, np.full((50, 3), [9.0, 0, 0]))
    assert lines[7].endswith("; no accuracy was promised")
    assert lines[8].endswith(
        "by energy 0.00 (0.00 – 0.05); none separates them from the classes better than chance; abstains on 0.0% of "
        "them"
    )
    assert "0.999: answers none of these pictures" in _lines(0.999, None)[7]


def test_false_alarms_are_counted() -> None:
    metrics = compute_metrics(Predictions([""] * 3, np.arange(3), 4 * np.eye(3), ["a", "b", "c"]))
    reference = ReferenceFeatures(np.eye(3, dtype=np.float32), 2, 0.5)
    nearest = Nearest(np.array([[0.1, 0.2], [0.4, 0.8], [0.1, 0.3]]), np.zeros((3, 2), int))
    metrics |= {"others": None, "ood": judge_distance(reference, nearest)}
    assert summary(metrics, "test").splitlines()[-1] == (
        "takes 1 of 3 for ood, at a distance above 0.500: 33.3% false alarms (95 % interval 6.1% – 79.2%)"
    )
    metrics["ood"] = judge_distance(ReferenceFeatures(reference.features, 2, None), nearest)
    assert metrics["ood"]["refused"] == 0
    assert "fewer than 19 validation pictures" in summary(metrics, "test").splitlines()[-1]
