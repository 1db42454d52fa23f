import json
from pathlib import Path

import pytest

from benchmarks.quality import fold_parts, read, table


def test_every_picture_is_judged_once_and_no_group_parts() -> None:
    labels = [number % 4 for number in range(120)]
    groups = [f"g{number // 8}-{number % 4}" for number in range(120)]
    parts = fold_parts(labels, groups, 5, seed=8)
    assert sorted(index for part in parts for index in part["test"]) == list(range(120))
    for part in parts:
        of = {split: {groups[index] for index in indices} for split, indices in part.items()}
        assert sum(map(len, of.values())) == len(set(groups))
        assert sum(map(len, part.values())) == 120
        assert {labels[index] for index in part["validation"]} == {0, 1, 2, 3}
    assert fold_parts(labels, groups, 5, seed=8) == parts


def _line(fold: int, side: str, truth: list[int], answers: list[int]) -> dict[str, object]:
    return {"fold": fold, "side": side, "settings": {"size": "32"}, "truth": truth, "answers": answers}


def test_the_table_counts_what_both_sides_have_answered() -> None:
    truth = [0, 1] * 50
    done = {
        (0, "ours"): _line(0, "ours", truth, truth),
        (0, "fastai"): _line(0, "fastai", truth, [0] * 100),
        (1, "ours"): _line(1, "ours", truth, truth),
    }
    lines = table(done, 5).splitlines()
    assert lines[2] == "| fold 1 | 100 | 100.0% | 50.0% | +50.0 |"
    # Wilson 1927, by hand: 100 of 100, and 50 of 100.
    assert lines[3].startswith("| accuracy, % | 100 | 100.0 (96.3 – 100.0) | 50.0 (40.4 – 59.6) | +50.0 (+")
    assert lines[4].startswith("| macro F1, % | 100 | 100.0 (100.0 – 100.0) | 33.3 (")


def test_a_run_goes_on_only_with_its_own_settings(tmp_path: Path) -> None:
    file = tmp_path / "folds.jsonl"
    assert read(file, {}) == {}
    file.write_text(json.dumps(_line(3, "ours", [0], [1])) + "\n")
    assert list(read(file, {"size": "32"})) == [(3, "ours")]
    with pytest.raises(SystemExit, match="folds with other settings: choose another --work"):
        read(file, {"size": "64"})
