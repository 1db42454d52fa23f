"""The road on real photographs. They and the weights are not ours to publish, so they lie beside the repository."""

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from dataset_card.build import build
from dataset_card.check import check
from demo.models.model import load_model
from tests.conftest import ROOT, SHARED
from train.evaluate import Evaluation, evaluate
from train.fit import fit
from train.recipe import Recipe, load_settings

pytestmark = pytest.mark.shared


def test_from_photographs_to_an_answer(tmp_path: Path) -> None:
    report = build(SHARED / "data" / "dances", tmp_path / "dances", seed=8)
    rows = report.curated.rows
    assert report.curated.rejected.empty
    assert len(rows) == 291
    assert Counter(rows["group"].value_counts()) == {1: 205, 2: 43}
    tested = rows[rows["split"] == "test"]
    # What is built has no fault but licences that nobody knows.
    found = check(str(tmp_path / "dances")).ended("FOUND")
    assert [(area, result.name, result.count) for area, result in found] == [("licences", "licence", 291)]

    weights = SHARED / "pretrained" / "resnet34-tiny-imagenet.safetensors"
    words = [
        f"dataset={tmp_path / 'dances'}", f"output_dir={tmp_path / 'run'}", f"weights={weights}",
        "image_size=64", "freeze_epochs=2", "epochs=0", "batch_size=16",
    ]  # fmt: skip
    run = fit(load_settings(Recipe, ROOT / "recipes" / "resnet34.yaml", words))
    # Nobody knows their licences: none of them goes along with the model.
    assert not (run.model / "examples").exists()
    metrics = evaluate(str(run.model), Evaluation(dataset=str(tmp_path / "dances")))
    assert metrics["pictures"] == len(tested)

    model = load_model(str(run.model))
    assert not model.drawings
    with Image.open(SHARED / "data" / "dances" / tested["file"].iloc[0]) as picture:
        probs = model.answer(picture.convert("RGB")).probs
    assert probs.sum() == pytest.approx(1)
