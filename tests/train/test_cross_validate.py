import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT, wait_for
from tests.train.conftest import interrupted_after
from train.cross_validate import CrossValidation, cross_validate
from train.data import load_images
from train.metrics import summary
from train.predictions import read_out_of_fold
from train.recipe import load_settings

# Stage 1 is judged, too: two epochs in all.
WORDS = ["folds=2", "epochs=1", "image_size=32"]


def _settings(dataset: Path, run: Path, *words: str) -> CrossValidation:
    return load_settings(
        CrossValidation, ROOT / "recipes" / "debug.yaml", [f"dataset={dataset}", f"output_dir={run}", *WORDS, *words]
    )


@pytest.fixture(scope="module")
def blind(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset, but its test split has neither a picture that can be read nor a label."""
    # `datasets` caches a folder by its name and card: under the same name, others would be given this one's pictures.
    folder = shutil.copytree(dataset_folder, tmp_path_factory.mktemp("datasets") / "blind")
    (shard,) = (folder / "data").glob("test-*")
    rows = datasets.load_dataset("parquet", data_files=str(shard), split="train").cast_column(
        "image", datasets.Image(decode=False)
    )
    rows = rows.map(lambda row: {"image": {"bytes": b"nothing", "path": "a.jpg"}, "label": -1}, features=rows.features)
    rows.to_parquet(shard)
    return folder


@pytest.fixture(scope="module")
def straight(blind: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation that nothing interrupts."""
    run = tmp_path_factory.mktemp("straight") / "run"
    scores = cross_validate(_settings(blind, run))
    (run / "said.txt").write_text(summary(scores))
    return run


def test_every_picture_but_those_of_test_is_answered_once(straight: Path, blind: Path) -> None:
    answers = read_out_of_fold(straight / "predictions.parquet")
    splits = load_images(str(blind)).splits
    expected = {(sha256, split) for split in ("train", "validation") for sha256 in splits[split]["sha256"]}
    found = list(zip(answers.predictions.sha256, answers.splits, strict=True))
    assert set(found) == expected
    assert len(found) == len(expected)
    assert set(answers.folds.tolist()) == {1, 2}
    label_of = {
        sha256: label for rows in splits.values() for sha256, label in zip(rows["sha256"], rows["label"], strict=True)
    }
    assert [label_of[sha256] for sha256 in answers.predictions.sha256] == answers.predictions.labels.tolist()


def test_no_model_answers_for_what_it_learned_from(straight: Path, blind: Path) -> None:
    # A fold's run notes the fingerprints of what it saw.
    from train.data import fingerprint
    from train.folds import make_folds, pool

    pictures = pool(load_images(str(blind)))
    folds = make_folds(pictures.labels, pictures.groups, pictures.images.label_names, 2, 8)
    answers = read_out_of_fold(straight / "predictions.parquet")
    for number, fold in enumerate(folds, start=1):
        held_out = [answers.predictions.sha256[row] for row in np.flatnonzero(answers.folds == number)]
        assert held_out == [pictures.sha256[index] for index in fold.held_out]
        data = json.loads((straight / "folds" / f"fold{number}" / "data.json").read_text())
        assert data["train"] == fingerprint(pictures.rows.select(fold.train))
        assert data["validation"] == fingerprint(pictures.rows.select(fold.validation))


def test_the_table_and_the_file_say_the_same(straight: Path) -> None:
    facts = json.loads((straight / "cross_validation.json").read_text())
    lines = (straight / "said.txt").read_text().splitlines()
    assert lines[0].split() == [
        "fold", "pictures", "stage", "1:", "accuracy", "macro", "F1", "kept:", "accuracy", "macro", "F1",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "all"]
    assert set(facts["scores"]) == {"stage 1", "kept"}
    answers = read_out_of_fold(straight / "predictions.parquet")
    right = answers.predictions.logits.argmax(1) == answers.predictions.labels
    total = facts["scores"]["kept"][-1]
    assert total["pictures"] == len(right) == 56
    assert total["accuracy"] == pytest.approx(right.mean())
    assert total["accuracy_interval"][0] < right.mean() < total["accuracy_interval"][1]
    assert f"kept: {right.mean():.1%} of 56 pictures right" in lines[-1]


def test_only_what_counts_is_left(straight: Path) -> None:
    assert {path.name for path in straight.iterdir()} == {
        "predictions.parquet", "cross_validation.json", "folds", "said.txt",
    }  # fmt: skip
    assert not list(straight.rglob("*.safetensors"))
    columns = pq.read_schema(straight / "predictions.parquet").names
    assert columns == ["sha256", "split", "label", "logits", "probs", "loss", "fold"]


def test_a_run_that_was_interrupted_within_a_fold_ends_alike(straight: Path, blind: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with interrupted_after("stage2-epoch001"):
        cross_validate(_settings(blind, run))
    assert (run / "folds" / "fold1" / "predictions-stage1.parquet").exists()
    assert not (run / "folds" / "fold1" / "predictions.parquet").exists()
    cross_validate(_settings(blind, run, "num_workers=1", "resume_from_checkpoint=false"))
    assert (run / "predictions.parquet").read_bytes() == (straight / "predictions.parquet").read_bytes()
    # Once more there is nothing to do.
    before = {path: path.stat().st_mtime_ns for path in (run / "folds").rglob("*.parquet")}
    cross_validate(_settings(blind, run))
    assert before == {path: path.stat().st_mtime_ns for path in (run / "folds").rglob("*.parquet")}


def test_killed_and_shared_by_two_processes(straight: Path, blind: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "cross-validate", "recipes/debug.yaml", f"dataset={blind}", f"output_dir={run}", *WORDS]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def done(fold: int) -> bool:
        return (run / "folds" / f"fold{fold}" / "predictions.parquet").exists()

    process = start()
    wait_for(lambda: (run / "folds" / "fold2").exists() or process.poll() is not None, 120)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert done(1)
    assert not done(2)
    both = [start(), start()]
    for process in both:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        assert "fold 1 of 2: " not in out
        assert "kept: " in out
        assert f"Next: python -m train clean {run} dataset={blind}" in out
    assert (run / "predictions.parquet").read_bytes() == (straight / "predictions.parquet").read_bytes()


class TestBadInput:
    def _refused(self, refused: Callable[..., str], dataset: Path, run: Path, *words: str) -> str:
        return refused(
            "train", "cross-validate", ROOT / "recipes" / "debug.yaml", f"dataset={dataset}", f"output_dir={run}",
            *WORDS, *words,
        )  # fmt: skip

    def test_fewer_groups_than_folds(self, refused: Callable[..., str], blind: Path, tmp_path: Path) -> None:
        message = self._refused(refused, blind, tmp_path / "run", "folds=8")
        assert "folds=8 needs at least 8 different pictures of every class" in message
        assert "bharatanatyam has 7" in message
        assert not (tmp_path / "run").exists()

    def test_one_picture_per_dance(self, refused: Callable[..., str], blind: Path, tmp_path: Path) -> None:
        rows = load_images(str(blind)).split("train")
        firsts = [list(rows["label"]).index(number) for number in range(8)]
        (tmp_path / "few").mkdir()
        rows.select(firsts).to_parquet(tmp_path / "few" / "train.parquet")
        assert "bharatanatyam has 1, kathak has 1" in self._refused(refused, tmp_path / "few", tmp_path / "run")

    def test_an_empty_split(self, refused: Callable[..., str], blind: Path, tmp_path: Path) -> None:
        rows = load_images(str(blind)).split("train")
        (tmp_path / "empty").mkdir()
        rows.select([]).to_parquet(tmp_path / "empty" / "train.parquet")
        rows.to_parquet(tmp_path / "empty" / "test.parquet")
        message = self._refused(refused, tmp_path / "empty", tmp_path / "run")
        assert re.search('"train" corresponds to no data|no picture in train', message)

    def test_another_cross_validation(
        self, refused: Callable[..., str], straight: Path, blind: Path, tmp_path: Path
    ) -> None:
        run = shutil.copytree(straight, tmp_path / "run", ignore=shutil.ignore_patterns("said.txt"))
        message = self._refused(refused, blind, run, "epochs=2", "seed=9")
        assert "holds a cross-validation with other epochs, seed: choose another output_dir" in message

    def test_a_launcher(
        self, refused: Callable[..., str], blind: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        message = self._refused(refused, blind, tmp_path / "run")
        assert "a fold runs in one process: start python -m train cross-validate without a launcher" in message

    def test_a_stream(self, refused: Callable[..., str], blind: Path, tmp_path: Path) -> None:
        message = self._refused(refused, blind, tmp_path / "run", "streaming=true")
        assert "leave streaming away" in message

    def test_a_fold_that_fails_is_named(self, refused: Callable[..., str], blind: Path, tmp_path: Path) -> None:
        message = self._refused(refused, blind, tmp_path / "run", "max_lr=1e30", "freeze_epochs=0")
        assert message.startswith("error: fold 1 of 2: the loss became nan")


def test_a_learning_curve_can_be_asked_for_later(
    cli: Callable[..., tuple[int, str, str]], straight: Path, blind: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(straight, tmp_path / "run")
    # As after `fit` in the same folder: the curve goes into the model's report.
    (run / "recipe.yaml").touch()
    (run / "model").mkdir()
    words = [ROOT / "recipes" / "debug.yaml", f"dataset={blind}", f"output_dir={run}", *WORDS]
    code, said, err = cli("train", "cross-validate", *words, "--fractions", "0.5,1,0.25")
    assert code == 0, err
    # The whole folds are not trained again.
    begun = re.findall(r"fold \d of 2, (\d+%) of the pictures: \d+ pictures held out", said)
    assert begun == ["50%"] * 2 + ["25%"] * 2
    assert "fold 1 of 2:" not in said
    assert "Learning curve: " in said
    figures = [place / "figures" / "learning_curve.png" for place in (run, run / "model")]
    assert figures[0].read_bytes() == figures[1].read_bytes()
    curve = json.loads((run / "cross_validation.json").read_text())["learning_curve"]
    assert [point["fraction"] for point in curve["points"]] == [0.25, 0.5, 1]
    assert curve["points"][-1]["accuracy"] == pytest.approx(
        json.loads((straight / "cross_validation.json").read_text())["scores"]["kept"][-1]["accuracy"]
    )
    assert [point["pictures"] for point in curve["points"]] == [56] * 3
    sizes = [point["per_class"] for point in curve["points"]]
    assert sizes == sorted(set(sizes))
    assert (run / "predictions.parquet").read_bytes() == (straight / "predictions.parquet").read_bytes()


def test_a_curve_takes_three_points(refused: Callable[..., str], blind: Path, tmp_path: Path) -> None:
    words = [ROOT / "recipes" / "debug.yaml", f"dataset={blind}", f"output_dir={tmp_path / 'run'}", *WORDS]
    assert "a curve takes two or more below 1, found 1" in refused(
        "train", "cross-validate", *words, "fractions=0.5,1"
    )
    assert "fractions" in refused("train", "cross-validate", *words, "--fractions", "0.5,2,0.1")
