from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from benchmarks import unlike


def _rows(said: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in said.splitlines() if line.startswith("| ")]
    return {name: cells for name, *cells in lines}


def test_every_score_is_judged_with_a_frozen_backbone(
    photos: Path, dataset_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = timm.create_model("test_resnet", num_classes=0)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    words = ["--weights", tmp_path / "weights.safetensors", "--architecture", "test_resnet", "--size", 64]
    unlike.main([str(dataset_folder), *map(str, words), "--clutter", "7", "--others", str(photos / "odissi")])
    rows = _rows(capsys.readouterr().out)
    head = rows.pop("score")
    assert head[0] == "odissi (8): AUROC"
    assert [cell for cell in head if cell != "refused"] == [
        "odissi (8): AUROC",
        "clutter (7): AUROC",
        "a dance left out: AUROC",
        "false alarms of 64",
    ]
    assert list(rows) == [
        "highest probability", "energy", "Mahalanobis", "nearest", "5th nearest", "mean of 5 nearest",
        "mean of half a class", "mean of 50 nearest", "nearest class mean",
    ]  # fmt: skip
    for cells in rows.values():
        assert all(0 <= float(cells[place]) <= 1 for place in (0, 2, 4))
        # Nine validation pictures promise no threshold: nothing is refused.
        assert cells[1] == cells[3] == cells[5] == "0%"
        assert cells[6].startswith("0.0% (0.0%")


def test_a_model_keeps_its_classifier_and_its_splits(
    comparing_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dances = comparing_folder.parent.parent / "dances"
    unlike.main([str(dances), "--model", str(comparing_folder), "--clutter", "7"])
    rows = _rows(capsys.readouterr().out)
    assert rows["score"] == ["clutter (7): AUROC", "refused", "false alarms of 8"]
    assert len(rows) == 10
