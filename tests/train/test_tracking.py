import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from train.fit import fit
from train.recipe import Recipe, load_settings
from train.setup import TrackerError, check_tracker

DEBUG = Path(__file__).parents[2] / "recipes" / "debug.yaml"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_every_step_and_every_epoch(dataset_folder: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", "tracker=tensorboard"]
    run = fit(load_settings(Recipe, DEBUG, words))
    log = EventAccumulator(str(run.path / "logs" / "nritya"))
    log.Reload()
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    # 48 pictures in batches of 8, three epochs.
    assert [event.step for event in log.Scalars("step/loss")] == list(range(1, 19))
    seen = [event.value for event in log.Scalars("epoch/validation_loss")]
    assert seen == pytest.approx([record["validation_loss"] for record in records])
    assert [event.step for event in log.Scalars("epoch/validation_loss")] == [6, 12, 18]


def test_a_missing_package_is_one_line(refused: Callable[..., str], dataset_folder: Path, tmp_path: Path) -> None:
    assert find_spec("clearml") is None, "the test needs a tracker that is not installed"
    words = [f"dataset={dataset_folder}", f"output_dir={tmp_path / 'run'}", "tracker=clearml"]
    message = refused("train", "fit", DEBUG, *words)
    assert message == "error: tracker=clearml needs a package that is not installed: pip install clearml"
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_names_the_known_ones() -> None:
    with pytest.raises(TrackerError, match=r"no tracker 'excel': accelerate has .*tensorboard, trackio, wandb"):
        check_tracker("excel")
