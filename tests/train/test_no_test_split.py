"""A dataset of a train split alone goes all the way, and everything that reports says that there is no test."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_card.build import build
from dataset_card.curate.splits import SplitPlan
from train.data import fingerprint, load_images
from train.fit import fit
from train.recipe import Recipe, load_settings

RECIPE = Path(__file__).parents[2] / "recipes" / "debug.yaml"
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def untested(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Such a dataset, and the folder of a model that was fitted on it."""
    folder = tmp_path_factory.mktemp("untested")
    build(photos, folder / "dances", seed=8, plan=SplitPlan(ratios={"train": 1.0}))
    words = [f"dataset={folder / 'dances'}", f"output_dir={folder / 'run'}", "validation=0.2", "seed=5"]
    fit(load_settings(Recipe, RECIPE, words))
    return folder / "dances", folder / "run" / "model"


def test_evaluate_says_what_to_do(untested: tuple[Path, Path], refused: Callable[..., str]) -> None:
    dances, model = untested
    message = refused("train", "evaluate", model, f"dataset={dances}")
    assert message == (
        f"error: {dances} has no test split (it has train, validation): judge by python -m train cross-validate, or "
        "on what chose the model with split=validation, which flatters it"
    )


def test_every_report_says_that_there_is_none(
    untested: tuple[Path, Path], cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    dances, model = untested
    code, said, _ = cli("train", "evaluate", model, f"dataset={dances}", "split=validation", "num_workers=0")
    assert code == 0
    assert "there is no test split, and validation chose the model that was kept" in said
    # The very pictures that were drawn for training are judged, and no others are taken for train.
    config = json.loads((model / "config.json").read_text())
    drawn = load_images(str(dances), validation=0.2, seed=5)
    assert config["training_data"]["validation_drawn"] == {"share": 0.2, "seed": 5}
    assert config["training_data"]["fingerprint"] == fingerprint(drawn.split("train"))
    metrics = json.loads((model / "metrics.json").read_text())["validation"]
    assert metrics["fingerprint"] == fingerprint(drawn.split("validation"))
    assert metrics["accuracy"] == pytest.approx(config["validation"]["accuracy"])
    assert "has been built anew" not in caplog.text
    assert json.loads((model / "metrics.json").read_text())["validation"]["has_test"] is False
    assert "The dataset has no test split: no figure here" in (model / "README.md").read_text()
    page = (model / "report" / "validation.html").read_text()
    assert "<strong>There is no test split.</strong>" in page
    # The examples that the page offers are of validation then.
    assert len(json.loads((model / "examples" / "examples.json").read_text())) == 8
