import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import export_fold, ours, parse, pooled_dataset, read, table, words_of
from benchmarks.regression import regression
from train.data import load_images
from train.folds import Fold, pool
from train.recipe import Recipe, load_settings


def test_the_table_has_every_side_and_what_ours_is_ahead() -> None:
    truth = [[0, 1] * 40, [0, 1] * 10]
    answers = {"ours, stage 1": [[1, 0] * 40, [0, 1] * 10], "ours": truth, "fastai": [[0] * 80, [0, 1] * 10]}
    groups = [[f"a{number}" for number in range(80)], [f"b{number}" for number in range(20)]]
    lines = table(answers, truth, groups, ["fold 1", "fold 2"]).splitlines()
    assert lines[0] == "| | pictures | ours, stage 1 | ours | fastai | ours − fastai |"
    assert lines[2] == "| fold 1 | 80 | 0.0% | 100.0% | 50.0% | +50.0 |"
    # Wilson 1927, by hand: 20, 100 and 60 of 100.
    expected = "| accuracy, % | 100 | 20.0 (13.3 – 28.9) | 100.0 (96.3 – 100.0) | 60.0 (50.2 – 69.1) | +40.0 (+"
    assert lines[4].startswith(expected)
    assert "| 100.0 (100.0 – 100.0) |" in lines[5]
    alone = table({"ours": truth}, truth, groups, ["commons", "flickr"]).splitlines()
    assert alone[0] == "| | pictures | ours |"
    assert alone[2] == "| commons | 80 | 100.0% |"
    # Beside the better of several.
    several = answers | {"fastai, cropped": [[0, 1] * 40, [1, 0] * 10]}
    lines = table(several, truth, groups, ["fold 1", "fold 2"]).splitlines()
    assert lines[0].endswith("| fastai | fastai, cropped | ours − fastai, cropped |")
    assert lines[2].endswith("| 50.0% | 100.0% | +0.0 |")


def test_near_duplicates_are_one_witness() -> None:
    truth, answers = [[0] * 50 + [1] * 50], {"ours": [[0] * 100], "fastai": [[1] * 100]}
    many = table(answers, truth, [[str(number) for number in range(100)]], ["fold 1"]).splitlines()[-2]
    two = table(answers, truth, [["a"] * 50 + ["b"] * 50], ["fold 1"]).splitlines()[-2]
    assert "+0.0 (-100.0 – +100.0)" in two
    assert "+0.0 (-100.0 – +100.0)" not in many


def _options(dataset: Path, work: Path, *words: str) -> argparse.Namespace:
    place = ["--dataset", str(dataset), "--work", str(work)]
    return parse(
        [
            *place,
            "--architecture",
            "test_resnet",
            "--size",
            "32",
            "--recipe",
            "recipes/debug.yaml",
            "--workers",
            "0",
            *words,
        ]
    )


def test_all_pictures_are_pooled_and_our_side_is_a_cross_validation(dataset_folder: Path, tmp_path: Path) -> None:
    options = _options(dataset_folder, tmp_path, "--folds", "3", "--epochs", "1", "--batch-size", "8")
    pooled = load_images(str(pooled_dataset(options)), validation=0)
    source = load_images(str(dataset_folder))
    assert len(pooled.split("train")) == sum(len(source.split(split)) for split in ("train", "validation", "test"))
    found = ours(options, pool(pooled).folds(3, options.seed), pooled_dataset(options))
    assert list(found) == ["ours, stage 1", "ours"]
    assert sum(map(len, found["ours"])) == len(pooled.split("train"))


def test_stage_1_answers_as_logistic_regression_does(dataset_folder: Path, tmp_path: Path) -> None:
    settings = ["feature_views=2", "feature_l2=1", "freeze_epochs=200", "freeze_max_lr=1e-1"]
    options = _options(dataset_folder, tmp_path, "--folds", "2", "--epochs", "0", "--set", *settings)
    dataset = pooled_dataset(options)
    pictures = pool(load_images(str(dataset), validation=0))
    folds = pictures.folds(2, options.seed)
    recipe = load_settings(Recipe, options.recipe, [*words_of(options, dataset), "output_dir=unused"])
    expected = np.concatenate(regression(recipe, pictures, folds))
    found = ours(options, folds, dataset)
    assert list(found) == ["ours"]
    # Of eight classes, between which random weights hardly tell: answers by chance would be the same on 13 %.
    assert (np.concatenate(found["ours"]) == expected).mean() >= 0.65


def test_a_run_goes_on_only_with_its_own_settings(tmp_path: Path) -> None:
    file = tmp_path / "fastai.jsonl"
    assert read(file, {}) == {}
    file.write_text(json.dumps({"fold": 3, "settings": {"size": "32"}, "answers": [1]}) + "\n")
    assert read(file, {"size": "32"}) == {3: [1]}
    with pytest.raises(SystemExit, match="folds with other settings: choose another --work"):
        read(file, {"size": "64"})


def test_a_fold_by_a_column_is_exported_in_place_of_the_last(dataset_folder: Path, tmp_path: Path) -> None:
    pictures = pool(load_images(str(dataset_folder)))
    for fold in (Fold([0, 1], [2], [3, 4], "commons"), Fold([5], [6], [7, 8], "flickr")):
        export_fold(pictures, fold, tmp_path / "fold")
    files = list((tmp_path / "fold").glob("*/*/*"))
    held_out = sorted((path for path in files if path.parts[-3] == "held_out"), key=lambda path: path.stem)
    names = pictures.images.label_names
    assert [path.parent.name for path in held_out] == [names[pictures.labels[index]] for index in (7, 8)]
    assert len(files) == 4
