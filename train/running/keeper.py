"""Keeps a run on disk: after every epoch, every so many minutes within one, and when it is asked to stop."""

import time

from accelerate import Accelerator

from files.errors import UserError
from train.fitting.checkpoint import save_checkpoint
from train.fitting.progress import EpochTrace, Progress
from train.fitting.run_folder import RunFolder
from train.fitting.state import StageState
from train.running.processes import from_main
from train.running.stopping import Stopped, StopRequest

_SAVE = 1


class KeepError(UserError):
    """A run that could not be put on disk; what was kept before is whole."""


class Keeper:
    """One stage's states on their way to disk, written by the main process while the others wait."""

    def __init__(
        self,
        accelerator: Accelerator,
        run: RunFolder,
        state: StageState,
        progress: Progress,
        stop: StopRequest,
        minutes: float | None,
    ) -> None:
        """Watches over a stage.

        Args:
            accelerator: Knows processes.
            run: Where checkpoints and metrics go.
            state: What changes while the stage runs.
            progress: The epochs that are done.
            stop: Whether a signal has asked for the end.
            minutes: Time between checkpoints within an epoch; None when no run can go on from there.
        """
        self.accelerator, self.run, self.state, self.progress = accelerator, run, state, progress
        self.stop, self.minutes, self.saved = stop, minutes, time.monotonic()
        self.trace: EpochTrace | None = None
        self.began = 0.0
        # Whether an epoch that is done is not on disk.
        self.behind = False

    def begin(self, trace: EpochTrace) -> None:
        """Notes that the epoch of this trace runs from now on."""
        self.trace, self.began = trace, time.monotonic() - trace.seconds

    @property
    def seconds(self) -> float:
        """How long the epoch has taken, with the attempts that were interrupted."""
        return time.monotonic() - self.began

    def wish(self) -> int:
        """Returns what this process wants before the next batch: 0, a checkpoint (1), or to stop (128 + signal).

        Within a step of several batches it wants nothing: gradients are in no checkpoint.
        """
        if self.trace and self.trace.pending:
            return 0
        if self.stop.wish:
            return self.stop.wish
        due = self.minutes is not None and time.monotonic() - self.saved >= 60 * self.minutes
        return _SAVE if due and self.accelerator.is_main_process else 0

    def act(self, agreed: int) -> None:
        """Does what the processes have agreed on.

        Raises:
            Stopped: It was to stop.
            KeepError: The disk is full or closed.
        """
        assert self.trace is not None, "an epoch runs"
        if self.minutes is not None and self.trace.batches:
            self.trace.seconds = self.seconds
            from_main(lambda: self._write(self.trace))
        elif self.behind:
            from_main(lambda: self._write(None))
        if agreed != _SAVE:
            raise Stopped(agreed)

    def end_epoch(self, keeps: bool) -> None:
        """Puts the epoch that is now done on disk, and its model where it is the best; if it is to be kept.

        Raises:
            KeepError: The disk is full or closed.
        """
        self.trace, self.behind = None, not keeps
        if keeps:
            from_main(lambda: self._write(None))

    def _write(self, trace: EpochTrace | None) -> None:
        """Writes a checkpoint, last of all: what it counts as done, a resumed run does not do again."""
        checkpoint = self.state.checkpoint(self.progress, trace)
        try:
            if trace is None and self.progress.best is self.progress.records[-1]:
                self.run.save_best(self.state.judged_weights())
            if trace is None:
                self.run.write_metrics(self.progress)
            save_checkpoint(self.run.checkpoints, checkpoint)
        except OSError as error:
            raise KeepError(
                f"{error.strerror or error}: {checkpoint.name} can't be written to {self.run.checkpoints}; the "
                "checkpoint before it is whole: make room there, then continue with resume_from_checkpoint=true"
            ) from error
        self.saved = time.monotonic()
