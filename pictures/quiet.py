"""Keeping a decoder's remarks about odd files off the terminal: a `RefusedError` says what there is to say."""

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager


class _Shared:
    """A context of the whole process, open while at least one thread is inside.

    Were it opened by each, the first to leave would put back what it had found while others are still at work.
    """

    def __init__(self, context: Callable[[], AbstractContextManager[None]]) -> None:
        self._context, self._opened = context, ExitStack()
        self._inside = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._opened.enter_context(self._context())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._opened.close()


@contextmanager
def _without_warnings() -> Iterator[None]:
    log = logging.getLogger("PIL")
    level = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            log.setLevel(level)


@contextmanager
def _without_stderr() -> Iterator[None]:
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


NO_WARNINGS = _Shared(_without_warnings)
"""`with NO_WARNINGS:` silences Python's warnings and Pillow's log."""

NO_STDERR = _Shared(_without_stderr)
"""`with NO_STDERR:` silences what a C library (libtiff) writes to the terminal by itself; to be held for a moment."""
