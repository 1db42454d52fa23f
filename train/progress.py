"""How far long work has come: a bar on a terminal, a line in a file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], title: str, unit: str, hidden: bool = False) -> Iterator[T]:
    """Yields items and shows on stderr how far they are; what takes less than a second shows nothing.

    A terminal gets a bar that goes when it is full. Everything else, such as the log of a job, gets one line at the
    end.

    Args:
        items: What to work on; a bar needs their `len` to have an end.
        title: What is going on, such as "Predicting".
        unit: What the items are, in the plural.
        hidden: Show nothing: another process of this run does.
    """
    if hidden or sys.stderr.isatty():
        yield from tqdm(items, title, unit=f" {unit}", disable=hidden, leave=False, delay=1)
        return
    began, count = time.monotonic(), 0
    for item in items:
        yield item
        count += 1
    if (seconds := time.monotonic() - began) >= 1:
        print(f"{title}: {count} {unit} in {seconds:.0f} s", file=sys.stderr, flush=True)
