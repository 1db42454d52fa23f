"""Checkpoints: everything that a run needs to go on, to the bit, in one file each.

A file is what `torch.save` writes of a dict of tensors and plain values, followed by the 32 bytes of its SHA-256. It
is read with `weights_only=True`, which runs no code. It needs no random states: every step seeds its own.
"""

import hashlib
import io
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from files.atomic import atomic_write
from files.errors import UserError
from train.history import EpochTrace, History

logger = logging.getLogger(__name__)

KEPT = 2
_DIGEST_BYTES = hashlib.sha256().digest_size
_OS_ERROR = re.compile(r"os error (\d+)")
_NAME = re.compile(r"stage(\d+)-epoch(\d+)(?:-batch(\d+))?")


class DamagedError(UserError):
    """A file of a run that was cut short or changed since it was written."""


class EarlierVersionError(UserError):
    """A checkpoint that an earlier version of this project has written."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a dict of tensors and plain values to a file that is whole whenever it is there.

    Raises:
        OSError: The disk is full or closed; then `path` is what it was.
    """
    # By way of memory: where writing fails, torch's own writer hides the reason behind an error of its own.
    content = io.BytesIO()
    torch.save(_plain(state), content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft, draft.open("wb") as file:
        file.write(content.getbuffer())
        file.write(hashlib.sha256(content.getbuffer()).digest())


def _plain(value: Any) -> Any:
    """Turns numpy's numbers, wherever they lie, into Python's: `weights_only` would refuse them when a run goes on."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(entry) for entry in value)
    return value.item() if isinstance(value, np.generic) else value


def load(path: Path) -> dict[str, Any]:
    """Reads what `save` wrote, into main memory.

    Raises:
        DamagedError: The file was cut short, or a bit of it has changed.
    """
    content = memoryview(path.read_bytes())
    payload, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise DamagedError(f"{path} is damaged (its checksum is wrong)")
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run at the end of an epoch or, with a trace, within one.

    Attributes:
        model: The model's state dict.
        optimizer: The optimizer's state dict.
        scheduler: The scheduler's state dict.
        scaler: The state of fp16's loss scaler, empty without one.
        history: The epochs that are done.
        trace: The epoch that is not done, up to an optimizer's update; None between epochs.
        ema: The moving average of the weights, empty without one.
        start: The weights that the stage began with, where those that are kept are averaged with them; else empty.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    scaler: dict[str, Any]
    history: History
    trace: EpochTrace | None = None
    ema: dict[str, torch.Tensor] = field(default_factory=dict)
    start: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name."""
        if self.trace:
            return checkpoint_name(self.trace.stage, self.trace.epoch, self.trace.batches)
        last = self.history.records[-1]
        return checkpoint_name(last.stage, last.epoch)

    def save(self, folder: Path) -> Path:
        """Writes it and removes all but the two newest."""
        plain = {"history": self.history.to_json(), "trace": asdict(self.trace) if self.trace else None}
        return save_checkpoint(folder, self.name, {**vars(self), **plain})

    @classmethod
    def newest(cls, folder: Path) -> "Checkpoint | None":
        """Returns a run's newest checkpoint that is whole, or None."""
        if (state := load_newest_checkpoint(folder)) is None:
            return None
        trace = EpochTrace(**state["trace"]) if state["trace"] else None
        return cls(**{**state, "history": History.from_json(state["history"]), "trace": trace})


def checkpoint_name(stage: int, epoch: int, batches: int | None = None) -> str:
    """Returns `stage1-epoch002`, or `stage1-epoch002-batch000040` after so many batches of that epoch."""
    within = f"-batch{batches:06d}" if batches is not None else ""
    return f"stage{stage}-epoch{epoch:03d}{within}"


def save_checkpoint(folder: Path, name: str, state: dict[str, Any]) -> Path:
    """Writes a checkpoint and removes all but the two newest.

    Args:
        folder: Of the run's checkpoints.
        name: By `checkpoint_name`.
        state: Tensors and plain values, in dicts and lists.

    Raises:
        OSError: The disk is full or closed; the checkpoints before it are whole.
    """
    path = folder / f"{name}.pt"
    save(path, state)
    for previous in list_checkpoints(folder)[:-KEPT]:
        previous.unlink()
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run, oldest first; one within an epoch comes before the one at its end."""
    named = [(match, path) for path in folder.glob("stage*.pt") if (match := _NAME.fullmatch(path.stem))]
    return [path for _, path in sorted(named, key=lambda entry: _position(entry[0]))]


def _position(name: re.Match[str]) -> tuple[int, int, float]:
    stage, epoch, batch = name.groups()
    return int(stage), int(epoch), int(batch) if batch else math.inf


def load_newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Returns the state in the newest checkpoint that is whole, or None.

    A damaged one is renamed, so that it no longer counts, and a warning says which one is used in its place.

    Raises:
        EarlierVersionError: There are only checkpoints of an earlier version.
    """
    paths = list_checkpoints(folder)
    if not paths:
        refuse_earlier_version(folder)
    while paths:
        path = paths.pop()
        try:
            return load(path)
        except DamagedError as error:
            path.replace(path.with_suffix(".damaged"))
            before = (
                f"from the one before it, {paths[-1].stem}" if paths else "from the beginning: there is none before"
            )
            logger.warning("%s: going on %s", error, before)
    return None


def refuse_earlier_version(folder: Path) -> None:
    """Makes sure that a folder holds no checkpoint in the format of earlier versions.

    Raises:
        EarlierVersionError: It does.
    """
    if earlier := sorted(folder.glob("stage*.safetensors")):
        raise EarlierVersionError(
            f"{earlier[-1]} was written by an earlier version and can't be continued by this one: "
            "choose another output_dir"
        )


@contextmanager
def plain_disk_errors(path: Path) -> Iterator[None]:
    """Turns what safetensors raises when a disk is full or closed into the system's own error about `path`."""
    try:
        yield
    except SafetensorError as error:
        if not (code := _OS_ERROR.search(str(error))):
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None
