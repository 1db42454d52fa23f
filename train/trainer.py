"""Training: a run's stages, the epochs of a stage, the steps of an epoch, from top to bottom.

Whatever is random follows from the recipe's seed, the stage, the epoch and the batch. So a checkpoint holds no random
state, and a run that was interrupted anywhere ends in the same bits as one that was not.
"""

import copy
import itertools
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator, PartialState
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from files.errors import UserError
from train.checkpoint import Checkpoint
from train.data import LabelledImages, groups_of
from train.features import cached_features, choose_l2
from train.hardware import choose_hardware
from train.history import TABLE_HEAD, EpochRecord, EpochTrace, History
from train.loaders import EpochBatches, PictureBatches, hash_seed, make_train_batches, make_valid_batches
from train.lr_finder import LRFinderResult, preserved, range_test
from train.model import (
    Classifier,
    FrozenBackbone,
    checkpoint_gradients,
    classifier_names,
    cpu_state,
    freeze_backbone,
    model_data_config,
    rescale,
    set_training_mode,
    takes_scale,
    try_model,
    unfreeze,
    zero_classifier,
)
from train.optim import Objective, make_one_cycle, make_optimizer, momentum_of, rareness
from train.processes import (
    SynchronisedBatches,
    agree,
    everywhere,
    from_main,
    make_accelerator,
    synchronise_batchnorm,
)
from train.recipe import Recipe
from train.report.plots import plot_lr_finder, save
from train.run_folder import RunFolder
from train.setup import first_model
from train.stopping import Stopped, StopRequest, stop_requests

_SAVE = 1
# Averaged weights have statistics of their own: so many batches are enough to estimate them.
_STATISTICS_BATCHES = 100
# Reading a loss waits for the GPU, and summing it up for the other processes.
_STEPS_PER_READING = 16
_LOWER = "lower max_lr (stage 1: freeze_max_lr), in another output_dir"


class DivergedError(UserError):
    """The loss is no longer a number."""


class RateError(UserError):
    """No learning rate can be suggested where one is needed."""


class SaveError(UserError):
    """A run that could not be put on disk; what was saved before is whole."""


@dataclass(frozen=True)
class Stage:
    """One one-cycle: over the classifier alone, or over everything.

    Attributes:
        number: 1 or 2.
        epochs: How many.
        max_lr: The classifier's highest rate, or "auto".
        lr_mult: Each layer group learns at this share of the rate of the one above.
        frozen: Whether only the classifier learns.
        sizes: Sides of the pictures in pixels, one after the other, each for an equal share of the epochs.
        views: Views per picture whose features are cached, so that epochs are passes over these; 0 for none.
        patient: Whether it may end before its last epoch.
    """

    number: int
    epochs: int
    max_lr: float | Literal["auto"]
    lr_mult: float
    frozen: bool
    sizes: tuple[int, ...]
    views: int = 0
    patient: bool = False

    def is_candidate(self, epoch: int) -> bool:
        """Whether the model after an epoch, counted from 1, may be the one that is kept.

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

    def size(self, epoch: int) -> int:
        """Returns the side of an epoch's pictures in pixels; epochs are counted from 0."""
        return self.sizes[epoch * len(self.sizes) // self.epochs]

    def is_printed(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, is printed: of passes over cached features every fifth part of them."""
        return not self.views or epoch == self.epochs or epoch % math.ceil(self.epochs / 5) == 0


def stages(recipe: Recipe, steps_per_epoch: int) -> list[Stage]:
    """Returns the stages of a recipe that have epochs; stage 2 as many as its steps take."""
    own, patient = (recipe.image_size,), recipe.patience is not None
    epochs = max(recipe.epochs, math.ceil(recipe.min_steps / steps_per_epoch)) if recipe.epochs else 0
    both = [
        Stage(1, recipe.freeze_epochs, recipe.freeze_max_lr, 1.0, True, own, recipe.feature_views, patient),
        Stage(2, epochs, recipe.max_lr, recipe.lr_mult, False, recipe.image_sizes or own, patient=patient),
    ]
    return [stage for stage in both if stage.epochs]


@dataclass(frozen=True)
class StageSetup:
    """What a stage trains, and on what.

    Attributes:
        learner: Shares its weights with the run's model.
        train_batches: Of pictures, or of features.
        valid_batches: Of the same.
        objective: Gives the loss.
        weight_decay: Of the optimizer.
        decoupled: As AdamW has it; otherwise it is an L2 penalty.
        scale: Powers of two that the features are divided by, of shape (features,). The classifier's weight is
            multiplied by them while the stage runs: in the model, not in what is saved. None: by nothing.
    """

    learner: Any
    train_batches: Any
    valid_batches: Any
    objective: Objective
    weight_decay: float
    decoupled: bool = True
    scale: torch.Tensor | None = None


class Trainer:
    """A run: its model, its data, what it has done so far, and how it goes on.

    Attributes:
        recipe: What to do, with the precision and the layout in memory that were chosen for this machine.
        hardware: How these were chosen.
        accelerator: Knows devices, processes and precision.
        run: Where checkpoints, metrics and figures go.
        images: What to learn from and to validate by.
        model: On the accelerator's device; its weights change in place.
        data_config: How pictures are prepared for it, in timm's terms.
        objective: Gives the loss.
        stages: What there is to do, done or not.
        train_batches: Augmented pictures, shared out among the processes, in an order of its own for every epoch.
        valid_batches: Shared out among the processes.
        history: The epochs that are done, and what was chosen where the recipe says "auto".
        resumed: The checkpoint to go on from, until its stage has begun.
        stop: Whether a signal has asked for the end.
    """

    def __init__(self, recipe: Recipe, run: RunFolder, images: LabelledImages, quiet: bool = False) -> None:
        """Builds everything, and tries whether the model can be trained here; nothing is written.

        Args:
            recipe: What to do.
            run: Where checkpoints, metrics and figures go.
            images: What to learn from and to validate by.
            quiet: Print nothing, and show no bars.

        Raises:
            UserError: Unknown architecture, weights that can't be had or don't fit, or a model that can't be trained.
        """
        state = PartialState()
        self.run, self.images = run, images
        self.resumed = resumed = from_main(lambda: Checkpoint.newest(run.checkpoints))
        self.history = resumed.history if resumed else History()
        model = from_main(lambda: first_model(recipe, images.label_names, resumed is not None))
        share, wanted = recipe.batch_size // state.num_processes, (recipe.mixed_precision, recipe.channels_last)
        self.hardware = from_main(
            lambda: (
                (resumed and run.hardware()) or choose_hardware(model, *wanted, share, recipe.image_size, state.device)
            )
        )
        chosen: dict[str, Any] = {
            "mixed_precision": self.hardware.mixed_precision,
            "channels_last": self.hardware.channels_last,
        }
        self.recipe = recipe = recipe.model_copy(update=chosen)
        self.accelerator = accelerator = make_accelerator(
            recipe.mixed_precision,
            log_with=recipe.tracker,
            project_dir=recipe.output_dir / "logs",
            # Ours steps once per update; a prepared scheduler would step once per process.
            step_scheduler_with_optimizer=False,
        )
        if recipe.gradient_checkpointing:
            checkpoint_gradients(model, recipe.freeze_batchnorm)
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        model = model.to(accelerator.device, memory_format=layout)
        if not resumed:
            sizes, autocast = (recipe.image_size, *recipe.image_sizes), accelerator.autocast
            stage_1, stage_2 = bool(recipe.freeze_epochs), bool(recipe.epochs)
            everywhere(
                lambda: try_model(
                    model, images.label_names, sizes, share, freezes=stage_1, unfreezes=stage_2, autocast=autocast
                )
            )
        self.model = synchronise_batchnorm(model)
        self.data_config = model_data_config(self.model, recipe.image_size, recipe.crop_mode)
        classes = len(images.label_names)
        weights = rareness(images.split("train")["label"], classes) if recipe.class_balance == "weights" else None
        self.objective = Objective(classes, recipe.label_smoothing, recipe.mixup, recipe.cutmix, weights)
        self.train_batches = make_train_batches(recipe, accelerator, images, self.data_config)
        self.valid_batches = make_valid_batches(recipe, accelerator, images, self.data_config)
        steps_per_epoch = math.ceil(len(self.train_batches) / recipe.gradient_accumulation_steps)
        self.stages = stages(recipe, steps_per_epoch)
        self.stop = StopRequest()
        self.show = accelerator.is_main_process and not quiet
        alone_on_cpu = accelerator.num_processes == 1 and accelerator.device.type == "cpu"
        self.steps_per_reading = 1 if alone_on_cpu else _STEPS_PER_READING
        self.saved_at, self.began = time.monotonic(), 0.0
        self.trace: EpochTrace | None = None
        self.unsaved = False
        # Of the stage that runs.
        self.ema: ModelEmaV3 | None = None
        self.between: nn.Module | None = None
        self.start: dict[str, torch.Tensor] = {}
        self.scale: torch.Tensor | None = None

    @property
    def judged(self) -> nn.Module:
        """The model that is validated and kept: an average of weights where the recipe asks for one."""
        if self.between is not None:
            return self.between
        return self.ema.module if self.ema else self.model

    def train(self) -> None:
        """Runs the stages that are left; leaves the model with the weights that are kept.

        Raises:
            DivergedError: The loss is not finite.
            FrozenError: The architecture's classifier can't learn alone.
            RateError: A rate is to be found, and none can be suggested.
            FeaturesError: The disk is full.
            SaveError: The disk is full.
            Stopped: A signal has asked for the end; what was done is on disk.
        """
        history = self.history
        self.print(TABLE_HEAD)
        with stop_requests(self.accelerator) as self.stop:
            for stage in self.stages:
                for record in history.records:
                    if record.stage == stage.number and stage.is_printed(record.epoch):
                        self.print(record.table_row(best=history.best is record))
                if not history.is_over(stage.number, stage.epochs, self.recipe.patience):
                    self.run_stage(stage)
            if code := agree(self.stop.exit_code):
                raise Stopped(code)
        self.print(history.verdict())
        # safetensors takes tensors in their usual layout only.
        self.model.to(memory_format=torch.contiguous_format)
        self.model.load_state_dict(from_main(self.run.load_best))
        if self.recipe.gradient_checkpointing:
            self.model.set_grad_checkpointing(False)

    def run_stage(self, stage: Stage) -> None:
        """Runs what is left of a stage: epochs under a single one-cycle, saved after each and within long ones.

        Passes over cached features are saved after the last, and in between like long epochs.
        """
        recipe, accelerator, history, model = self.recipe, self.accelerator, self.history, self.model
        done, within = history.epochs_done(stage.number), self.load_start(stage)
        resumed, self.resumed = self.resumed, None
        trace = resumed.trace if resumed else None
        if resumed and accelerator.scaler:
            accelerator.scaler.load_state_dict(resumed.scaler)
        setup = self.prepare_stage(stage)
        batches, accumulation = setup.train_batches, recipe.gradient_accumulation_steps
        self.optimizer = make_optimizer(
            model, self.max_lr(stage, setup), stage.lr_mult, setup.weight_decay, setup.decoupled, recipe.optimizer
        )
        self.scheduler = make_one_cycle(
            self.optimizer,
            stage.epochs * math.ceil(len(batches) / accumulation),
            recipe.pct_start,
            recipe.div_factor,
            recipe.final_div_factor,
        )
        self.ema = ModelEmaV3(model, recipe.ema_decay, use_warmup=True) if recipe.ema_decay else None
        self.scale, self.start, self.between = setup.scale, {}, None
        if recipe.wise_ft and not stage.frozen:
            self.start, self.between = within.start if within else cpu_state(model), copy.deepcopy(model)
        if within:
            self.restore(within)
        learner, optimizer = accelerator.prepare(setup.learner, self.optimizer)
        if recipe.compile and not stage.views:
            # Around the model, not in place: what is published is the plain one.
            learner = torch.compile(learner)
        judged = learner if self.judged is model else self.judged
        if stage.views and self.ema:
            judged = Classifier(self.judged, 0.0, setup.scale)
        with tqdm(
            total=stage.epochs * len(batches),
            initial=done * len(batches) + (trace.batches if trace else 0),
            unit="batch",
            disable=None if self.show else True,
        ) as bar:
            for epoch in range(done, stage.epochs):
                title = f"stage {stage.number}, epoch {epoch + 1}/{stage.epochs}"
                seed = hash_seed(recipe.seed, stage.number, epoch) % 2**32
                self.trace, trace = trace or EpochTrace(stage.number, epoch + 1), None
                self.began = time.monotonic() - self.trace.seconds
                if not stage.views:
                    batches.resize(stage.size(epoch))
                self.train_one_epoch(learner, optimizer, setup, seed, title, bar)
                if self.between is not None:
                    self.between.load_state_dict(self.weights_between())
                if self.judged is not model and not stage.frozen and not recipe.freeze_batchnorm:
                    self.estimate_statistics(self.judged, batches, seed)
                watched = SynchronisedBatches(setup.valid_batches, self.requested, self.obey)
                logits, labels = validate(accelerator, judged, watched, f"{title}, validation", self.show)
                if not torch.isfinite(logits).all():
                    raise DivergedError(f"the model gives no numbers any more ({title}): {_LOWER}")
                self.end_epoch(stage, logits, labels, bar)
                if history.is_over(stage.number, stage.epochs, recipe.patience):
                    break
        accelerator.unwrap_model(learner, keep_fp32_wrapper=False)
        accelerator.free_memory()
        if setup.scale is not None:
            scale_classifier(model, 1 / setup.scale)

    def train_one_epoch(
        self, learner: Any, optimizer: Any, setup: StageSetup, seed: int, title: str, bar: tqdm
    ) -> None:
        """Takes a step per batch, or per as many batches as are accumulated.

        Args:
            learner: Prepared by the accelerator.
            optimizer: Prepared.
            setup: The batches, and the loss.
            seed: What is random in the epoch follows from it.
            title: Names the epoch, on the progress bar and in errors.
            bar: Moves on by one per batch.

        Raises:
            DivergedError: The loss is not finite.
        """
        accelerator, trace, batches = self.accelerator, self.trace, setup.train_batches
        assert trace is not None, "an epoch runs"
        set_training_mode(accelerator.unwrap_model(learner), self.recipe.freeze_batchnorm)
        batches.start(seed, trace.batches)
        bar.set_description(title)
        unread: list[torch.Tensor] = []

        def read() -> None:
            if not unread:
                return
            sums = accelerator.reduce(torch.stack(unread), "sum").cpu()
            unread.clear()
            for loss, right, seen in sums.tolist():
                trace.losses.append(loss / accelerator.num_processes)
                trace.right, trace.seen = trace.right + int(right), trace.seen + int(seen)
                if not math.isfinite(loss):
                    rate = trace.rates[len(trace.losses) - 1]
                    where = f"{title}, step {len(trace.losses)}, learning rate {rate:.2g}"
                    raise DivergedError(f"the loss became {loss} ({where}): {_LOWER}")
            accuracy = f"{trace.right / trace.seen:.1%}"
            bar.set_postfix(loss=f"{trace.losses[-1]:.3f}", accuracy=accuracy, lr=f"{rates[-1]:.1e}", refresh=False)

        def obey(agreed: int) -> None:
            read()
            self.obey(agreed)

        for group in SynchronisedBatches(
            _Grouped(batches, self.recipe.gradient_accumulation_steps), self.requested, obey
        ):
            # Before the step: after its last one a one-cycle rises again.
            rates = [entry["lr"] for entry in optimizer.param_groups]
            trace.rates.append(max(rates))
            trace.momenta.append(momentum_of(optimizer.param_groups[-1]))
            seeds = [hash_seed(seed, trace.batches + number) for number in range(len(group))]
            unread.append(self.step(learner, optimizer, setup.objective, group, seeds))
            trace.batches += len(group)
            # fp16 skips a step whose gradients overflowed.
            if not accelerator.optimizer_step_was_skipped:
                self.scheduler.step()
                if self.ema:
                    self.ema.update(self.model, step=self.scheduler.last_epoch)
            if len(unread) == self.steps_per_reading:
                read()
            bar.update(len(group))
        read()

    def step(
        self,
        learner: nn.Module,
        optimizer: Any,
        objective: Objective,
        batches: list[tuple[torch.Tensor, torch.Tensor]],
        seeds: list[int],
    ) -> torch.Tensor:
        """Updates the weights by the mean gradient of some batches.

        Not by `accelerator.accumulate`: it counts from where a process began, and knows the end of prepared loaders
        only.

        Args:
            learner: Prepared by the accelerator; what does not require gradients stays as it is.
            optimizer: Prepared.
            objective: Gives the loss.
            batches: Float32 (batch, 3, height, width), or features, and int64 (batch,).
            seeds: One per batch: mixing and dropout follow from it.

        Returns:
            Mean loss, right answers and pictures of this process, on its device, of shape (3,).
        """
        accelerator = self.accelerator
        sums = torch.zeros(3, device=accelerator.device)
        for number, ((images, labels), seed) in enumerate(zip(batches, seeds, strict=True), 1):
            self._seed(seed)
            with nullcontext() if number == len(batches) else accelerator.no_sync(learner):
                answer = objective(learner, images, labels, seed)
                accelerator.backward(answer.loss / len(batches))
            loss = answer.loss.detach().float() / len(batches)
            sums += torch.stack([loss, answer.right.float(), torch.full_like(loss, answer.pictures)])
        if self.recipe.max_grad_norm is not None:
            accelerator.clip_grad_norm_(learner.parameters(), self.recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return sums

    def _seed(self, seed: int) -> None:
        """Seeds what torch draws from, in each process differently.

        Not by `torch.manual_seed`: without a GPU it notes every call, and where it was made, for when one comes.
        """
        own = (seed + self.accelerator.process_index) % 2**32
        torch.default_generator.manual_seed(own)
        if self.accelerator.device.type != "cpu":
            torch.get_device_module(self.accelerator.device).manual_seed(own)

    def load_start(self, stage: Stage) -> Checkpoint | None:
        """Gives the model the weights that what is left of a stage begins with.

        Returns:
            The checkpoint to go on from within the stage; None at its beginning.
        """
        resumed = self.resumed
        if resumed and (resumed.trace or self.history.epochs_done(stage.number)):
            self.model.load_state_dict(resumed.model)
            return resumed
        if self.history.records:
            # Not the last weights of the stage before: with an average or patience, others were judged and kept.
            self.model.load_state_dict(from_main(self.run.load_best))
        return None

    def prepare_stage(self, stage: Stage, folder: Path | None = None) -> StageSetup:
        """Freezes what is frozen and prepares what there is to learn from: pictures, or their features.

        Args:
            stage: What is to run.
            folder: Where features go; default: the run's. Those that are there are of the same recipe.

        Raises:
            FrozenError: The architecture's classifier can't learn alone.
            DatasetError: A picture can't be decoded.
            FeaturesError: The disk is full.
            Stopped: A signal has asked for the end.
        """
        recipe, model, batches = self.recipe, self.model, self.train_batches
        if stage.frozen:
            freeze_backbone(model)
            learner: Any = FrozenBackbone(model, recipe.drop_rate, (3, recipe.image_size, recipe.image_size))
        else:
            unfreeze(model)
            learner = model
        if not stage.views:
            batches.resize(stage.size(0))
            if recipe.cache_images:
                batches.cache(self.stop)
                self.valid_batches.cache(self.stop)
            return StageSetup(learner, batches, self.valid_batches, self.objective, recipe.weight_decay)
        assert isinstance(batches, PictureBatches), "the recipe has no views with a stream"
        train, valid = cached_features(
            self.accelerator, learner, batches, self.valid_batches, recipe, folder or self.run.features, self.stop
        )
        strength = recipe.feature_l2
        if strength == "auto":
            rows, chosen = self.images.split("train"), self.history.chosen
            if "feature_l2" not in chosen:
                groups = groups_of(rows) or [str(number) for number in range(len(rows))]
                chosen["feature_l2"] = from_main(lambda: choose_l2(train, groups, recipe.seed))
                self.print(f"feature_l2={chosen['feature_l2']:g}, chosen by folds of the training pictures")
            strength = chosen["feature_l2"]
        if not self.history.records and recipe.init_from is None:
            # As logistic regression begins. What timm's initialisation put there would stay where no picture says
            # otherwise: on an EfficientNet so large that 69.8 % of 291 held-out photographs were right, not 72.5 %.
            zero_classifier(model)
        scale = train.spread().to(self.accelerator.device) if takes_scale(model) else None
        if scale is not None:
            scale_classifier(model, scale)
        batch_size = recipe.batch_size * stage.views
        return StageSetup(
            Classifier(model, recipe.drop_rate, scale),
            EpochBatches(self.accelerator, train.loader(batch_size, recipe.seed, recipe.class_balance == "sampling")),
            self.accelerator.prepare(valid.loader(batch_size)),
            self.objective.without_mixing(),
            # The loss is a mean.
            strength / len(train),
            decoupled=False,
            scale=scale,
        )

    def max_lr(self, stage: Stage, setup: StageSetup) -> float:
        """Returns a stage's highest rate; for "auto", the finder's suggestion, which is looked for once per run.

        Raises:
            RateError: There is no suggestion.
        """
        if stage.max_lr != "auto":
            return stage.max_lr
        chosen = self.history.chosen
        if stage.rate_key not in chosen:
            result = self.find_lr(stage, setup)
            if result.suggestion is None:
                raise RateError(
                    f"{stage.rate_key}=auto finds no rate: {result.reason} (see {lr_figure(self.run, stage)}); "
                    f"go on with {stage.rate_key}=NUMBER resume_from_checkpoint=true"
                )
            chosen[stage.rate_key] = result.suggestion
            self.print(f"{stage.rate_key}={result.suggestion:.2g}, found")
        return chosen[stage.rate_key]

    def find_lr(self, stage: Stage, setup: StageSetup) -> LRFinderResult:
        """Runs the learning-rate finder as the stage would begin, and writes its curve; the model stays as it was.

        Raises:
            Stopped: A signal has asked for the end.
        """
        recipe, accelerator = self.recipe, self.accelerator
        # Only the ratio of the layer groups' rates counts.
        decay = setup.weight_decay, setup.decoupled
        optimizer = make_optimizer(self.model, 1.0, stage.lr_mult, *decay, recipe.optimizer)
        shares = [group["lr"] for group in optimizer.param_groups]
        seed = hash_seed(recipe.seed, stage.number, -1)

        def endless() -> Iterator[Any]:
            for epoch in itertools.count():
                setup.train_batches.start(hash_seed(seed, epoch) % 2**32, 0)
                yield from setup.train_batches

        steps = enumerate(
            SynchronisedBatches(
                _Grouped(endless(), recipe.gradient_accumulation_steps), lambda: self.stop.exit_code, _end
            )
        )
        learner, optimizer = accelerator.prepare(setup.learner, optimizer)

        def loss_at(rate: float) -> float:
            for group, share in zip(optimizer.param_groups, shares, strict=True):
                group["lr"] = rate * share
            number, batches = next(steps)
            first = number * recipe.gradient_accumulation_steps
            seeds = [hash_seed(seed, first + place) for place in range(len(batches))]
            sums = self.step(learner, optimizer, setup.objective, batches, seeds)
            return accelerator.reduce(sums, "mean")[0].item()

        with preserved(self.model, accelerator.scaler):
            set_training_mode(accelerator.unwrap_model(learner), recipe.freeze_batchnorm)
            result = range_test(loss_at, self.show)
        accelerator.unwrap_model(learner, keep_fp32_wrapper=False)
        accelerator.free_memory()

        def write() -> None:
            save(plot_lr_finder(result), lr_figure(self.run, stage))
            self.run.add_finding(stage.number, asdict(result))

        from_main(write)
        return result

    def weights_between(self) -> dict[str, torch.Tensor]:
        """Returns weights on the line from those that the stage began with to those that it has learned.

        Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT): between a classifier on frozen
        features and the fine-tuned model, there often is one that is better than both.
        """
        weights, share = (self.ema.module if self.ema else self.model).state_dict(), self.recipe.wise_ft
        assert share is not None, "the recipe asks for it"
        for name, value in weights.items():
            if value.is_floating_point():
                weights[name] = torch.lerp(self.start[name].to(value.device), value, share)
        return weights

    def estimate_statistics(self, model: nn.Module, batches: Any, seed: int) -> None:
        """Estimates BatchNorm's statistics anew for averaged weights, from augmented training pictures.

        An average of statistics is not that of the averaged weights (Izmailov et al. 2018, "Averaging weights leads to
        wider optima and better generalization").
        """
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
            batches.start(hash_seed(seed, -1) % 2**32, 0)
            self._seed(seed)
            with self.accelerator.autocast():
                update_bn(itertools.islice(batches, _STATISTICS_BATCHES), model)

    def end_epoch(self, stage: Stage, logits: torch.Tensor, labels: torch.Tensor, bar: tqdm) -> None:
        """Adds an epoch to the history, and saves it with the model, where that is the best so far.

        Raises:
            SaveError: The disk is full or closed.
        """
        trace, history = self.trace, self.history
        assert trace is not None, "an epoch runs"
        record = EpochRecord(
            stage=stage.number,
            epoch=trace.epoch,
            train_loss=trace.loss,
            train_accuracy=trace.accuracy,
            validation_loss=F.cross_entropy(logits, labels).item(),
            validation_accuracy=(logits.argmax(1) == labels).double().mean().item(),
            max_lr=max(trace.rates),
            seconds=time.monotonic() - self.began,
            steps=len(trace.losses),
            candidate=stage.is_candidate(trace.epoch),
        )
        history.add(record, trace.losses, trace.rates, trace.momenta)
        self.log_epoch()
        over = history.is_over(stage.number, stage.epochs, self.recipe.patience)
        self.trace, self.unsaved = None, True
        if self.show and (over or stage.is_printed(trace.epoch)):
            bar.write(record.table_row(best=history.best is record))
        # A pass over cached features may take less time than writing the model does.
        if over or not stage.views:
            self.save()

    def requested(self) -> int:
        """Returns what this process asks for before the next step: 0, a checkpoint (1), or to stop (128 + signal)."""
        if self.stop.exit_code:
            return self.stop.exit_code
        # A stream has no place to go on from but the beginning of an epoch.
        due = not self.recipe.streaming and time.monotonic() - self.saved_at >= 60 * self.recipe.checkpoint_minutes
        return _SAVE if due and self.accelerator.is_main_process else 0

    def obey(self, agreed: int) -> None:
        """Does what the processes have agreed on.

        Raises:
            Stopped: It was to stop.
            SaveError: The disk is full or closed.
        """
        if self.unsaved or (self.trace and self.trace.batches and not self.recipe.streaming):
            self.save()
        if agreed != _SAVE:
            raise Stopped(agreed)

    def save(self) -> None:
        """Writes a checkpoint, last of all: what it counts as done, a resumed run does not do again.

        Raises:
            SaveError: The disk is full or closed.
        """
        trace, history = self.trace, self.history
        if self.recipe.streaming or (trace and not trace.batches):
            trace = None
        if trace:
            trace.seconds = time.monotonic() - self.began

        def write() -> None:
            checkpoint = self.checkpoint(trace)
            try:
                if self.unsaved:
                    if history.best is history.records[-1]:
                        self.run.save_best(self.saved_weights(self.judged))
                    self.run.write_metrics(history)
                checkpoint.save(self.run.checkpoints)
            except OSError as error:
                raise SaveError(
                    f"{error.strerror or error}: {checkpoint.name} can't be written to {self.run.checkpoints}; the "
                    "checkpoint before it is whole: make room there, then continue with resume_from_checkpoint=true"
                ) from error

        from_main(write)
        self.saved_at, self.unsaved = time.monotonic(), False

    def checkpoint(self, trace: EpochTrace | None) -> Checkpoint:
        """Returns everything that a run needs to go on."""
        scaler = self.accelerator.scaler
        return Checkpoint(
            self.saved_weights(self.model),
            self.optimizer.state_dict(),
            self.scheduler.state_dict(),
            scaler.state_dict() if scaler else {},
            self.history,
            trace,
            self.saved_weights(self.ema.module) if self.ema else {},
            self.start,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts everything back as it was when a checkpoint was made within this stage."""
        self.load_weights(self.model, checkpoint.model)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        # The fused AdamW takes a weight's number and its average's from the same place in memory, and says nothing
        # where channels_last has them elsewhere.
        for parameter, state in self.optimizer.state.items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    state[key] = torch.empty_like(parameter).copy_(value)
        self.scheduler.load_state_dict(checkpoint.scheduler)
        if self.ema:
            self.load_weights(self.ema.module, checkpoint.ema)

    def saved_weights(self, model: nn.Module) -> dict[str, torch.Tensor]:
        """Returns a copy of a model's weights in main memory, for features that are divided by nothing."""
        weights = cpu_state(model)
        if self.scale is not None:
            for name in classifier_names(model):
                if weights[name].ndim > 1:
                    weights[name] = rescale(weights[name], 1 / self.scale)
        return weights

    def load_weights(self, model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
        """Loads what `saved_weights` gave."""
        model.load_state_dict(weights)
        if self.scale is not None:
            scale_classifier(model, self.scale)

    def log_epoch(self) -> None:
        """Tells the tracker, if any, of the last epoch: loss, rate and momentum of each step, then its record."""
        history, log = self.history, self.accelerator.log
        done = len(history.losses)
        for step in range(done - history.records[-1].steps, done):
            values = {"loss": history.losses, "learning_rate": history.rates, "momentum": history.momenta}
            log({f"step/{key}": of[step] for key, of in values.items()}, step=step + 1)
        log({f"epoch/{key}": value for key, value in asdict(history.records[-1]).items()}, step=done)

    def print(self, line: str) -> None:
        """Prints a line, once."""
        if self.show:
            print(line, flush=True)


class _Grouped:
    """Lists of the batches that steps are made of; an epoch's last step has as many as are left."""

    def __init__(self, batches: Iterable[Any], size: int) -> None:
        self.batches, self.size = batches, size

    def __iter__(self) -> Iterator[list[Any]]:
        batches = iter(self.batches)
        while group := list(itertools.islice(batches, self.size)):
            yield group


def _end(code: int) -> None:
    raise Stopped(code)


@torch.inference_mode()
def validate(
    accelerator: Accelerator, model: nn.Module, batches: Any, title: str, show: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs a model over batches.

    Args:
        accelerator: Has prepared the batches.
        model: Need not be prepared: an average of weights is not, and computes in the same precision all the same.
        batches: Of images, or features, and labels.
        title: Names the pass on its progress bar.
        show: Show a bar.

    Returns:
        Logits, float32 of shape (pictures, classes), and labels, int64 of shape (pictures,), both in main memory,
        every picture once and in the dataset's order.
    """
    model.eval()
    logits, labels = [], []
    hidden = None if show and accelerator.is_main_process else True
    # A pass that takes no second needs no bar.
    with tqdm(batches, desc=title, unit="batch", disable=hidden, leave=False, delay=1) as bar:
        for images, truth in bar:
            with accelerator.autocast():
                answer = model(images)
            # Drops the pictures that were repeated to give every process a full batch.
            answer, truth = accelerator.gather_for_metrics((answer.float(), truth))
            logits.append(answer.cpu())
            labels.append(truth.cpu())
    return torch.cat(logits), torch.cat(labels)


@torch.no_grad()
def scale_classifier(model: nn.Module, scale: torch.Tensor) -> None:
    """Multiplies the classifier's weight in place, for features that are divided by `scale`, of shape (features,)."""
    within = classifier_names(model)
    for name, parameter in model.named_parameters():
        if name in within and parameter.ndim > 1:
            parameter.copy_(rescale(parameter, scale))


def lr_figure(run: RunFolder, stage: Stage) -> Path:
    """Returns where the learning-rate finder's curve of a stage is drawn."""
    return run.figures / f"lr_finder-stage{stage.number}.png"
