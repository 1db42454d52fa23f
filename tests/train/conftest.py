"""What the tests of training share: a run that is interrupted, processes that are spawned, labels in groups."""

import multiprocessing
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from train import checkpoint as checkpoints
from train.checkpoint import load


@contextmanager
def interrupted_after(checkpoint: str) -> Iterator[None]:
    """Stops the run inside, as Ctrl-C would that nobody waits for, once a checkpoint of this name is written."""
    save = checkpoints.save_checkpoint

    def stop_after(folder: Path, name: str, state: dict[str, Any]) -> Path:
        path = save(folder, name, state)
        if path.stem == checkpoint:
            raise KeyboardInterrupt
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save_checkpoint", stop_after)
        with pytest.raises(KeyboardInterrupt):
            yield


def with_sources(dataset: Path, folder: Path, sources: Sequence[str]) -> Path:
    """Copies a dataset folder; the pictures of each class come from these sources in turn, near-duplicates from one.

    Args:
        dataset: The folder.
        folder: A name of its own: `datasets` takes those of one name and card for one.
        sources: What there are.
    """
    shutil.copytree(dataset, folder)
    for shard in (folder / "data").iterdir():
        table = pq.read_table(shard)
        pairs = list(zip(table["label"].to_pylist(), table["group"].to_pylist(), strict=True))
        places = {pair: place for place, pair in enumerate(sorted(set(pairs)))}
        values = [sources[places[pair] % len(sources)] for pair in pairs]
        place = table.column_names.index("source")
        pq.write_table(table.set_column(place, "source", pa.array(values)), shard)
    return folder


@pytest.fixture
def spawn() -> Iterator[None]:
    """Starts processes anew instead of forking, as macOS and Windows do."""
    method = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(method, force=True)


def load_flat(path: Path) -> dict[str, Any]:
    """Returns the tensors of a checkpoint by their names: `model.fc.weight`, `optimizer.0.exp_avg`."""
    state = load(path)
    parts = {part: state[part] for part in ("model", "ema", "start")}
    parts |= {f"optimizer.{index}": moments for index, moments in state["optimizer"]["state"].items()}
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def grouped_pictures(per_class: int, largest: int = 4) -> tuple[list[int], list[str]]:
    """Labels and groups of three classes in random order: `per_class` groups of each, of 1 to `largest` pictures."""
    rng = random.Random(8)
    pairs = [
        (label, f"{label}-{group}")
        for label in range(3)
        for group in range(per_class)
        for _ in range(rng.randint(1, largest))
    ]
    rng.shuffle(pairs)
    return [label for label, _ in pairs], [group for _, group in pairs]
