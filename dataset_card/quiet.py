"""Keeping a decoder's remarks about odd files off the terminal: `rejected.csv` says what there is to say."""

import logging
import threading
import warnings
from types import TracebackType


class _Quiet:
    """Silences warnings and Pillow's log while at least one thread is inside.

    `warnings.catch_warnings` alone is not for threads: each that leaves puts back the filters that it found, maybe
    in the middle of another's work. So the first to enter sets them, and the last to leave puts them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._warnings = warnings.catch_warnings()
        self._log = logging.getLogger("PIL")
        self._level = self._log.level

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._warnings = warnings.catch_warnings()
                self._warnings.__enter__()
                warnings.simplefilter("ignore")
                self._level = self._log.level
                self._log.setLevel(logging.CRITICAL)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._warnings.__exit__(kind, error, trace)
                self._log.setLevel(self._level)


QUIET = _Quiet()
"""The one of the process: `with QUIET: ...`."""
