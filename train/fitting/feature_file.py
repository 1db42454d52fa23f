"""The file that features are put into as they are computed: larger than memory may be."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from tqdm import tqdm

from files.atomic import atomic_write
from files.errors import UserError
from train.running.processes import from_main


class FeaturesError(UserError):
    """Features that can't be put on disk."""


def write_features(file: Path, shape: tuple[int, int, int], parts: Iterator[torch.Tensor]) -> None:
    """Writes an npy file as its parts come, in the main process; it appears by rename when it is whole.

    Args:
        file: Named after the split, up to a hyphen.
        shape: Pictures, views, features.
        parts: Float32 of shape (some pictures, views, features), the same ones in every process.

    Raises:
        FeaturesError: The disk is full or closed.
    """
    main = ExitStack()
    draft = file

    def begin() -> None:
        nonlocal draft
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = main.enter_context(atomic_write(file))
        with draft.open("wb") as opened:
            np.lib.format.write_array_header_1_0(opened, {"descr": "<f4", "fortran_order": False, "shape": shape})

    def add(values: torch.Tensor) -> None:
        # Written, not mapped: a full disk is an error here, and the end of the process there.
        with draft.open("ab") as opened:
            opened.write(values.numpy().tobytes())

    def in_main(work: Callable[[], None]) -> None:
        with _one_line_errors(file, shape):
            from_main(work)

    title = f"features of {file.stem.partition('-')[0]}"
    hidden = not PartialState().is_main_process
    with main, tqdm(total=shape[0] * shape[1], desc=title, unit="view", disable=hidden) as bar:
        in_main(begin)
        for values in parts:
            in_main(partial(add, values))
            bar.update(len(values) * shape[1])
        in_main(main.close)


@contextmanager
def _one_line_errors(file: Path, shape: tuple[int, int, int]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FeaturesError(
            f"{error.strerror or error}: {4 * math.prod(shape) / 1e6:.0f} MB of features can't be written to "
            f"{file.parent}: make room there, or lower feature_views, in another output_dir"
        ) from error
