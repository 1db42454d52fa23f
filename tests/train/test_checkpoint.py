import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from train.checkpoint import (
    EarlierVersionError,
    checkpoint_name,
    list_checkpoints,
    load,
    load_newest_checkpoint,
    save,
    save_checkpoint,
)
from train.optim import make_one_cycle


def _train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any, steps: int) -> None:
    for step in range(steps):
        torch.manual_seed(step)
        model(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()


def _make() -> tuple[torch.nn.Module, torch.optim.Optimizer, Any]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[1].parameters(), "lr": 1}]
    )
    return model, optimizer, make_one_cycle(optimizer, 20, 0.25, 25, 1e4)


def _save(folder: Path, epoch: int, batches: int | None = None) -> Path:
    return save_checkpoint(folder, checkpoint_name(1, epoch, batches), {"epoch": epoch, "weights": torch.rand(99)})


def test_training_goes_on_to_the_bit(tmp_path: Path) -> None:
    straight = _make()
    _train(*straight, steps=5)
    # Numbers of numpy come back as Python's.
    records = [{"stage": 1, "loss": np.float64(0.1 + 0.2), "best": None}]
    states = [part.state_dict() for part in straight]
    save_checkpoint(tmp_path, "stage1-epoch001", {"parts": states, "records": records})
    _train(*straight, steps=10)

    resumed = _make()
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded["records"] == records
    for part, state in zip(resumed, loaded["parts"], strict=True):
        part.load_state_dict(state)
    _train(*resumed, steps=10)
    for name, tensor in straight[0].state_dict().items():
        assert torch.equal(resumed[0].state_dict()[name], tensor), name
    assert resumed[1].param_groups[0]["lr"] == straight[1].param_groups[0]["lr"]


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    for epoch in range(1, 5):
        _save(tmp_path, epoch)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["stage1-epoch003.pt", "stage1-epoch004.pt"]


def test_one_within_an_epoch_comes_before_the_epochs_end(tmp_path: Path) -> None:
    for epoch, batches in ((2, None), (1, None), (2, 7)):
        _save(tmp_path, epoch, batches)
    assert [path.stem for path in list_checkpoints(tmp_path)] == ["stage1-epoch002-batch000007", "stage1-epoch002"]


def _cut(content: bytes, where: float) -> bytes:
    return content[: int(len(content) * where)]


def _flip(content: bytes, where: float) -> bytes:
    place = int(len(content) * where)
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [_cut, _flip])
@pytest.mark.parametrize("where", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_damaged_one_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes, float], bytes], where: float
) -> None:
    _save(tmp_path, 1)
    last = _save(tmp_path, 2)
    last.write_bytes(damage(last.read_bytes(), where))
    loaded = load_newest_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded["epoch"] == 1
    assert "stage1-epoch002.pt is damaged (its checksum is wrong)" in caplog.text
    assert "going on from the one before it, stage1-epoch001" in caplog.text
    # It is no longer in the way: neither of the next start, nor of those that are kept.
    _save(tmp_path, 1)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["stage1-epoch001.pt", "stage1-epoch002.damaged"]


def test_without_a_whole_one_training_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_newest_checkpoint(tmp_path) is None
    _save(tmp_path, 1).write_bytes(b"")
    assert load_newest_checkpoint(tmp_path) is None
    assert "going on from the beginning: there is none before" in caplog.text


def test_one_of_an_earlier_version_is_refused_and_stays(tmp_path: Path) -> None:
    earlier = tmp_path / "stage1-epoch002.safetensors"
    earlier.write_bytes(b"weights")
    with pytest.raises(EarlierVersionError, match=r"epoch002.safetensors was written by an earlier version .*another"):
        load_newest_checkpoint(tmp_path)
    assert earlier.read_bytes() == b"weights"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_the_systems_own_error_and_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.pt"
    save(path, {"epoch": 1})
    # Whatever is written beside the file lands on a device without space.
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode="r": opened(Path("/dev/full"), mode))
    with pytest.raises(OSError, match="No space left on device") as full:
        save(path, {"epoch": 2, "weights": torch.rand(100_000)})
    monkeypatch.undo()
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(path))
    assert load(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]
