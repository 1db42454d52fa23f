"""Curves for a tracker: one of those that accelerate knows, whichever is installed."""

from dataclasses import asdict
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType

from files.errors import UserError
from train.fitting.progress import Progress


class TrackerError(UserError):
    """A tracker that accelerate doesn't know, or whose package is missing."""


def check_tracker(name: str) -> None:
    """Makes sure that a tracker can be used.

    Raises:
        TrackerError: Says which there are, or what to install.
    """
    known = sorted(str(kind) for kind in LoggerType if str(kind) != "all")
    if name not in known:
        raise TrackerError(f"there is no tracker {name!r}: accelerate has {', '.join(known)}")
    if name not in map(str, get_available_trackers()):
        raise TrackerError(f"tracker={name} needs a package that is not installed: pip install {name}")


def start_tracking(accelerator: Accelerator, settings: dict[str, Any]) -> None:
    """Opens the tracker that the accelerator was made with, if any, and tells it the run's settings."""
    # Trackers take numbers and text.
    plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in settings.items()}
    accelerator.init_trackers("nritya", plain)


def log_epoch(accelerator: Accelerator, progress: Progress) -> None:
    """Logs the last epoch: loss, rate and momentum of each of its steps, then its record."""
    done = len(progress.losses)
    for step in range(done - progress.records[-1].steps, done):
        values = {
            "step/loss": progress.losses[step],
            "step/learning_rate": progress.rates[step],
            "step/momentum": progress.momenta[step],
        }
        accelerator.log(values, step=step + 1)
    record = asdict(progress.records[-1])
    accelerator.log({f"epoch/{key}": value for key, value in record.items()}, step=done)
