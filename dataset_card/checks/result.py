"""The outcome of one check."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "NOTE", "FOUND"]
"""Fine; worth knowing; to be mended."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        name: What was checked, such as "look-alikes".
        verdict: How it ended.
        count: How many faults; 0 when fine.
        what: What was found, with the first few places.
        advice: What to do about it; empty when fine.
    """

    name: str
    verdict: Verdict
    count: int
    what: str
    advice: str = ""


def judge(
    name: str, verdict: Verdict, faults: Sequence[str], *, advice: str, what: str = "", fine: str = ""
) -> Result:
    """Makes a result of the faults of one kind.

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
