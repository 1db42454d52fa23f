"""The story of one stage: epochs under a single one-cycle, with a checkpoint after each and within long ones."""

import math
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from accelerate import Accelerator
from tqdm import tqdm

from train.fitting.batches import EpochBatches, hash_seed
from train.fitting.checkpoint import Checkpoint
from train.fitting.features import feature_loaders
from train.fitting.frozen import FrozenBackbone
from train.fitting.loop import check_finite, train_one_epoch, validate
from train.fitting.model import freeze_backbone, unfreeze
from train.fitting.optim import make_one_cycle, make_optimizer
from train.fitting.progress import EpochRecord, EpochTrace, Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.fitting.streaming import StreamedBatches
from train.running.keeper import Keeper
from train.running.stopping import StopRequest
from train.running.watching import WatchedBatches


@dataclass(frozen=True)
class Stage:
    """One one-cycle: which stage, how long, how fast, and whether only the classifier learns.

    With `views`, a frozen stage's epochs are passes over cached features of so many views per picture.
    """

    number: int
    epochs: int
    max_lr: float
    lr_mult: float
    frozen: bool
    views: int = 0

    def keeps(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, is shown and put on disk: of cheap ones every tenth part of the stage."""
        return not self.views or epoch == self.epochs or epoch % math.ceil(self.epochs / 10) == 0


def stages(recipe: Recipe) -> list[Stage]:
    """Returns the stages that have epochs."""
    both = [
        Stage(1, recipe.freeze_epochs, recipe.freeze_max_lr, 1.0, frozen=True, views=recipe.feature_views),
        Stage(2, recipe.epochs, recipe.max_lr, recipe.lr_mult, frozen=False),
    ]
    return [stage for stage in both if stage.epochs]


def run_stage(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    model: Any,
    loaders: tuple[EpochBatches | StreamedBatches, Any],
    run: RunFolder,
    progress: Progress,
    resumed: Checkpoint | None,
    stop: StopRequest,
) -> None:
    """Runs what is left of a stage.

    Args:
        accelerator: Knows devices, processes and precision.
        recipe: The run's recipe.
        stage: What to run.
        model: On the accelerator's device; its weights change in place.
        loaders: Training batches and validation batches, both shared out among the processes.
        run: Where checkpoints and metrics go.
        progress: What was done before; grows by a record per epoch.
        resumed: The checkpoint to continue from, when this stage is the first to run in this process.
        stop: Whether a signal has asked for the end.

    Raises:
        DivergedError: The loss is not finite.
        FrozenError: The architecture's classifier can't learn alone.
        FeaturesError: The disk is full.
        KeepError: The disk is full.
        Stopped: A signal has asked for it; what was done is on disk.
    """
    train_batches, valid_loader = loaders
    if resumed:
        model.load_state_dict(resumed.model)
    learner = model
    if stage.frozen:
        learner = FrozenBackbone(model, recipe.drop_rate, (3, recipe.image_size, recipe.image_size))
        freeze_backbone(model)
    else:
        unfreeze(model)
    if stage.views:
        assert isinstance(train_batches, EpochBatches), "the recipe has no views with a stream"
        train_batches, valid_loader = feature_loaders(
            accelerator,
            learner,
            train_batches.images,
            valid_loader.dataset,
            stage.views,
            recipe.batch_size,
            recipe.num_workers,
            run.features,
            stop,
        )
        learner = learner.classifier
    optimizer = make_optimizer(model, stage.max_lr, stage.lr_mult, recipe.weight_decay)
    scheduler = make_one_cycle(
        optimizer,
        stage.epochs * len(train_batches),
        recipe.pct_start,
        recipe.div_factor,
        recipe.final_div_factor,
    )
    done = progress.epochs_done(stage.number)
    begun = resumed.trace if resumed else None
    if resumed and (done or begun):
        optimizer.load_state_dict(resumed.optimizer)
        scheduler.load_state_dict(resumed.scheduler)
        if accelerator.scaler:
            accelerator.scaler.load_state_dict(resumed.scaler)
    prepared, prepared_optimizer = accelerator.prepare(learner, optimizer)
    # A stream has no place to go on from but its start.
    minutes = None if recipe.streaming else recipe.checkpoint_minutes
    keeper = Keeper(accelerator, run, (model, optimizer, scheduler), progress, stop, minutes)

    with tqdm(
        total=stage.epochs * len(train_batches),
        initial=done * len(train_batches) + (begun.batches if begun else 0),
        unit="step",
        disable=not accelerator.is_main_process,
    ) as bar:
        for epoch in range(done, stage.epochs):
            title = f"stage {stage.number}, epoch {epoch + 1}/{stage.epochs}"
            # Whatever is random in an epoch follows from its number, so that a resumed run repeats nothing.
            epoch_seed = hash_seed(recipe.seed, stage.number, epoch) % 2**32
            trace, begun = begun or EpochTrace(stage.number, epoch + 1), None
            train_batches.start(epoch_seed, trace.batches)
            keeper.begin(trace)
            train_one_epoch(
                accelerator,
                prepared,
                WatchedBatches(train_batches, keeper.wish, keeper.act),
                prepared_optimizer,
                scheduler,
                recipe.label_smoothing,
                title,
                bar,
                epoch_seed,
                trace,
            )
            watched = WatchedBatches(valid_loader, keeper.wish, keeper.act)
            logits, labels = validate(accelerator, prepared, watched, f"{title}, validation")
            check_finite(logits, title)
            record = EpochRecord(
                stage=stage.number,
                epoch=epoch + 1,
                train_loss=trace.loss,
                train_accuracy=trace.accuracy,
                validation_loss=F.cross_entropy(logits, labels).item(),
                validation_accuracy=(logits.argmax(1) == labels).double().mean().item(),
                max_lr=max(trace.rates),
                seconds=keeper.seconds,
                steps=len(trace.losses),
            )
            progress.add(record, trace.losses, trace.rates, trace.momenta)
            keeps = stage.keeps(epoch + 1)
            if accelerator.is_main_process and keeps:
                bar.write(record.table_row(best=progress.best is record))
            keeper.end_epoch(keeps)
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    accelerator.free_memory()
