"""Which stages a recipe asks for: each a one-cycle, over the classifier alone or over everything."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from train.fitting.frozen import FrozenBackbone
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
        views: Views per picture whose features are cached, so that epochs are passes over these; 0 for none.
        sides: Sizes to train at, one after the other.
        patient: Whether it may end before its last epoch.
    """

    number: int
    epochs: int
    max_lr: float | Literal["auto"]
    lr_mult: float
    frozen: bool
    sides: tuple[int, ...]
    views: int = 0
    patient: bool = False

    def offers(self, epoch: int) -> bool:
        """Whether an epoch's model, counted from 1, may be the one that is kept.

        A stage's last one may, whose rate has come down; with patience, which may end a stage on its way, all may.
        What a small validation split likes best among many epochs is luck: with about 40 pictures to choose by, in
        five folds of 291 photographs, by two recipes for a ResNet34, the better one of two ends was right in 43 and
        46 %, the best one of all epochs in 39 and 46 %.
        """
        return epoch == self.epochs or (self.patient and not self.views)

    @property
    def rate_key(self) -> str:
        """The recipe's name of `max_lr`."""
        return "freeze_max_lr" if self.frozen else "max_lr"

    def side(self, epoch: int) -> int:
        """Returns the size of an epoch's pictures; epochs are counted from 0."""
        return self.sides[epoch * len(self.sides) // self.epochs]

    def keeps(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, is shown and put on disk: of cheap ones every fifth part of the stage."""
        return not self.views or epoch == self.epochs or epoch % math.ceil(self.epochs / 5) == 0


def stages(recipe: Recipe) -> list[Stage]:
    """Returns the stages that have epochs."""
    own, patient = (recipe.image_size,), recipe.patience is not None
    both = [
        Stage(1, recipe.freeze_epochs, recipe.freeze_max_lr, 1.0, True, own, recipe.feature_views, patient),
        Stage(2, recipe.epochs, recipe.max_lr, recipe.lr_mult, False, recipe.image_sizes or own, patient=patient),
    ]
    return [stage for stage in both if stage.epochs]


def set_learning(recipe: Recipe, stage: Stage, model: Any) -> Any:
    """Freezes what is frozen in a stage; returns the model that learns, of which `model` has the weights.

    Raises:
        FrozenError: The architecture's classifier can't learn alone.
    """
    if not stage.frozen:
        unfreeze(model)
        return model
    freeze_backbone(model)
    return FrozenBackbone(model, recipe.drop_rate, (3, recipe.image_size, recipe.image_size))
