"""The story of one stage: epochs under a single one-cycle, with a checkpoint after each and within long ones."""

import math

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from tqdm import tqdm

from train.fitting.averaging import WeightAverage
from train.fitting.checkpoint import Checkpoint
from train.fitting.frozen import Classifier
from train.fitting.loop import check_finite, train_one_epoch, validate
from train.fitting.model import cpu_state
from train.fitting.optim import make_one_cycle
from train.fitting.progress import EpochRecord, EpochTrace, Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.fitting.sampling import hash_seed
from train.fitting.state import StageState
from train.fitting.stepper import Stepper
from train.fitting.tracking import log_epoch
from train.lesson import prepare_lesson
from train.parts import Parts
from train.plan import Stage
from train.rates import settled_rate
from train.running.keeper import Keeper
from train.running.stopping import StopRequest
from train.running.watching import WatchedBatches


def run_stage(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    parts: Parts,
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
        parts: The model, whose weights change in place, and what it learns from.
        run: Where checkpoints and metrics go.
        progress: What was done before; grows by a record per epoch.
        resumed: The checkpoint to continue from, when this stage is the first to run in this process.
        stop: Whether a signal has asked for the end.

    Raises:
        DivergedError: The loss is not finite.
        FrozenError: The architecture's classifier can't learn alone.
        RateError: The rate is to be found, and no rate can be suggested.
        FeaturesError: The disk is full.
        KeepError: The disk is full.
        Stopped: A signal has asked for it; what was done is on disk.
    """
    model = parts.model
    if resumed:
        model.load_state_dict(resumed.model)
    lesson = prepare_lesson(accelerator, recipe, stage, parts, run.features, progress, stop)
    train_batches, valid_loader = lesson.train_batches, lesson.valid_loader
    max_lr = settled_rate(accelerator, recipe, stage, parts.model, lesson, run, progress, stop)
    accumulation = recipe.gradient_accumulation_steps
    optimizer = lesson.optimizer(model, max_lr, stage.lr_mult)
    scheduler = make_one_cycle(
        optimizer,
        stage.epochs * math.ceil(len(train_batches) / accumulation),
        recipe.pct_start,
        recipe.div_factor,
        recipe.final_div_factor,
    )
    ema = ModelEmaV3(model, recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
    done = progress.epochs_done(stage.number)
    begun = resumed.trace if resumed else None
    within = resumed if done or begun else None
    average = None
    if recipe.wise_ft and not stage.frozen:
        average = WeightAverage(model, within.start if within else cpu_state(model), recipe.wise_ft)
    state = StageState(model, optimizer, scheduler, accelerator.scaler, ema, average, lesson.scale)
    if within:
        state.restore(within)
    prepared, prepared_optimizer = accelerator.prepare(lesson.learner, optimizer)
    if recipe.compile and not stage.views:
        # Around the model, not in place: what is published is the plain one.
        prepared = torch.compile(prepared)
    stepper = Stepper(
        accelerator,
        prepared,
        prepared_optimizer,
        lesson.objective,
        accumulation,
        recipe.max_grad_norm,
        recipe.freeze_batchnorm,
    )
    judged = prepared
    if average:
        judged = average.module
    elif ema:
        judged = Classifier(ema.module, 0.0, lesson.scale) if stage.views else ema.module
    # A stream has no place to go on from but its start.
    minutes = None if recipe.streaming else recipe.checkpoint_minutes
    keeper = Keeper(accelerator, run, state, progress, stop, minutes)

    with tqdm(
        total=stage.epochs * len(train_batches),
        initial=done * len(train_batches) + (begun.batches if begun else 0),
        unit="batch",
        disable=not accelerator.is_main_process,
    ) as bar:
        for epoch in range(done, stage.epochs):
            title = f"stage {stage.number}, epoch {epoch + 1}/{stage.epochs}"
            # Whatever is random in an epoch follows from its number, so that a resumed run repeats nothing.
            epoch_seed = hash_seed(recipe.seed, stage.number, epoch) % 2**32
            trace, begun = begun or EpochTrace(stage.number, epoch + 1), None
            if not stage.views:
                parts.train_batches.augmenter.side = stage.side(epoch)
            train_batches.start(epoch_seed, trace.batches)
            keeper.begin(trace)
            watched = WatchedBatches(train_batches, keeper.wish, keeper.act)
            train_one_epoch(stepper, watched, state, title, bar, epoch_seed, trace)
            if average:
                average.follow(state.learned)
            watched = WatchedBatches(valid_loader, keeper.wish, keeper.act)
            logits, labels = validate(accelerator, judged, watched, f"{title}, validation")
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
                candidate=stage.offers(epoch + 1),
            )
            progress.add(record, trace.losses, trace.rates, trace.momenta)
            log_epoch(accelerator, progress)
            over = progress.is_over(stage.number, stage.epochs, recipe.patience)
            keeps = over or stage.keeps(epoch + 1)
            if accelerator.is_main_process and keeps:
                bar.write(record.table_row(best=progress.best is record))
            keeper.end_epoch(keeps)
            if over:
                break
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    accelerator.free_memory()
    lesson.end(model)
