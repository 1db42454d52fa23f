"""SIGINT and SIGTERM: training ends after its current step, with a checkpoint, and not in the middle of one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # A command that has just begun listens to signals before it loads anything heavy.
    from accelerate import Accelerator

# A launcher hands on the Ctrl-C that the terminal has already sent to all of its processes.
_ECHO_SECONDS = 1.0


class Stopped(SystemExit):
    """A run ended by a signal, after saving what there was; the exit code is 128 + the signal's number."""


@dataclass
class StopRequest:
    """The signal that has asked for the end, 0 for none, and when it came (`time.monotonic`)."""

    number: int = 0
    when: float = 0.0

    @property
    def exit_code(self) -> int:
        """128 + the signal's number; 0 where none has come."""
        return 128 + self.number if self.number else 0


@contextmanager
def stop_requests(accelerator: "Accelerator") -> Iterator[StopRequest]:
    """Within the block, notes the first SIGINT or SIGTERM; a second SIGINT kills the process at once."""
    request = StopRequest()
    echo = _ECHO_SECONDS if accelerator.num_processes > 1 else 0.0

    def note(number: int, _frame: FrameType | None) -> None:
        if not request.number:
            request.number, request.when = number, time.monotonic()
            if accelerator.is_main_process:
                # Not `print`: the signal may have come in the midst of one.
                os.write(2, b"\nstopping at the next step; Ctrl-C again stops at once\n")
        elif number == signal.SIGINT and time.monotonic() - request.when > echo:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)

    with _handling(note):
        yield request


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Within the block, ends the process by the first SIGINT or SIGTERM: there is nothing to save.

    Raises:
        Stopped: A signal has come.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(128 + number)

    with _handling(stop):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        # Python lets no other thread listen to signals: what a page or a notebook runs in one goes without.
        yield
        return
    previous = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handled in previous.items():
            signal.signal(number, handled)
