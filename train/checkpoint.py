"""Checkpoints: one safetensors file with all that a run needs to go on, to the bit.

Nothing is pickled: tensors lie under `model.*`, `optimizer.*`, `ema.*` and `start.*`, the rest is JSON in the file's
header, and with it a checksum over both. Random states need no place here, since every step seeds its own (see
`train.loaders`).
"""

import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from files.atomic import atomic_write
from files.errors import UserError
from train.history import EpochTrace, Progress

logger = logging.getLogger(__name__)

KEPT = 2
_OS_ERROR = re.compile(r"os error (\d+)")
_NAME = re.compile(r"stage(\d+)-epoch(\d+)(?:-batch(\d+))?")


class DamagedError(UserError):
    """A file of a run that was cut short or changed since it was written."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run at the end of an epoch or, with a trace, within one.

    Attributes:
        model: The model's state dict.
        optimizer: The optimizer's state dict.
        scheduler: The scheduler's state dict.
        scaler: The state of fp16's loss scaler, empty without one.
        progress: The epochs that are done.
        trace: The epoch that is not done, up to an optimizer's update; None between epochs.
        ema: The moving average of the weights, empty without one.
        start: The weights that the stage began with, where those that are kept are averaged with them; else empty.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    scaler: dict[str, Any]
    progress: Progress
    trace: EpochTrace | None = None
    ema: dict[str, torch.Tensor] = field(default_factory=dict)
    start: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name: `stage1-epoch002`, or `stage1-epoch002-batch000040` within the epoch."""
        if self.trace:
            return f"stage{self.trace.stage}-epoch{self.trace.epoch:03d}-batch{self.trace.batches:06d}"
        last = self.progress.records[-1]
        return f"stage{last.stage}-epoch{last.epoch:03d}"


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes a checkpoint and removes all but the two newest.

    The file appears whole, by rename, or not at all.
    """
    tensors = {f"model.{name}": tensor for name, tensor in checkpoint.model.items()}
    tensors |= {f"ema.{name}": tensor for name, tensor in checkpoint.ema.items()}
    tensors |= {f"start.{name}": tensor for name, tensor in checkpoint.start.items()}
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
        "trace": asdict(checkpoint.trace) if checkpoint.trace else None,
    }
    path = folder / f"{checkpoint.name}.safetensors"
    write_tensors(path, tensors, {"run": json.dumps(header)})
    for former in list_checkpoints(folder)[:-KEPT]:
        former.unlink()
    return path


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str]) -> None:
    """Writes a safetensors file that is whole whenever it is there, also after a loss of power, and has a checksum."""
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    header = {**header, "sha256": _checksum(tensors, header)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft, plain_disk_errors(path):
        save_file(tensors, draft, header)
        # safetensors makes files that only their owner may read.
        draft.chmod(0o644)


@contextmanager
def plain_disk_errors(path: Path) -> Iterator[None]:
    """Turns what safetensors raises when a disk is full or closed into the system's own error about `path`."""
    try:
        yield
    except SafetensorError as error:
        if not (code := _OS_ERROR.search(str(error))):
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Reads what `write_tensors` wrote: the tensors and the header.

    Raises:
        DamagedError: The file was cut short, or a bit of it has changed.
    """
    try:
        with safe_open(path, "pt") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, UnicodeDecodeError) as error:
        raise DamagedError(f"{path} is damaged ({error})") from None
    if header.pop("sha256", None) != _checksum(tensors, header):
        raise DamagedError(f"{path} is damaged (its checksum is wrong)")
    return tensors, header


def _checksum(tensors: dict[str, torch.Tensor], header: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def list_checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run, oldest first."""
    found = [(match, path) for path in folder.glob("stage*.safetensors") if (match := _NAME.fullmatch(path.stem))]
    return [path for _, path in sorted(found, key=lambda entry: _position(entry[0]))]


def _position(name: re.Match[str]) -> tuple[int, int, float]:
    stage, epoch, batch = name.groups()
    return int(stage), int(epoch), int(batch) if batch else math.inf


def load_newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the newest checkpoint that is whole, or None.

    A damaged one is renamed, so that it counts no more, and a line says which one is used in its place.
    """
    paths = list_checkpoints(folder)
    while paths:
        path = paths.pop()
        try:
            return _load(path)
        except DamagedError as error:
            path.replace(path.with_suffix(".damaged"))
            before = (
                f"from the one before it, {paths[-1].stem}" if paths else "from the beginning: there is none before"
            )
            logger.warning("%s: going on %s", error, before)
    return None


def _load(path: Path) -> Checkpoint:
    tensors, texts = read_tensors(path)
    header = json.loads(texts["run"])
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
        trace=EpochTrace(**header["trace"]) if header["trace"] else None,
        ema=_under("ema.", tensors),
        start=_under("start.", tensors),
    )


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
