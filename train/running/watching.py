"""Batches that every process has before any goes on: a fault, a stop, a due checkpoint is everybody's."""

from collections.abc import Callable, Iterator
from typing import Any

from files.errors import UserError
from train.running.processes import agree, raise_everywhere
from train.running.stopping import Stopped, StopRequest

_FAULT = 1000


def _nothing() -> int:
    return 0


def _ignore(_agreed: int) -> None:
    pass


class WatchedBatches:
    """A loader whose processes agree, before each batch, that they all have theirs and what comes first."""

    def __init__(self, loader: Any, wish: Callable[[], int] = _nothing, act: Callable[[int], None] = _ignore) -> None:
        """Wraps a loader that has a length.

        Args:
            loader: Gives as many batches in every process.
            wish: What this process wants before the next batch: 0 for nothing, below 1000.
            act: Called in every process with the highest wish, where that is not 0.
        """
        self.loader, self.wish, self.act = loader, wish, act

    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Yields the loader's batches.

        Raises:
            UserError: A batch can't be had, here or in another process.
        """
        batches = iter(self.loader)
        while True:
            fault, batch = None, None
            try:
                batch = next(batches)
            except StopIteration:
                return
            except UserError as error:
                fault = error
            agreed = agree(_FAULT if fault else self.wish())
            if agreed == _FAULT:
                raise_everywhere(fault)
            if agreed:
                self.act(agreed)
            yield batch


def stoppable(loader: Any, stop: StopRequest) -> WatchedBatches:
    """Returns a loader's batches, before each of which the run ends if it is to: there is nothing to save.

    Raises:
        Stopped: While they are looked at, in every process, once one has got a signal.
    """

    def end(agreed: int) -> None:
        raise Stopped(agreed)

    return WatchedBatches(loader, lambda: stop.wish, end)
