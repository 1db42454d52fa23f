import csv
import shutil
from pathlib import Path

import pytest

from benchmarks.label_noise import plant
from benchmarks.loop import Answers, difference, review, table
from dataset_card.build import build
from dataset_card.lists import read_corrections
from train.data import load_images


def test_planted_labels_are_wrong_everywhere_but_in_test(photos: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(photos, tmp_path / "photos")
    before = build(copied, tmp_path / "dances", seed=8).curated.rows
    truth = plant(copied, tmp_path / "dances", share=0.25, seed=8)
    after = build(copied, tmp_path / "dances", seed=8).curated.rows
    label_of = {
        when: dict(zip(rows["sha256"], rows["label"], strict=True))
        for when, rows in (("before", before), ("after", after))
    }
    changed = {name for name, label in label_of["before"].items() if label_of["after"][name] != label}
    assert changed == set(truth)
    assert len(changed) == round(0.25 * 56)
    assert truth == {name: label_of["before"][name] for name in changed}
    tested = [list(rows["sha256"][rows["split"] == "test"]) for rows in (before, after)]
    assert tested[0] == tested[1]
    assert not changed & set(tested[1])
    # Where they come from is still known.
    assert set(load_images(str(tmp_path / "dances")).splits["train"]["source"]) == {"drawing"}


def test_who_looks_decides_by_the_truth(tmp_path: Path) -> None:
    names = [f"{number:064x}" for number in range(10)]
    with (tmp_path / "label_issues.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sha256", "split", "label", "suggested", "score"])
        writer.writerows(
            [name, "train", "kathak" if number % 2 else "odissi", "odissi", 0] for number, name in enumerate(names)
        )
    truth = {names[1]: "odissi", names[7]: "odissi"}
    said = review(tmp_path / "label_issues.csv", truth, 0.4, tmp_path / "corrections.csv")
    assert said.startswith("4 of 10 pictures were looked at: 1 of the 2 wrong labels were among them")
    decided = read_corrections(tmp_path / "corrections.csv", ["kathak", "odissi"])
    assert [(d.sha256, d.action, d.label) for d in decided] == [
        (names[0], "keep", ""), (names[1], "relabel", "odissi"), (names[2], "keep", ""), (names[3], "keep", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("won", "lost", "expected"),
    [
        # By hand: 2 * 0.5 ** 6, twice the tail of one in six (7 / 64), and nothing to tell.
        (6, 0, "+30.0 points (6 pictures right only with it, 0 only without; {} p = 0.031): a gain"),
        (0, 6, "-30.0 points (0 pictures right only with it, 6 only without; {} p = 0.031): a loss"),
        (5, 1, "+20.0 points (5 pictures right only with it, 1 only without; {} p = 0.22): too little"),
        (0, 0, "+0.0 points (0 pictures right only with it, 0 only without; {} p = 1): too little"),
    ],
)  # fmt: skip
def test_a_difference_that_may_be_chance_is_called_so(won: int, lost: int, expected: str) -> None:
    right = [(False, True)] * won + [(True, False)] * lost + [(True, True)] * (20 - won - lost)
    without, corrected = ({str(number): pair[side] for number, pair in enumerate(right)} for side in (0, 1))
    said = difference("Corrected labels", without, corrected)
    assert f"Corrected labels: {expected}".format("McNemar's exact test") in said


def test_another_test_split_is_no_comparison() -> None:
    one, other = (Answers({"a": True}, {"a": label}) for label in ("kathak", "odissi"))
    with pytest.raises(AssertionError, match="one test split for all"):
        table({"before": one, "further": one, "after": other})
