"""Checkpoints: one safetensors file with all that a run needs to go on, to the bit.

Nothing is pickled: tensors lie under `model.*`, `optimizer.*` and `ema.*`, the rest is JSON in the file's header.
Random states need no place here, since every epoch seeds its own (see `train.fitting.batches`).
"""

import errno
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from train.fitting.progress import Progress

logger = logging.getLogger(__name__)

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run at the end of an epoch.

    Attributes:
        model: The model's state dict.
        optimizer: The optimizer's state dict.
        scheduler: The scheduler's state dict.
        scaler: The state of fp16's loss scaler, empty without one.
        progress: What was done so far.
        ema: The averaged weights, empty without an average.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    scaler: dict[str, Any]
    progress: Progress
    ema: dict[str, torch.Tensor] = field(default_factory=dict)


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes the checkpoint of the last epoch done and removes all but the two newest.

    The file appears whole, by rename, or not at all.
    """
    last = checkpoint.progress.records[-1]
    tensors = {f"model.{name}": tensor for name, tensor in checkpoint.model.items()}
    tensors |= {f"ema.{name}": tensor for name, tensor in checkpoint.ema.items()}
    numbers: dict[str, Any] = {}
    for index, state in checkpoint.optimizer["state"].items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                numbers[f"{index}.{key}"] = value
    header = {
        "param_groups": checkpoint.optimizer["param_groups"],
        "numbers": numbers,
        "scheduler": checkpoint.scheduler,
        "scaler": checkpoint.scaler,
        "progress": checkpoint.progress.to_json(),
    }
    path = folder / f"stage{last.stage}-epoch{last.epoch:03d}.safetensors"
    write_tensors(path, tensors, {"run": json.dumps(header)})
    for former in list_checkpoints(folder)[:-KEPT]:
        former.unlink()
    return path


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str]) -> None:
    """Writes a safetensors file that is whole whenever it is there, also after a loss of power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    try:
        with plain_disk_errors(path):
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft, header)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        # safetensors makes files that only their owner may read.
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def plain_disk_errors(path: Path) -> Iterator[None]:
    """Turns what safetensors raises on a full disk, within the block, into the system's own error about `path`."""
    try:
        yield
    except SafetensorError as error:
        if f"os error {errno.ENOSPC}" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None


def list_checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run, oldest first."""
    return sorted(folder.glob("stage*-epoch*.safetensors"))


def load_newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the newest checkpoint that is whole, or None. A damaged one is passed over with a warning."""
    for path in reversed(list_checkpoints(folder)):
        try:
            return _load(path)
        except (SafetensorError, KeyError, ValueError) as error:
            logger.warning("%s is damaged (%s): going on from the one before it", path, error)
    return None


def _load(path: Path) -> Checkpoint:
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["run"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    state: dict[int, dict[str, Any]] = {}
    optimizer = {name: value for name, value in tensors.items() if name.startswith("optimizer.")}
    for name, value in optimizer.items():
        _, index, key = name.split(".", 2)
        state.setdefault(int(index), {})[key] = value
    for name, value in header["numbers"].items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    return Checkpoint(
        model=_under("model.", tensors),
        optimizer={"state": state, "param_groups": header["param_groups"]},
        scheduler=header["scheduler"],
        scaler=header["scaler"],
        progress=Progress.from_json(header["progress"]),
        ema=_under("ema.", tensors),
    )


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
