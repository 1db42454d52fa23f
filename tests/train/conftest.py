"""What the tests of training share: a run that is interrupted, processes that are spawned."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from train import trainer as keeper


@contextmanager
def interrupted_after(checkpoint: str) -> Iterator[None]:
    """Stops the run inside, as Ctrl-C would that nobody waits for, once a checkpoint of this name is written."""
    save = keeper.save_checkpoint

    def stop_after(folder: Path, state: object) -> Path:
        path = save(folder, state)
        if path.stem == checkpoint:
            raise KeyboardInterrupt
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "save_checkpoint", stop_after)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.fixture
def spawn() -> Iterator[None]:
    """Starts processes anew instead of forking, as macOS and Windows do."""
    method = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(method, force=True)
