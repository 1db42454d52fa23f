"""Every kind of fault of a dataset of labelled pictures, a module each, and what a check returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "NOTE", "FOUND"]
"""In order, worth knowing, or to be fixed."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Result:
    """The outcome of one check: a line of the table that `check` prints.

    Attributes:
        name: What was checked, such as "look-alikes".
        verdict: How it ended.
        count: How many faults; 0 when all is well.
        what: What was found, with the first few places.
        advice: What to do about it; empty when all is well.
    """

    name: str
    verdict: Verdict
    count: int
    what: str
    advice: str = ""


def judge(
    name: str, verdict: Verdict, faults: Sequence[str], *, advice: str, what: str = "", fine: str = ""
) -> Result:
    """Turns the faults of one kind into a result.

    Args:
        name: What was checked.
        verdict: What faults of this kind are.
        faults: Where each of them is, so that a person finds it again.
        advice: What to do about them.
        what: What they are, in the plural; empty when the places say that themselves.
        fine: What to say when there are none.
    """
    if not faults:
        return Result(name, "ok", 0, fine)
    examples = "; ".join(faults[:_EXAMPLES]) + ("; ..." if len(faults) > _EXAMPLES else "")
    return Result(name, verdict, len(faults), f"{what}: {examples}" if what else examples, advice)
