"""The story of one stage: epochs under a single one-cycle, with a checkpoint at the end of each."""

import math
import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from tqdm import tqdm

from train.fitting.batches import TransformedImages, hash_seed
from train.fitting.checkpoint import Checkpoint, save_checkpoint
from train.fitting.features import feature_loaders
from train.fitting.frozen import FrozenBackbone
from train.fitting.loop import check_finite, train_one_epoch, validate
from train.fitting.model import cpu_state, freeze_backbone, unfreeze
from train.fitting.optim import make_one_cycle, make_optimizer
from train.fitting.progress import EpochRecord, Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder


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
    loaders: tuple[TransformedImages, Any, Any],
    run: RunFolder,
    progress: Progress,
    resumed: Checkpoint | None,
) -> None:
    """Runs what is left of a stage.

    Args:
        accelerator: Knows devices, processes and precision.
        recipe: The run's recipe.
        stage: What to run.
        model: On the accelerator's device; its weights change in place.
        loaders: Training pictures, their batches and validation batches, the batches prepared by the accelerator.
        run: Where checkpoints and metrics go.
        progress: What was done before; grows by a record per epoch.
        resumed: The checkpoint to continue from, when this stage is the first to run in this process.

    Raises:
        DivergedError: The loss is not finite.
        FrozenError: The architecture's classifier can't learn alone.
    """
    train_images, train_loader, valid_loader = loaders
    if resumed:
        model.load_state_dict(resumed.model)
    learner = model
    if stage.frozen:
        learner = FrozenBackbone(model, recipe.drop_rate, (3, recipe.image_size, recipe.image_size))
        freeze_backbone(model)
    else:
        unfreeze(model)
    if stage.views:
        train_loader, valid_loader = feature_loaders(
            accelerator,
            learner,
            train_images,
            valid_loader.dataset,
            stage.views,
            recipe.batch_size,
            recipe.num_workers,
            run.features,
        )
        learner = learner.classifier
    optimizer = make_optimizer(model, stage.max_lr, stage.lr_mult, recipe.weight_decay)
    scheduler = make_one_cycle(
        optimizer,
        stage.epochs * len(train_loader),
        recipe.pct_start,
        recipe.div_factor,
        recipe.final_div_factor,
    )
    done = progress.epochs_done(stage.number)
    if resumed and done:
        optimizer.load_state_dict(resumed.optimizer)
        scheduler.load_state_dict(resumed.scheduler)
        if accelerator.scaler:
            accelerator.scaler.load_state_dict(resumed.scaler)
    prepared, prepared_optimizer = accelerator.prepare(learner, optimizer)
    best: dict[str, torch.Tensor] = {}

    with tqdm(
        total=stage.epochs * len(train_loader),
        initial=done * len(train_loader),
        unit="step",
        disable=not accelerator.is_main_process,
    ) as bar:
        for epoch in range(done, stage.epochs):
            began = time.perf_counter()
            title = f"stage {stage.number}, epoch {epoch + 1}/{stage.epochs}"
            # Whatever is random in an epoch follows from its number, so that a resumed run repeats nothing.
            epoch_seed = hash_seed(recipe.seed, stage.number, epoch) % 2**32
            set_seed(epoch_seed, device_specific=True)
            train_loader.set_epoch(epoch_seed)
            # accelerate tells the sampler or the dataset, not both.
            train_images.set_epoch(epoch_seed)
            trace = train_one_epoch(
                accelerator, prepared, train_loader, prepared_optimizer, scheduler, recipe.label_smoothing, title, bar
            )
            logits, labels = validate(accelerator, prepared, valid_loader, f"{title}, validation")
            check_finite(logits, title)
            record = EpochRecord(
                stage=stage.number,
                epoch=epoch + 1,
                train_loss=trace.loss,
                train_accuracy=trace.accuracy,
                validation_loss=F.cross_entropy(logits, labels).item(),
                validation_accuracy=(logits.argmax(1) == labels).double().mean().item(),
                max_lr=max(trace.rates),
                seconds=time.perf_counter() - began,
            )
            progress.add(record, trace.losses, trace.rates, trace.momenta)
            if progress.best is record:
                best = cpu_state(model)
            if accelerator.is_main_process and stage.keeps(epoch + 1):
                checkpoint = Checkpoint(
                    cpu_state(model),
                    optimizer.state_dict(),
                    scheduler.state_dict(),
                    accelerator.scaler.state_dict() if accelerator.scaler else {},
                    progress,
                )
                bar.write(record.table_row(best=progress.best is record))
                keep(run, checkpoint, best)
                best = {}
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    accelerator.free_memory()


def keep(run: RunFolder, checkpoint: Checkpoint, best: dict[str, torch.Tensor]) -> None:
    """Puts an epoch on disk, and the best weights where there are new ones.

    The checkpoint comes last: what it counts as done, a resumed run does not do again.
    """
    if best:
        run.save_best(best)
    run.write_metrics(checkpoint.progress)
    save_checkpoint(run.checkpoints, checkpoint)
