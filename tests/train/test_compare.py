import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from train.compare import Comparison, compare, paired_difference
from train.predictions import Predictions, read_predictions, write_predictions

Refused = Callable[..., str]
Cli = Callable[..., tuple[int, str, str]]
NAMES = ["kathak", "odissi"]


def _answers(right: list[bool], sha256: list[str] | None = None, names: list[str] = NAMES) -> Predictions:
    """Answers to pictures that are all odissi."""
    answers = np.where(right, names.index("odissi"), names.index("kathak"))
    shas = sha256 if sha256 is not None else [f"{number:064x}" for number in range(len(right))]
    labels = np.full(len(right), names.index("odissi"))
    return Predictions(shas, labels, 3 * np.eye(2, dtype=np.float32)[answers], names, splits=["test"] * len(right))


def _run(folder: Path, right: list[bool], sha256: list[str] | None = None, names: list[str] = NAMES) -> Path:
    """A run whose model is right on these pictures."""
    write_predictions(folder / "model" / "predictions.parquet", _answers(right, sha256, names))
    return folder


def test_a_gain_is_told_from_noise(cli: Cli, tmp_path: Path) -> None:
    first = _run(tmp_path / "first", [True] * 60 + [False] * 40)
    second = _run(tmp_path / "second", [True] * 75 + [False] * 25)
    noise = _run(tmp_path / "noise", [True] * 62 + [False] * 38)
    code, out, _ = cli("train", "evaluate", "--compare", first, second)
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split() == [str(first), "60.0%", "50.2%", "–", "69.1%"]
    assert lines[2].split()[:2] == [str(second), "75.0%"]
    assert lines[3].split()[:2] == ["difference", "+15.0%"]
    assert "Only the first is right on 0, only the second on 15: McNemar's exact test, p = 6.1e-05" in lines[4]
    assert lines[5] == f"{second} is better, and by more than chance explains."
    (second / "model" / "config.json").touch()
    assert f"\nNext: python -m train push {second / 'model'} USER/NAME" in compare(first, second, Comparison())
    (noise / "recipe.yaml").touch()
    out = compare(first, noise / "model", Comparison())
    assert "p = 0.5\nThis difference is noise: " in out
    command = f"python -m train cross-validate {noise / 'recipe.yaml'} output_dir={noise}"
    assert f"with split=folds: {command}, and likewise {first}" in compare(first, noise, Comparison())


def test_the_order_of_pictures_and_of_classes_does_not_matter(tmp_path: Path) -> None:
    shas = [f"{number:064x}" for number in range(4)]
    first = _run(tmp_path / "first", [True, False, True, True], shas)
    second = _run(tmp_path / "second", [True, True, False, True], shas[::-1], NAMES[::-1])
    out = compare(first, second, Comparison())
    assert f"No difference: {first} and {second} are right and wrong on the same pictures." in out


def test_a_run_that_was_cross_validated_and_judged_is_compared_on_either(tmp_path: Path) -> None:
    runs = [_run(tmp_path / "first", [True] * 30), _run(tmp_path / "second", [True] * 30)]
    for run, right in zip(runs, ([True, False] * 20, [True] * 40), strict=True):
        answers = replace(_answers(right), splits=["train"] * 40, folds=np.arange(40) % 5 + 1)
        write_predictions(run / "predictions.parquet", answers)
    assert "\n30 pictures; " in compare(*runs, Comparison())
    out = compare(*runs, Comparison(split="folds"))
    assert "\n40 pictures, each answered by a model of either run that had not learned from it; " in out
    assert f"{runs[1]} is better" in out
    assert f"Next, on the test split: python -m train evaluate --compare {runs[0]} {runs[1]}" in out


def test_groups_come_from_the_predictions_or_from_the_dataset(
    run_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(run_folder / "model", tmp_path / "other")
    assert "8 pictures; the intervals are over groups of near-duplicates." in compare(run_folder, other, Comparison())
    path = other / "predictions.parquet"
    # As an earlier version wrote it.
    bare = replace(read_predictions(path, "test"), groups=[""] * 8)
    path.unlink()
    write_predictions(path, bare)
    assert "8 pictures; the intervals are over pictures." in compare(other, other, Comparison())
    out = compare(other, run_folder, Comparison(dataset=str(dataset_folder)))
    assert "8 pictures; the intervals are over groups of near-duplicates." in out


class TestBadInput:
    def test_one_run(self, refused: Refused, run_folder: Path) -> None:
        for words in ([], ["split=test"]):
            assert "--compare takes two runs: " in refused("train", "evaluate", "--compare", run_folder, *words)

    def test_a_run_that_was_not_judged(self, refused: Refused, run_folder: Path, tmp_path: Path) -> None:
        words = ["train", "evaluate", "--compare", run_folder]
        assert refused(*words, tmp_path) == (
            f"error: {tmp_path} has no predictions.parquet: judge it first, with python -m train evaluate"
        )
        assert "has no answers on train, only on test: python -m train evaluate makes them" in refused(
            *words, run_folder, "split=train"
        )
        assert "on folds, only on test: python -m train cross-validate makes" in refused(
            *words, run_folder, "split=folds"
        )

    def test_other_pictures(self, refused: Refused, tmp_path: Path) -> None:
        first, second = _run(tmp_path / "first", [True] * 5), _run(tmp_path / "second", [True] * 4)
        message = refused("train", "evaluate", "--compare", first, second)
        assert message == (
            f"error: {second} beside {first}, test: other pictures or labels (1 of 5 have no answer, 0 had another "
            "label, 0 answers are to pictures that are not there): judge both on the same dataset, with python -m "
            "train evaluate"
        )

    def test_pictures_without_a_name_are_known_by_their_fingerprint(self, refused: Refused, tmp_path: Path) -> None:
        runs = [_run(tmp_path / name, [True] * 3, [""] * 3) for name in ("first", "second")]
        for run, word in zip(runs, ("one", "other"), strict=True):
            (run / "model" / "metrics.json").write_text(json.dumps({"test": {"fingerprint": word}}))
        assert "were judged on different pictures of test: " in refused("train", "evaluate", "--compare", *runs)
        (runs[1] / "model" / "metrics.json").write_text(json.dumps({"test": {"fingerprint": "one"}}))
        assert "No difference" in compare(*runs, Comparison())

    def test_other_labels(self, refused: Refused, tmp_path: Path) -> None:
        first, second = _run(tmp_path / "first", [True] * 3), _run(tmp_path / "second", [True] * 3)
        answers = replace(_answers([True] * 3), labels=np.array([0, 1, 1]))
        write_predictions(second / "model" / "predictions.parquet", answers)
        message = refused("train", "evaluate", "--compare", first, second)
        assert "0 of 3 have no answer, 1 had another label, 0 answers" in message

    def test_a_dataset_of_other_pictures(self, refused: Refused, dataset_folder: Path, tmp_path: Path) -> None:
        run = _run(tmp_path / "run", [True] * 3)
        message = refused("train", "evaluate", "--compare", run, run, f"dataset={dataset_folder}")
        assert f"{dataset_folder} has classes that {run} does not know (bharatanatyam, " in message


def _right(*spans: tuple[int, bool]) -> np.ndarray:
    return np.concatenate([np.full(count, value) for count, value in spans])


class TestDifference:
    def test_mcnemar_of_a_case_done_by_hand(self) -> None:
        # 2 against 10 of 12 on which they part: 2 * (1 + 12 + 66) / 2**12.
        first = _right((60, True), (2, True), (10, False), (28, False))
        second = _right((60, True), (2, False), (10, True), (28, False))
        difference = paired_difference(first, second, None)
        assert (difference.only_first, difference.only_second) == (2, 10)
        assert difference.p_value == pytest.approx(2 * (1 + 12 + 66) / 2**12)
        assert difference.value == pytest.approx(0.08)
        low, high = difference.interval
        assert 0 < low < 0.08 < high < 0.16
        assert not difference.is_noise
        assert difference.verdict("a", "b") == "b is better, and by more than chance explains."
        turned = paired_difference(second, first, None)
        assert turned.verdict("b", "a") == "b is better, and by more than chance explains."

    def test_a_small_difference_is_noise(self) -> None:
        difference = paired_difference(_right((30, True), (10, False)), _right((33, True), (7, False)), None)
        assert difference.p_value == 0.25
        assert difference.verdict("a", "b").startswith(
            "This difference is noise: as far as these pictures can tell, b is"
        )

    def test_what_copies_say_counts_once(self) -> None:
        first = _right((60, True), (2, True), (10, False), (28, False))
        second = _right((60, True), (2, False), (10, True), (28, False))
        groups = [str(number) for number in range(62)] + ["the ten"] * 10 + [str(number) for number in range(72, 100)]
        difference = paired_difference(first, second, groups)
        assert difference.over == "groups of near-duplicates"
        assert difference.interval[0] < 0
        assert difference.is_noise

    def test_two_that_answer_alike(self) -> None:
        answers = _right((3, True), (1, False))
        difference = paired_difference(answers, answers, None)
        assert (difference.value, difference.p_value, difference.interval) == (0, 1, (0, 0))
        assert difference.verdict("a", "b") == "No difference: a and b are right and wrong on the same pictures."
