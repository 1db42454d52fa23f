"""What a stage hands on to the next one, what is averaged, and when losses are read."""

from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from tests.train.conftest import interrupted_after
from train.checkpoint import Checkpoint
from train.fit import fit
from train.processes import make_accelerator
from train.recipe import Recipe, load_settings
from train.run_folder import RunFolder
from train.trainer import DivergedError, Trainer


def _recipe(dataset: Path, output: Path, *words: str) -> Recipe:
    return load_settings(
        Recipe, ROOT / "recipes" / "debug.yaml", [f"dataset={dataset}", f"output_dir={output}", "epochs=1", *words]
    )


def _checkpoint(run: RunFolder, name: str):
    newest = Checkpoint.newest(run.checkpoints)
    assert newest is not None
    assert newest.name == name
    return newest


def test_stage_2_begins_with_the_weights_that_stage_1_was_judged_by(dataset_folder: Path, tmp_path: Path) -> None:
    words = ("ema_decay=0.5", "wise_ft=0.5")
    with interrupted_after("stage1-epoch001"):
        fit(_recipe(dataset_folder, tmp_path / "run", *words))
    first = _checkpoint(RunFolder(tmp_path / "run"), "stage1-epoch001")
    run = fit(_recipe(dataset_folder, tmp_path / "run", *words, "resume_from_checkpoint=true"))
    second = _checkpoint(run, "stage2-epoch001")
    # What is averaged in stage 2 is what it began with.
    assert all(torch.equal(second.start[name], tensor) for name, tensor in first.ema.items())
    assert not torch.equal(second.start["fc.weight"], first.model["fc.weight"])


@pytest.mark.parametrize("frozen", [True, False])
def test_averaged_weights_have_statistics_of_their_own(dataset_folder: Path, tmp_path: Path, frozen: bool) -> None:
    run = fit(_recipe(dataset_folder, tmp_path / "run", "wise_ft=0.5", "patience=9", f"freeze_batchnorm={frozen}"))
    last, kept = _checkpoint(run, "stage2-epoch001"), run.load_best()
    if run_stage_of_best(run) == 1:
        pytest.fail("the average should be kept, so that there is something to look at")
    name = next(name for name in kept if name.endswith("running_mean"))
    between = torch.lerp(last.start[name], last.model[name], 0.5)
    assert torch.allclose(kept[name], between, atol=1e-6) == frozen


def run_stage_of_best(run: RunFolder) -> int:
    checkpoint = Checkpoint.newest(run.checkpoints)
    assert checkpoint is not None
    assert checkpoint.history.best is not None
    return checkpoint.history.best.stage


def test_the_loss_scaler_goes_on_at_a_stage_boundary(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_scaler(*words: object, **settings: object):
        accelerator = make_accelerator(*words, **settings)
        # As for fp16 on a GPU.
        accelerator.scaler = torch.amp.GradScaler("cpu", growth_interval=4)
        return accelerator

    monkeypatch.setattr("train.trainer.make_accelerator", with_scaler)
    straight = _checkpoint(fit(_recipe(dataset_folder, tmp_path / "straight")), "stage2-epoch001")
    with interrupted_after("stage1-epoch001"):
        fit(_recipe(dataset_folder, tmp_path / "run"))
    resumed = fit(_recipe(dataset_folder, tmp_path / "run", "resume_from_checkpoint=true"))
    assert _checkpoint(resumed, "stage2-epoch001").scaler == straight.scaler


def test_losses_that_are_read_many_at_once_are_the_same(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = _checkpoint(fit(_recipe(dataset_folder, tmp_path / "one", "epochs=0")), "stage1-epoch001")
    build = Trainer.__init__

    def patient(self: Trainer, *words: object) -> None:
        build(self, *words)
        self.steps_per_reading = 4

    monkeypatch.setattr(Trainer, "__init__", patient)
    many = _checkpoint(fit(_recipe(dataset_folder, tmp_path / "many", "epochs=0")), "stage1-epoch001")
    assert many.history.losses == one.history.losses
    words = ("epochs=0", "freeze_max_lr=1e38")
    with pytest.raises(DivergedError, match=r"the loss became nan \(stage 1, epoch 1/1, step 3,") as late:
        fit(_recipe(dataset_folder, tmp_path / "diverged", *words))
    monkeypatch.undo()
    with pytest.raises(DivergedError, match="the loss became nan") as at_once:
        fit(_recipe(dataset_folder, tmp_path / "at_once", *words))
    assert str(late.value) == str(at_once.value)
