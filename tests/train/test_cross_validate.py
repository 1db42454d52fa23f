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
import pytest
import yaml

from figures import Figure
from tests.conftest import ROOT, wait_for
from tests.train.conftest import interrupted_after, with_sources
from train.cross_validate import CrossValidation, CrossValidationError, cross_validate
from train.data import load_images
from train.predictions import FOLDS, read_predictions
from train.recipe import Recipe, cross_validate_command, load_settings

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
    result = cross_validate(_settings(blind, run))
    run.with_name("summary.txt").write_text(result.summary())
    return run


def test_a_source_is_left_out_at_a_time(dataset_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    dances = with_sources(dataset_folder, tmp_path / "from_two_sources", ["commons", "flickr"])
    settings, model = _settings(dances, tmp_path / "run", "folds=source"), tmp_path / "run" / "model"
    # The run has a model by the same recipe, and folds that were drawn.
    shutil.copytree(model_folder, model)
    for file in (model.parent / "recipe.yaml", model / "recipe.yaml"):
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json", include=set(Recipe.model_fields))))
    (model.parent / "folds").mkdir()
    (model.parent / "folds" / "settings.json").write_text("{}")
    result = cross_validate(settings)
    pictures = load_images(str(dances))
    source_of = {
        sha256: source
        for name in ("train", "validation")
        for sha256, source in zip(pictures.splits[name]["sha256"], pictures.splits[name]["source"], strict=True)
    }
    answers = result.predictions
    assert [["commons", "flickr"][fold - 1] for fold in answers.folds] == [source_of[name] for name in answers.sha256]
    kept, first = result.scores["kept"], result.scores["stage 1"]
    assert [score.fold for score in kept] == ["commons", "flickr", None]
    mean, mean_before = (sum(score.accuracy for score in scores[:2]) / 2 for scores in (kept, first))
    text = result.summary()
    assert re.search(r"^source +pictures +stage 1: accuracy", text, re.M)
    assert re.search(rf"^flickr +{kept[1].pictures} ", text, re.M)
    assert "each judged by a model that learned from another source only (95 % interval over groups" in text
    assert f"; mean of the 2: {mean:.1%}\n" in text
    assert result.gain is not None
    assert result.gain.value == pytest.approx(kept[-1].accuracy - first[-1].accuracy)
    assert f"stage 2: {100 * result.gain.value:+.1f} points over stage 1 (95 % interval over groups" in text
    assert text.endswith(f"; mean of the 2: {100 * (mean - mean_before):+.1f}")
    facts = json.loads((tmp_path / "run" / "cross_validation-source.json").read_text())
    assert facts["folds"] == "source"
    assert [row.get("fold") for row in facts["scores"]["kept"]] == ["commons", "flickr", None]
    card = (model / "README.md").read_text()
    assert f"**On pictures of another source than those it has learned from, {kept[-1].accuracy:.1%} are" in card
    # Of a model by another recipe it tells nothing.
    shutil.copytree(model_folder, model, dirs_exist_ok=True)
    assert cross_validate(settings).scores == result.scores
    assert "another source" not in (model / "README.md").read_text()


def test_every_picture_but_those_of_test_is_answered_once(straight: Path, blind: Path) -> None:
    answers = read_predictions(straight / "predictions.parquet", FOLDS)
    splits = load_images(str(blind)).splits
    expected = {(sha256, split) for split in ("train", "validation") for sha256 in splits[split]["sha256"]}
    answered = list(zip(answers.sha256, answers.splits, strict=True))
    assert set(answered) == expected
    assert len(answered) == len(expected)
    assert set(answers.folds.tolist()) == {1, 2}
    facts = {
        sha256: (label, group)
        for rows in splits.values()
        for sha256, label, group in zip(rows["sha256"], rows["label"], rows["group"], strict=True)
    }
    described = list(zip(answers.labels.tolist(), answers.groups, strict=True))
    assert described == [facts[sha256] for sha256 in answers.sha256]


def test_no_model_answers_for_what_it_learned_from(straight: Path, blind: Path) -> None:
    # A fold's run notes the fingerprints of what it saw.
    from train.data import fingerprint
    from train.folds import make_folds, pool

    pictures = pool(load_images(str(blind)))
    folds = make_folds(pictures.labels, pictures.groups, pictures.images.label_names, 2, 8)
    answers = read_predictions(straight / "predictions.parquet", FOLDS)
    for number, fold in enumerate(folds, start=1):
        held_out = [answers.sha256[row] for row in np.flatnonzero(answers.folds == number)]
        assert held_out == [pictures.sha256[index] for index in fold.held_out]
        data = json.loads((straight / "folds" / f"fold{number}" / "data.json").read_text())
        assert data["train"] == fingerprint(pictures.rows.select(fold.train))
        assert data["validation"] == fingerprint(pictures.rows.select(fold.validation))


def test_the_table_and_the_file_say_the_same(straight: Path) -> None:
    facts = json.loads((straight / "cross_validation.json").read_text())
    lines = straight.with_name("summary.txt").read_text().splitlines()
    assert lines[0].split() == [
        "fold", "pictures", "stage", "1:", "accuracy", "macro", "F1", "kept:", "accuracy", "macro", "F1",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "all"]
    assert set(facts["scores"]) == {"stage 1", "kept"}
    right = read_predictions(straight / "predictions.parquet", FOLDS).right
    total = facts["scores"]["kept"][-1]
    assert total["pictures"] == len(right) == 56
    assert total["accuracy"] == pytest.approx(right.mean())
    assert total["accuracy_interval"][0] < right.mean() < total["accuracy_interval"][1]
    assert f"kept: {right.mean():.1%} of 56 pictures right" in lines[-2]


def test_what_it_returns_is_at_hand_in_a_notebook(straight: Path, blind: Path) -> None:
    settings = _settings(blind, straight)
    # Nothing is left to train.
    result = cross_validate(Recipe(**settings.model_dump(include=set(Recipe.model_fields))), folds=2)
    assert repr(result) == (
        f"CrossValidationResult({straight}: accuracy {result.accuracy:.1%} of 56 pictures, "
        f"macro F1 {result.macro_f1:.3f})"
    )
    assert result.predictions.right.mean() == result.accuracy
    assert result.summary() == straight.with_name("summary.txt").read_text()
    assert "kept: " in result._repr_html_()
    with pytest.raises(CrossValidationError, match="there is no learning curve: cross-validate with fractions="):
        result.plot_learning_curve()


def test_only_what_counts_is_left(straight: Path) -> None:
    assert {path.name for path in straight.iterdir()} == {
        "predictions.parquet", "cross_validation.json", "folds",
    }  # fmt: skip
    assert not list(straight.rglob("*.safetensors"))


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

    def test_folds_by_what_is_not_there(self, blind: Path, refused: Callable[..., str], tmp_path: Path) -> None:
        words = ["train", "cross-validate", "recipes/debug.yaml", f"dataset={blind}", f"output_dir={tmp_path / 'run'}"]
        assert "there is no column mood: choose one of label, sha256, group" in refused(*words, "folds=mood")
        assert "folds=1: should be 2 or more, or a column of the dataset such as source" in refused(*words, "folds=1")
        assert not (tmp_path / "run").exists()

    def test_another_cross_validation(
        self, refused: Callable[..., str], straight: Path, blind: Path, tmp_path: Path
    ) -> None:
        run = shutil.copytree(straight, tmp_path / "run")
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

    def test_a_model_that_has_learned_the_pictures(
        self, refused: Callable[..., str], blind: Path, model_folder: Path, tmp_path: Path
    ) -> None:
        # Every fold would start from it.
        run = tmp_path / "run"
        message = self._refused(refused, blind, run, f"init_from={model_folder}")
        assert message.endswith(
            f"init_from={model_folder}: that model may have learned the pictures that a fold is judged on, and its "
            "score would be too good; add init_from=none to start from pretrained weights"
        )
        best = tmp_path / "other" / "checkpoints" / "best.safetensors"
        best.parent.mkdir(parents=True)
        for file in ("recipe.yaml", "data.json", "checkpoints/best.safetensors"):
            (tmp_path / "other" / file).touch()
        for weights in (model_folder / "model.safetensors", best):
            assert f"weights={weights}: that model may have learned" in self._refused(
                refused, blind, run, f"weights={weights}"
            )
        assert not run.exists()
        # Weights of another make lie in no such folder.
        assert _settings(blind, run, f"weights={tmp_path / 'backbone.safetensors'}").weights

    def test_what_is_recommended_for_a_run_that_began_from_a_model_is_taken(
        self, blind: Path, model_folder: Path, tmp_path: Path
    ) -> None:
        recipe, words = tmp_path / "recipe.yaml", [f"output_dir={tmp_path}", f"dataset={blind}"]
        values = load_settings(Recipe, ROOT / "recipes" / "debug.yaml", [*words, f"init_from={model_folder}"]).values()
        recipe.write_text(yaml.safe_dump(values))
        command = cross_validate_command(recipe, tmp_path, str(blind))
        assert command == f"python -m train cross-validate {recipe} {' '.join(words)} init_from=none"
        settings = load_settings(CrossValidation, recipe, command.split()[5:])
        assert (settings.init_from, settings.epochs) == (None, values["epochs"])

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
    line = (
        r"fold (\d) of 2, (\d+%) of the pictures: \d+\.\d% of \d+ pictures right, in [\d:]+(; \d to go, about [\d:]+)?"
    )
    assert [(fold, part, bool(ahead)) for fold, part, ahead in re.findall(line, said)] == [
        ("1", "50%", True), ("2", "50%", True), ("1", "25%", True), ("2", "25%", False),
    ]  # fmt: skip
    assert "fold 1 of 2:" not in said
    assert "Learning curve: " in said
    # A line per fold, the table, a sentence on each model and on the gain, the curve, and the next command.
    assert len(said.splitlines()) == 4 + 4 + 3 + 1 + 1, said
    again = cross_validate(_settings(blind, run, "fractions=0.25,0.5"))
    assert isinstance(again.plot_learning_curve(), Figure)
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
