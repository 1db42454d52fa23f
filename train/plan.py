"""Which stages a recipe asks for: each a one-cycle, over the classifier alone or over everything."""

from dataclasses import dataclass
from typing import Any, Literal

from train.fitting.model import freeze_backbone, unfreeze
from train.fitting.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """One one-cycle: which stage, how long, how fast, and whether only the classifier learns.

    Attributes:
        number: 1 or 2.
        epochs: How many.
        max_lr: The classifier's highest rate, or "auto".
        lr_mult: Each layer group learns at this share of the rate of the one above.
        frozen: Whether only the classifier learns.
        sides: Sizes to train at, one after the other; empty for the model's own throughout.
    """

    number: int
    epochs: int
    max_lr: float | Literal["auto"]
    lr_mult: float
    frozen: bool
    sides: tuple[int, ...] = ()

    @property
    def rate_key(self) -> str:
        """The recipe's name of `max_lr`."""
        return "freeze_max_lr" if self.frozen else "max_lr"

    def side(self, epoch: int) -> int | None:
        """Returns the size of an epoch's pictures, counted from 0; None for the model's own."""
        return self.sides[epoch * len(self.sides) // self.epochs] if self.sides else None


def stages(recipe: Recipe) -> list[Stage]:
    """Returns the stages that have epochs."""
    both = [
        Stage(1, recipe.freeze_epochs, recipe.freeze_max_lr, 1.0, frozen=True),
        Stage(2, recipe.epochs, recipe.max_lr, recipe.lr_mult, frozen=False, sides=recipe.image_sizes),
    ]
    return [stage for stage in both if stage.epochs]


def set_frozen(model: Any, stage: Stage) -> None:
    """Lets those weights learn that learn in this stage."""
    if stage.frozen:
        freeze_backbone(model)
    else:
        unfreeze(model)
