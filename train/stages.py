"""The story of one stage: epochs under a single one-cycle, with a checkpoint at the end of each."""

import time
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.utils import ModelEmaV3
from tqdm import tqdm

from train.fitting.batches import TransformedImages, hash_seed
from train.fitting.checkpoint import Checkpoint, save_checkpoint
from train.fitting.loop import check_finite, train_one_epoch, validate
from train.fitting.model import cpu_state
from train.fitting.objective import Objective
from train.fitting.optim import make_one_cycle, make_optimizer
from train.fitting.progress import EpochRecord, Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.fitting.tracking import log_epoch
from train.parts import training_transform
from train.plan import Stage, set_frozen
from train.rates import settled_rate


def run_stage(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    model: Any,
    loaders: tuple[TransformedImages, Any, Any],
    data_config: dict[str, Any],
    objective: Objective,
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
        data_config: How pictures are prepared, in timm's terms.
        objective: Gives the loss.
        run: Where checkpoints and metrics go.
        progress: What was done before; grows by a record per epoch.
        resumed: The checkpoint to continue from, when this stage is the first to run in this process.

    Raises:
        DivergedError: The loss is not finite.
        RateError: The rate is to be found, and no rate can be suggested.
    """
    train_images, train_loader, valid_loader = loaders
    set_frozen(model, stage)
    if resumed:
        model.load_state_dict(resumed.model)
    max_lr = settled_rate(accelerator, recipe, stage, model, train_images, objective, run, progress)
    optimizer = make_optimizer(model, max_lr, stage.lr_mult, recipe.weight_decay)
    scheduler = make_one_cycle(
        optimizer,
        # The last step of an epoch has as many batches as are left.
        stage.epochs * -(-len(train_loader) // recipe.gradient_accumulation_steps),
        recipe.pct_start,
        recipe.div_factor,
        recipe.final_div_factor,
    )
    ema = ModelEmaV3(model, recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
    done = progress.epochs_done(stage.number)
    if resumed and done:
        optimizer.load_state_dict(resumed.optimizer)
        scheduler.load_state_dict(resumed.scheduler)
        if accelerator.scaler:
            accelerator.scaler.load_state_dict(resumed.scaler)
        if ema:
            ema.module.load_state_dict(resumed.ema)
    prepared, prepared_optimizer = accelerator.prepare(model, optimizer)
    if recipe.compile:
        # Around `model`, not in place: what is published is the plain one.
        prepared = torch.compile(prepared)

    with tqdm(
        total=stage.epochs * len(train_loader),
        initial=done * len(train_loader),
        unit="step",
        disable=not accelerator.is_main_process,
    ) as bar:
        for epoch in range(done, stage.epochs):
            if progress.is_over(stage.number, stage.epochs, recipe.patience):
                break
            began = time.perf_counter()
            title = f"stage {stage.number}, epoch {epoch + 1}/{stage.epochs}"
            # Whatever is random in an epoch follows from its number, so that a resumed run repeats nothing.
            epoch_seed = hash_seed(recipe.seed, stage.number, epoch) % 2**32
            set_seed(epoch_seed, device_specific=True)
            train_loader.set_epoch(epoch_seed)
            # accelerate tells the sampler or the dataset, not both.
            train_images.set_epoch(epoch_seed)
            train_images.transform = training_transform(recipe, data_config, stage.side(epoch))
            trace = train_one_epoch(
                accelerator,
                prepared,
                train_loader,
                prepared_optimizer,
                scheduler,
                objective,
                epoch_seed,
                recipe.max_grad_norm,
                ema,
                title,
                bar,
            )
            judged = ema.module if ema else prepared
            logits, labels = validate(accelerator, judged, valid_loader, f"{title}, validation")
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
            log_epoch(accelerator, progress, len(trace.losses))
            if accelerator.is_main_process:
                checkpoint = Checkpoint(
                    cpu_state(model),
                    optimizer.state_dict(),
                    scheduler.state_dict(),
                    accelerator.scaler.state_dict() if accelerator.scaler else {},
                    progress,
                    cpu_state(ema.module) if ema else {},
                )
                bar.write(record.table_row(best=progress.best is record))
                keep(run, checkpoint)
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    accelerator.free_memory()


def keep(run: RunFolder, checkpoint: Checkpoint) -> None:
    """Puts an epoch on disk. The checkpoint comes last: what it counts as done, a resumed run does not do again."""
    if checkpoint.progress.best is checkpoint.progress.records[-1]:
        run.save_best(checkpoint.ema or checkpoint.model)
    run.write_metrics(checkpoint.progress)
    save_checkpoint(run.checkpoints, checkpoint)
