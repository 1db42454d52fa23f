import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fit import parse, sides, table
from benchmarks.sides import export_images, run_side
from tests.conftest import ROOT
from train.data import image_bytes, load_images
from train.hardware import Hardware


def _side(stage1: float, epoch: float, rate: float, peak: float, accuracy: float) -> dict[str, Any]:
    return {
        "first_step": 5.0,
        "stages": {
            "1": {"seconds": stage1, "epochs": [1.0], "images_per_second": 9.0},
            "2": {"seconds": 9.0, "epochs": [epoch], "images_per_second": rate},
        },
        "peak_mb": peak,
        "validation_accuracy": accuracy,
    }


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    rounds = [
        {
            "fastai": _side(stage1, 30, 5, 1200, 0.5),
            "ours": _side(10, 20, 9, 1000, 0.5),
            "cached": _side(5, 20, 9, 1000, 0.6),
            "bare, same settings": {"images_per_second": 10.0, "peak_mb": 1.0},
            "bare, torch's defaults": {"images_per_second": 5.0, "peak_mb": 1.0},
        }
        for stage1 in (30, 40, 70)
    ]
    lines = table(rounds, parse(["dances"])).splitlines()
    assert lines[2] == "| stage 1, 4 epochs, s | 10.0 | fastai | 40.0 | 4.00 |"
    assert lines[3].endswith("| 5.0 | fastai | 40.0 | 8.00 |")
    assert lines[4] == "| unfrozen epoch, s | 20.0 | fastai | 30.0 | 1.50 |"
    assert lines[5] == "| unfrozen, pictures/s | 9.0 | bare, same settings | 10.0 | 0.90 |"
    assert lines[6] == "| unfrozen, pictures/s | 9.0 | bare, torch's defaults | 5.0 | 1.80 |"
    assert lines[8] == "| peak memory, MB | 1000.0 | fastai | 1200.0 | 1.20 |"
    alone = table([{name: side for name, side in done.items() if name != "fastai"} for done in rounds], parse(["d"]))
    assert "fastai" not in alone
    assert "| bare, same settings |" in alone


def test_our_side_and_the_bare_one_answer_with_what_the_table_needs(dataset_folder: Path, tmp_path: Path) -> None:
    words = [str(dataset_folder), "--size", "32", "--batch-size", "8", "--workers", "0", "--views", "1"]
    options = parse([*words, "--freeze-epochs", "1", "--passes", "2", "--architecture", "test_resnet"])
    commands = sides(options, Hardware("no", False), None, tmp_path)
    assert list(commands) == ["ours", "bare, same settings", "bare, torch's defaults", "cached"]
    done = {name: run_side(command, tmp_path / "log") for name, command in commands.items()}
    assert list(done["ours"]["stages"]) == ["1", "2"]
    assert list(done["cached"]["stages"]) == ["1"]
    assert len(done["cached"]["stages"]["1"]["epochs"]) == 2
    assert table([done], options).count("\n") == 4


def test_a_side_that_fails_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)ended with 1:\n.*ZeroDivisionError"):
        run_side([sys.executable, "-c", "1 / 0"], tmp_path / "log")


def test_files_are_exported_byte_for_byte(dataset_folder: Path, tmp_path: Path) -> None:
    rows = load_images(str(dataset_folder)).split("validation")
    export_images(rows, tmp_path)
    files = sorted(tmp_path.rglob("*.*"), key=lambda path: path.stem)
    assert len(files) == len(rows)
    assert [path.parent.name for path in files] == [rows.features["label"].names[label] for label in rows["label"]]
    undecoded = rows.with_format("arrow")[0]["image"][0].as_py()
    assert files[0].read_bytes() == image_bytes(undecoded)


def test_help_says_what_is_compared() -> None:
    for script, said in (("fit", "take turns"), ("quality", "judged once by each side")):
        answer = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{script}", "--help"],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert said in answer.stdout.replace("\n", " ")
