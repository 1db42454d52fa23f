from pathlib import Path

import datasets
import pytest

from benchmarks.evaluate import main, table, write_dataset


def test_both_sides_run_and_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--pictures", "40", "--width", "48", "--size", "32", "--architecture", "test_resnet", "--rounds", "1"]
    main([*words, "--batch-size", "16", "--steps", "2", "--workers", "0", "--work", str(tmp_path / "work")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("40 JPEGs of 48 px, ")
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["pictures/s", "whole command, s", "peak memory, MB"]


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    rounds = [
        {
            "bare": {"images_per_second": 10.0 * slow},
            "evaluate": {"images_per_second": 9.0 * slow + more, "seconds": 5.0, "peak_mb": 1000.0 + more},
        }
        for slow, more in ((1, 0), (2, 1), (3, 9))
    ]
    assert table(rounds).splitlines()[2:] == [
        "| pictures/s | 19.0 | 20.0 | 0.950 |",
        "| whole command, s | 5 | | |",
        "| peak memory, MB | 1,009 | | |",
    ]


def test_the_drawn_dataset_is_one(tmp_path: Path) -> None:
    assert 500 < write_dataset(tmp_path / "dances", 9, 48) < 5000
    rows = datasets.load_dataset(str(tmp_path / "dances"), split="test")
    assert len(set(rows["sha256"])) == len(rows) == 9
    assert rows[8]["image"].size == (48, 36)
    assert rows.features["label"].names[rows[1]["label"]] == "kathak"
