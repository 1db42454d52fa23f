from pathlib import Path

import pytest
import torch

from train.fitting.checkpoint import Checkpoint, list_checkpoints, load_newest_checkpoint, save_checkpoint
from train.fitting.optim import make_one_cycle
from train.fitting.progress import EpochRecord, Progress


def _train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, scheduler: object, steps: int) -> None:
    for step in range(steps):
        torch.manual_seed(step)
        model(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        scheduler.step()  # type: ignore[attr-defined]
        optimizer.zero_grad()


def _make() -> tuple[torch.nn.Module, torch.optim.Optimizer, object]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[1].parameters(), "lr": 1}]
    )
    return model, optimizer, make_one_cycle(optimizer, 20, 0.25, 25, 1e4)


def _checkpoint(epoch: int, parts: tuple[torch.nn.Module, torch.optim.Optimizer, object] | None = None) -> Checkpoint:
    model, optimizer, scheduler = parts or _make()
    progress = Progress([EpochRecord(1, epoch, 1.5, 0.25, 1.4, 0.5, 1e-2, 3.0)], [1.5], [1e-2], [0.9])
    return Checkpoint(model.state_dict(), optimizer.state_dict(), scheduler.state_dict(), {}, progress)  # type: ignore[attr-defined]


def test_training_goes_on_to_the_bit(tmp_path: Path) -> None:
    straight = _make()
    _train(*straight, steps=5)
    save_checkpoint(tmp_path, _checkpoint(1, straight))
    _train(*straight, steps=10)

    resumed = _make()
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None
    for part, state in zip(resumed, (loaded.model, loaded.optimizer, loaded.scheduler), strict=True):
        part.load_state_dict(state)
    assert loaded.progress == _checkpoint(1).progress
    _train(*resumed, steps=10)
    for name, tensor in straight[0].state_dict().items():
        assert torch.equal(resumed[0].state_dict()[name], tensor), name
    assert resumed[1].param_groups[0]["lr"] == straight[1].param_groups[0]["lr"]


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    for epoch in range(1, 5):
        save_checkpoint(tmp_path, _checkpoint(epoch))
    assert [p.name for p in list_checkpoints(tmp_path)] == [f"stage1-epoch00{e}.safetensors" for e in (3, 4)]


def test_a_damaged_one_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(tmp_path, _checkpoint(1))
    last = save_checkpoint(tmp_path, _checkpoint(2))
    last.write_bytes(last.read_bytes()[:-100])
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.progress.records[-1].epoch == 1
    assert "epoch002.safetensors is damaged" in caplog.text


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_newest_checkpoint(tmp_path) is None
