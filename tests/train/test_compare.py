import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from train.predictions import Predictions, read_split, write_predictions

Refused = Callable[..., str]
NAMES = ["kathak", "odissi"]


def _run(folder: Path, right: list[bool], sha256: list[str] | None = None, names: list[str] = NAMES) -> Path:
    """A run whose model is right on these pictures, all of them odissi."""
    answers = np.where(right, names.index("odissi"), names.index("kathak"))
    labels = np.full(len(right), names.index("odissi"))
    shas = sha256 if sha256 is not None else [f"{number:064x}" for number in range(len(right))]
    predictions = Predictions(shas, labels, 3 * np.eye(2, dtype=np.float32)[answers], names)
    write_predictions(folder / "model" / "predictions.parquet", "test", predictions)
    return folder


def test_a_gain_is_told_from_noise(cli: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
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
    code, out, _ = cli("train", "evaluate", "--compare", first, noise / "model")
    assert code == 0
    assert "p = 0.5\nThis difference is noise: " in out


def test_the_order_of_pictures_and_of_classes_does_not_matter(
    cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    shas = [f"{number:064x}" for number in range(4)]
    first = _run(tmp_path / "first", [True, False, True, True], shas)
    second = _run(tmp_path / "second", [True, True, False, True], shas[::-1], NAMES[::-1])
    _, out, _ = cli("train", "evaluate", "--compare", first, second)
    assert f"No difference: {first} and {second} are right and wrong on the same pictures." in out


def test_the_dataset_gives_the_groups(
    cli: Callable[..., tuple[int, str, str]], run_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(run_folder / "model", tmp_path / "other")
    _, out, _ = cli("train", "evaluate", "--compare", run_folder, other, f"dataset={dataset_folder}")
    assert "8 pictures; the difference's interval is bootstrapped over groups of near-duplicates." in out


class TestBadInput:
    def test_one_run(self, refused: Refused, run_folder: Path) -> None:
        for words in ([], ["split=test"]):
            assert "--compare takes two runs: " in refused("train", "evaluate", "--compare", run_folder, *words)

    def test_a_run_that_was_not_judged(self, refused: Refused, run_folder: Path, tmp_path: Path) -> None:
        message = refused("train", "evaluate", "--compare", run_folder, tmp_path)
        assert (
            message == f"error: {tmp_path} has no predictions.parquet: judge it first, with python -m train evaluate"
        )
        message = refused("train", "evaluate", "--compare", run_folder, run_folder, "split=train")
        assert "has no answers on train, only on test" in message

    def test_other_pictures(self, refused: Refused, tmp_path: Path) -> None:
        first, second = _run(tmp_path / "first", [True] * 5), _run(tmp_path / "second", [True] * 4)
        message = refused("train", "evaluate", "--compare", first, second)
        assert message == (
            f"error: {first} and {second} were judged on different pictures of test (5 and 4, 4 in common): "
            "evaluate both on the same dataset"
        )

    def test_pictures_without_a_name_are_known_by_their_fingerprint(
        self, cli: Callable[..., tuple[int, str, str]], refused: Refused, tmp_path: Path
    ) -> None:
        runs = [_run(tmp_path / name, [True] * 3, [""] * 3) for name in ("first", "second")]
        for run, word in zip(runs, ("one", "other"), strict=True):
            (run / "model" / "metrics.json").write_text(json.dumps({"test": {"fingerprint": word}}))
        assert "different pictures of test (3 and 3): " in refused("train", "evaluate", "--compare", *runs)
        (runs[1] / "model" / "metrics.json").write_text(json.dumps({"test": {"fingerprint": "one"}}))
        assert cli("train", "evaluate", "--compare", *runs)[0] == 0

    def test_other_labels(self, refused: Refused, tmp_path: Path) -> None:
        first, second = _run(tmp_path / "first", [True] * 3), _run(tmp_path / "second", [True] * 3)
        path = second / "model" / "predictions.parquet"
        there = read_split(path, "test")
        write_predictions(path, "test", Predictions(there.sha256, np.array([0, 1, 1]), there.logits, NAMES))
        message = refused("train", "evaluate", "--compare", first, second)
        assert "were judged by different labels of 1 of 3 pictures of test: " in message

    def test_a_dataset_of_other_pictures(self, refused: Refused, dataset_folder: Path, tmp_path: Path) -> None:
        run = _run(tmp_path / "run", [True] * 3)
        message = refused("train", "evaluate", "--compare", run, run, f"dataset={dataset_folder}")
        assert f"3 of 3 pictures are not in test of {dataset_folder}: give the dataset of both runs" in message
