import csv
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import datasets
import pytest

from dataset_card.build import build
from tests.conftest import write_doubts
from train.data import load_images
from train.predictions import FOLDS, read_predictions, write_predictions

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(dataset_folder: Path, tmp_path: Path) -> Path:
    """A run with out-of-fold predictions on `dataset_folder`."""
    write_doubts(dataset_folder, tmp_path / "run")
    return tmp_path / "run"


def _clean(run: Path, dataset: Path, *words: str) -> list[object]:
    return ["train", "clean", run, f"dataset={dataset}", "--no-browser", *words]


def test_the_list_has_train_and_validation_and_nothing_of_test(cli: Run, dataset_folder: Path, tmp_path: Path) -> None:
    doubted = write_doubts(dataset_folder, tmp_path / "run")
    code, out, err = cli(*_clean(tmp_path / "run", dataset_folder))
    assert code == 0, err
    with (tmp_path / "run" / "label_issues.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    splits = load_images(str(dataset_folder)).splits
    expected = {(sha256, split) for split in ("train", "validation") for sha256 in splits[split]["sha256"]}
    assert {(line["sha256"], line["split"]) for line in lines} == expected
    assert not {line["sha256"] for line in lines} & set(splits["test"]["sha256"])
    assert [line["sha256"] for line in lines[: len(doubted)]] == doubted
    names = splits["train"].features["label"].names
    assert all(names.index(line["suggested"]) == (names.index(line["label"]) + 1) % 8 for line in lines[:5])
    assert f"{lines[0]['sha256'][:12]}  {lines[0]['split']}" in out
    assert "56 pictures of train and validation, the most doubtful label first" in out
    assert re.search(r"By cleanlab's estimate [5-9] labels are wrong\.", out)
    # No decision was made, and nothing else was written.
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"predictions.parquet", "label_issues.csv"}


def test_what_was_deleted_is_still_known(cli: Run, photos: Path, tmp_path: Path) -> None:
    doubted = write_doubts(_built(photos, tmp_path), tmp_path / "previous")
    corrections = tmp_path / "corrections.csv"
    corrections.write_text(f"sha256,action,label\n{doubted[0]},delete,\n")
    dances = _built(photos, tmp_path, corrections)
    write_doubts(dances, tmp_path / "run")
    code, _, err = cli(*_clean(tmp_path / "run", dances, f"corrections={corrections}"))
    assert code == 0, err


def _built(photos: Path, folder: Path, corrections: Path | None = None) -> Path:
    build(photos, folder / "dances", seed=8, corrections=corrections)
    return folder / "dances"


class TestBadInput:
    def test_a_run_without_out_of_fold_predictions(
        self, refused: Callable[..., str], dataset_folder: Path, tmp_path: Path
    ) -> None:
        command = f"python -m train cross-validate RECIPE output_dir={tmp_path} dataset={dataset_folder}"
        assert refused(*_clean(tmp_path, dataset_folder)).endswith(
            f"has no out-of-fold predictions: make them with {command}"
        )
        # What a run of `fit` was trained by is a recipe, but for the model that it began from.
        (tmp_path / "recipe.yaml").write_text("init_from: runs/zero/model\n")
        assert refused(*_clean(tmp_path, dataset_folder)).endswith(
            f"train cross-validate {tmp_path / 'recipe.yaml'} output_dir={tmp_path} dataset={dataset_folder} "
            "init_from=none"
        )
        write_doubts(dataset_folder, tmp_path / "other")
        judged = read_predictions(tmp_path / "other" / "predictions.parquet", FOLDS)
        write_predictions(tmp_path / "predictions.parquet", replace(judged, folds=0 * judged.folds))
        assert "has no out-of-fold predictions: " in refused(*_clean(tmp_path, dataset_folder))

    def test_predictions_that_do_not_fit(
        self, refused: Callable[..., str], run: Path, dataset_folder: Path, photos: Path, tmp_path: Path
    ) -> None:
        rows = load_images(str(dataset_folder)).split("train")
        gone, other = rows["sha256"][:2]
        corrections = tmp_path / "corrections.csv"
        corrections.write_text(f"sha256,action,label\n{gone},delete,\n{other},relabel,{_another(rows, 1)}\n")
        dances = shutil.copytree(dataset_folder, tmp_path / "dances")
        build(photos, dances, seed=8, corrections=corrections)
        message = refused(*_clean(run, dances))
        assert (
            "(0 of 55 have no answer, 1 had another label, 1 answers are to pictures that are not there): make them "
            f"anew with python -m train cross-validate RECIPE output_dir=NEW_RUN dataset={dances}"
        ) in message

    def test_predictions_about_other_classes(
        self, refused: Callable[..., str], run: Path, dataset_folder: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "others"
        folder.mkdir()
        rows = datasets.load_dataset(str(dataset_folder), split="train")
        names = [*rows.features["label"].names[:-1], "tango"]
        rows.cast_column("label", datasets.ClassLabel(names=names)).to_parquet(folder / "train.parquet")
        assert "predictions are about bharatanatyam, kathak" in refused(*_clean(run, folder))

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{sha256},relabel,tango", "line 2: 'tango' is none of the classes: use one of bharatanatyam, kathak"),
            ("{unknown},delete,", "decides about 1 pictures that"),
            ("nothing,delete,", "line 2: 'nothing' is no sha256 of 64 hex digits"),
        ],
    )
    def test_corrections_with_unknown_labels_or_hashes(
        self, refused: Callable[..., str], run: Path, dataset_folder: Path, line: str, message: str
    ) -> None:
        sha256 = load_images(str(dataset_folder)).split("train")["sha256"][0]
        (run / "corrections.csv").write_text(f"sha256,action,label\n{line.format(sha256=sha256, unknown='0' * 64)}\n")
        assert message in refused(*_clean(run, dataset_folder))
        assert not (run / "label_issues.csv").exists()


def _another(rows: datasets.Dataset, index: int) -> str:
    names = rows.features["label"].names
    return names[(rows["label"][index] + 1) % len(names)]
