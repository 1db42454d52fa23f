"""What a stage goes through: what learns, from which batches, and what is minimised."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from train.fitting.batches import EpochBatches, PictureBatches
from train.fitting.features import feature_sets
from train.fitting.frozen import Classifier
from train.fitting.objective import Objective
from train.fitting.optim import make_optimizer
from train.fitting.penalty import choose_l2
from train.fitting.progress import Progress
from train.fitting.recipe import Recipe
from train.fitting.state import set_scale
from train.fitting.streaming import StreamedBatches
from train.judging.split import groups_of
from train.parts import Parts, hold_pictures
from train.plan import Stage, set_learning
from train.running.processes import from_main
from train.running.stopping import StopRequest


@dataclass(frozen=True)
class Lesson:
    """One stage's material.

    Attributes:
        learner: Shares its weights with the run's model.
        train_batches: Of pictures, or of features.
        valid_loader: Of the same.
        objective: Gives the loss.
        weight_decay: Of the optimizer.
        decoupled: As AdamW has it; otherwise it is an L2 penalty.
        scale: What features are divided by, (features,); the model's classifier is rescaled for it until `end`.
    """

    learner: Any
    train_batches: EpochBatches | StreamedBatches
    valid_loader: Any
    objective: Objective
    weight_decay: float
    decoupled: bool = True
    scale: torch.Tensor | None = None

    def optimizer(self, model: nn.Module, max_lr: float, lr_mult: float) -> torch.optim.Optimizer:
        """Returns what moves the model's weights that learn, at such rates."""
        return make_optimizer(model, max_lr, lr_mult, self.weight_decay, self.decoupled)

    def end(self, model: nn.Module) -> None:
        """Gives the model its classifier back as it is for features that are divided by nothing."""
        if self.scale is not None:
            set_scale(model, 1 / self.scale)


def prepare_lesson(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    parts: Parts,
    folder: Path,
    progress: Progress,
    stop: StopRequest,
) -> Lesson:
    """Freezes what is frozen and prepares what there is to learn from: decoded pictures, or their features.

    Args:
        accelerator: Knows devices, processes and precision.
        recipe: The run's recipe.
        stage: What is to run.
        parts: The model and the pictures.
        folder: Where features go; those that are there are of the same recipe.
        progress: Grows by what is found where the recipe says "auto".
        stop: Whether a signal has asked for the end.

    Raises:
        FrozenError: The architecture's classifier can't learn alone.
        DatasetError: A picture can't be decoded.
        FeaturesError: The disk is full.
        Stopped: A signal has asked for it.
    """
    learner = set_learning(recipe, stage, parts.model)
    if not stage.views:
        parts.train_batches.augmenter.side = stage.side(0)
        hold_pictures(recipe, parts, stop)
        return Lesson(learner, parts.train_batches, parts.valid_loader, parts.objective, recipe.weight_decay)
    assert isinstance(parts.train_batches, PictureBatches), "the recipe has no views with a stream"
    train, valid = feature_sets(
        accelerator,
        learner,
        parts.train_batches,
        parts.valid_loader.dataset,
        stage.views,
        recipe.batch_size,
        recipe.num_workers,
        folder,
        stop,
    )
    strength = recipe.feature_l2
    if strength == "auto":
        if "feature_l2" not in progress.found:
            rows = parts.train_batches.images.rows
            groups = groups_of(rows) or [str(number) for number in range(len(rows))]
            progress.found["feature_l2"] = from_main(lambda: choose_l2(train, groups, recipe.seed))
            accelerator.print(f"feature_l2={progress.found['feature_l2']:g}, found")
        strength = progress.found["feature_l2"]
    if not progress.records and recipe.init_from is None:
        # As logistic regression begins. What timm's chance put there would stay where no picture says otherwise: on an
        # EfficientNet it is so large that 69.8 % of 291 held-out photographs were right instead of 72.5 %.
        for parameter in parts.model.get_classifier().parameters():
            torch.nn.init.zeros_(parameter)
    scale = train.spread().to(accelerator.device)
    set_scale(parts.model, scale)
    batch_size = recipe.batch_size * stage.views
    loader = train.loader(batch_size, recipe.seed, recipe.class_balance == "sampling")
    return Lesson(
        Classifier(parts.model, recipe.drop_rate, scale),
        EpochBatches(accelerator, loader),
        accelerator.prepare(valid.loader(batch_size)),
        parts.objective.without_mixing(),
        # The loss is a mean.
        strength / len(train),
        decoupled=False,
        scale=scale,
    )
