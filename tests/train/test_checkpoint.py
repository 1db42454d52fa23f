import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from train.checkpoint import Checkpoint, list_checkpoints, load_newest_checkpoint, save_checkpoint
from train.history import EpochRecord, EpochTrace, Progress
from train.optim import make_one_cycle


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
    progress = Progress([EpochRecord(1, epoch, 1.5, 0.25, 1.4, 0.5, 1e-2, 3.0, 1)], [1.5], [1e-2], [0.9])
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


def _cut(content: bytes, where: float) -> bytes:
    return content[: int(len(content) * where)]


def _flip(content: bytes, where: float) -> bytes:
    place = int(len(content) * where)
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [_cut, _flip])
@pytest.mark.parametrize("where", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_every_damage_is_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes, float], bytes], where: float
) -> None:
    save_checkpoint(tmp_path, _checkpoint(1))
    last = save_checkpoint(tmp_path, _checkpoint(2))
    last.write_bytes(damage(last.read_bytes(), where))
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.progress.records[-1].epoch == 1
    assert "stage1-epoch002.safetensors is damaged" in caplog.text
    assert "going on from the one before it, stage1-epoch001" in caplog.text
    # It is in the way no more: neither for the next start, nor of those that are kept.
    save_checkpoint(tmp_path, _checkpoint(1))
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        "stage1-epoch001.safetensors",
        "stage1-epoch002.damaged",
    ]


def test_without_a_whole_one_a_line_says_that_all_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    only = save_checkpoint(tmp_path, _checkpoint(1))
    only.write_bytes(b"")
    assert load_newest_checkpoint(tmp_path) is None
    assert "going on from the beginning: there is none before" in caplog.text


def test_one_within_an_epoch_comes_before_the_epochs_end(tmp_path: Path) -> None:
    within = dataclasses.replace(_checkpoint(1), trace=EpochTrace(1, 2, batches=7, losses=[1.0], right=1, seen=8))
    for checkpoint in (_checkpoint(2), _checkpoint(1), within):
        save_checkpoint(tmp_path, checkpoint)
    assert [p.stem for p in list_checkpoints(tmp_path)] == ["stage1-epoch002-batch000007", "stage1-epoch002"]
    (tmp_path / "stage1-epoch002.safetensors").unlink()
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.trace == within.trace


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_newest_checkpoint(tmp_path) is None
