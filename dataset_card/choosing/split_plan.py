"""Whether splits are drawn, and in which shares, or given by folders."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from dataset_card.choosing.splits import SPLITS, RatiosError
from files.errors import UserError


class SplitPlanError(UserError):
    """Options that do not go together."""


@dataclass(frozen=True)
class SplitPlan:
    """Where the splits come from.

    Attributes:
        ratios: The share of every split to draw; None for those of the earlier dataset, or the usual ones.
        given: Take the splits from the photographs' folders instead.
        move_leaks: Leave out what the given splits share, except where a model is judged on it.
    """

    ratios: Mapping[str, float] | None = None
    given: bool = False
    move_leaks: bool = False


DRAWN = SplitPlan()
"""What is done where nobody asks for anything else."""


def plan_splits(ratios: str | None, given: bool, move_leaks: bool, keep_splits: str | None) -> SplitPlan:
    """Makes a plan of what a person asks for.

    Args:
        ratios: Such as "0.85,0.15,0".
        given: The photographs lie in folders of splits.
        move_leaks: Mend these.
        keep_splits: The dataset whose pictures shall keep their splits.

    Raises:
        RatiosError: The shares can't be.
        SplitPlanError: What is asked for does not go together.
    """
    if given and (ratios or keep_splits):
        option = "--ratios" if ratios else "--keep-splits"
        raise SplitPlanError(f"--splits folders takes the splits as they are: leave {option} away")
    if move_leaks and not given:
        raise SplitPlanError("--move-leaks mends splits that folders give (drawn ones have no leaks): leave it away")
    return SplitPlan(parse_ratios(ratios) if ratios else None, given, move_leaks)


def parse_ratios(text: str) -> dict[str, float]:
    """Reads the shares of train, validation and test, such as "0.85,0.15,0".

    Returns:
        The share of each split that there will be; test may have none and is then left out.

    Raises:
        RatiosError: Not three numbers, one below 0, none for train or validation, or a sum that is not 1.
    """
    allowed = "give the shares of train, validation and test, such as 0.7,0.15,0.15, or 0.85,0.15,0 for no test split"
    try:
        shares = [float(share) for share in text.split(",")]
    except ValueError:
        raise RatiosError(f"--ratios {text}: these are no numbers: {allowed}") from None
    if len(shares) != len(SPLITS) or not all(0 <= share <= 1 for share in shares):
        raise RatiosError(f"--ratios {text}: these are not {len(SPLITS)} numbers from 0 to 1: {allowed}")
    # Shares that people write, such as 0.33,0.33,0.34, sum to 1 but for the rounding of their binary form.
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise RatiosError(f"--ratios {text}: these sum to {sum(shares):g}, not to 1: {allowed}")
    if not all(shares[:2]):
        raise RatiosError(
            f"--ratios {text}: train and validation can't be empty, or no model can be fitted: {allowed}"
        )
    return {split: share for split, share in zip(SPLITS, shares, strict=True) if share}
