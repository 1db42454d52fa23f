"""The story of one stage: epochs under a single one-cycle, with a checkpoint after each and within long ones."""

import copy
import itertools
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType
from timm.utils import ModelEmaV3
from torch import nn
from tqdm import tqdm

from files.errors import UserError
from model_folder.folder import ModelFolder, open_model_folder
from train.augmentation import Augmentation, Augmenter, square_side, square_transform
from train.checkpoint import checkpoint_name, load_newest_checkpoint, save_checkpoint
from train.data import LabelledImages, groups_of
from train.features import choose_l2, feature_sets
from train.hardware import computes_bf16, keep_freed_memory
from train.history import EpochRecord, EpochTrace, Progress
from train.loaders import (
    EpochBatches,
    PictureBatches,
    TrainingImages,
    TransformedImages,
    eval_transform,
    hash_seed,
    make_loader,
    make_sampler,
)
from train.lr_finder import LRFinderResult, find_lr
from train.model import (
    Classifier,
    FrozenBackbone,
    build_model,
    check_previous,
    checkpoint_gradients,
    classifier_names,
    cpu_state,
    freeze_backbone,
    load_previous,
    model_data_config,
    rescale,
    set_training_mode,
    synchronise_batchnorm,
    takes_scale,
    unfreeze,
    zero_classifier,
)
from train.optim import Objective, make_one_cycle, make_optimizer, momentum_of, rareness
from train.processes import SynchronisedBatches, check_processes, from_main, make_accelerator, stoppable
from train.recipe import Recipe
from train.report.plots import plot_lr_finder
from train.run_folder import RunFolder
from train.stopping import Stopped, StopRequest
from train.streaming import StreamedBatches


class SetupError(UserError):
    """A recipe that this machine or this dataset can't run."""


@dataclass(frozen=True)
class Parts:
    """A run's model, and what it learns from.

    Attributes:
        model: On the accelerator's device; the stages change its weights in place.
        data_config: How pictures are prepared for it, in timm's terms.
        objective: Gives the loss.
        train_batches: Shared out among the processes, in an order of its own for every epoch.
        valid_loader: Shared out among the processes.
    """

    model: Any
    data_config: dict[str, Any]
    objective: Objective
    train_batches: PictureBatches | StreamedBatches
    valid_loader: Any


def recipe_accelerator(recipe: Recipe) -> Accelerator:
    """Returns the accelerator; `batch_size` counts pictures over all processes.

    Raises:
        TrackerError: There is no such tracker, or it is not installed.
        SetupError: fp16 without a GPU, or compiling without a compiler.
        ProcessesError: A batch that can't be divided among the processes.
    """
    if recipe.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise SetupError("mixed_precision=fp16 needs a GPU and there is none: use bf16 or no")
    if recipe.compile and torch.compiler.get_default_backend() == "inductor":
        check_compiler()
    if recipe.tracker:
        check_tracker(recipe.tracker)
    if not torch.accelerator.is_available():
        keep_freed_memory()
    accelerator = make_accelerator(
        _precision(recipe),
        log_with=recipe.tracker,
        project_dir=recipe.output_dir / "logs",
        # Ours steps once per update; a prepared scheduler would step once per process.
        step_scheduler_with_optimizer=False,
    )
    check_processes(recipe.batch_size)
    return accelerator


def _precision(recipe: Recipe) -> str:
    if recipe.mixed_precision != "auto":
        return recipe.mixed_precision
    return "bf16" if computes_bf16(torch.accelerator.current_accelerator() or torch.device("cpu")) else "no"


def check_compiler() -> None:
    """Makes sure that what torch.compile writes can be compiled.

    Raises:
        SetupError: There is no C++ compiler.
    """
    from torch.utils.cpp_extension import get_cxx_compiler

    if shutil.which(get_cxx_compiler()) is None:
        raise SetupError(
            f"compile=true needs a C++ compiler and {get_cxx_compiler()} is not found: install one (g++, clang), name "
            "it in CXX, or leave compile away"
        )


def make_parts(recipe: Recipe, accelerator: Accelerator, images: LabelledImages, resumed: bool) -> Parts:
    """Builds everything; `resumed` says that a checkpoint will fill in the model's weights.

    Raises:
        UserError: Unknown architecture, or weights that can't be had or don't fit.
    """
    model = from_main(lambda: start_model(recipe, images.label_names, resumed))
    model = synchronise_batchnorm(model).to(accelerator.device)
    data_config = model_data_config(model, recipe.image_size, recipe.crop_mode)
    valid_images = TransformedImages(images.split("validation"), eval_transform(data_config))
    return Parts(
        model,
        data_config,
        make_objective(recipe, images),
        make_train_batches(recipe, accelerator, images, data_config),
        accelerator.prepare(make_loader(valid_images, recipe.batch_size, recipe.num_workers)),
    )


def start_model(recipe: Recipe, label_names: list[str], resumed: bool) -> Any:
    """Builds the model that a run begins with.

    Args:
        recipe: Says where its weights come from.
        label_names: The dataset's classes.
        resumed: A checkpoint will fill in the weights: the first ones need not be at hand any more.

    Raises:
        UserError: Unknown architecture, or weights that can't be had or don't fit.
    """
    former = open_model_folder(recipe.init_from) if recipe.init_from is not None else None
    if former:
        check_previous(former, recipe.architecture, label_names)
    model: Any = build_model(
        recipe.architecture,
        len(label_names),
        recipe.image_size,
        pretrained=recipe.pretrained and not resumed and not former,
        weights=None if resumed else recipe.weights,
        drop_rate=recipe.drop_rate,
        preparation=_preparation(former) if former else None,
        drop_path_rate=recipe.drop_path_rate,
    )
    if any(side != recipe.image_size for side in recipe.image_sizes) and model.pretrained_cfg["fixed_input_size"]:
        raise SetupError(f"{recipe.architecture} sees pictures of one size only: leave image_sizes away")
    if former and not resumed:
        load_previous(model, former, label_names)
    return model.to(memory_format=torch.channels_last) if recipe.channels_last else model


def _preparation(former: ModelFolder) -> dict[str, Any]:
    # Those of its own first weights, which the architecture's name alone does not tell.
    return {key: former.config["pretrained_cfg"][key] for key in ("mean", "std", "interpolation")}


def make_train_batches(
    recipe: Recipe, accelerator: Accelerator, images: LabelledImages, data_config: dict[str, Any]
) -> PictureBatches | StreamedBatches:
    """Returns the training pictures as batches, augmented as the recipe says."""
    rows, labels = images.split("train"), list(images.split("train")["label"])
    largest = max(recipe.image_size, *recipe.image_sizes, 0)
    square = square_transform(data_config, square_side(largest, recipe.min_scale))
    draw = partial(make_augmentation(recipe).draw, recipe.crop_mode)
    augmenter = Augmenter(data_config)
    if images.stream is None:
        pictures = TrainingImages(rows, square, draw, recipe.seed)
        sampler = make_sampler(labels, recipe.seed, recipe.class_balance == "sampling")
        loader = make_loader(pictures, recipe.batch_size, recipe.num_workers, sampler)
        return PictureBatches(accelerator, loader, augmenter)
    return StreamedBatches(
        accelerator,
        images.stream,
        len(rows),
        square,
        draw,
        augmenter,
        recipe.seed,
        recipe.batch_size,
        recipe.num_workers,
        recipe.shuffle_buffer,
    )


def hold_pictures(recipe: Recipe, parts: Parts, stop: StopRequest) -> None:
    """Decodes the training pictures once, if the recipe says so, they are not streamed and they fit.

    Raises:
        DatasetError: One can't be decoded.
        Stopped: A signal has asked for it.
    """
    if recipe.cache_images and isinstance(parts.train_batches, PictureBatches):
        parts.train_batches.hold(stop)


def make_augmentation(recipe: Recipe) -> Augmentation:
    """Returns how far the recipe lets training pictures be changed."""
    return Augmentation(**{field.name: getattr(recipe, field.name) for field in fields(Augmentation)})


def make_objective(recipe: Recipe, images: LabelledImages) -> Objective:
    """Returns what the recipe minimises."""
    number = len(images.label_names)
    balanced = recipe.class_balance == "weights"
    return Objective(
        number,
        recipe.label_smoothing,
        recipe.mixup,
        recipe.cutmix,
        rareness(list(images.split("train")["label"]), number) if balanced else None,
    )


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
        if recipe.gradient_checkpointing:
            checkpoint_gradients(model, recipe.freeze_batchnorm)
        return model
    freeze_backbone(model)
    return FrozenBackbone(model, recipe.drop_rate, (3, recipe.image_size, recipe.image_size))


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
        optimizer_name: As the recipe has it.
    """

    learner: Any
    train_batches: EpochBatches | StreamedBatches
    valid_loader: Any
    objective: Objective
    weight_decay: float
    decoupled: bool = True
    scale: torch.Tensor | None = None
    optimizer_name: str = "adamw"

    def optimizer(self, model: nn.Module, max_lr: float, lr_mult: float) -> torch.optim.Optimizer:
        """Returns what moves the model's weights that learn, at such rates."""
        return make_optimizer(model, max_lr, lr_mult, self.weight_decay, self.decoupled, self.optimizer_name)

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
        return Lesson(
            learner,
            parts.train_batches,
            parts.valid_loader,
            parts.objective,
            recipe.weight_decay,
            optimizer_name=recipe.optimizer,
        )
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
        zero_classifier(parts.model)
    scale = None
    if takes_scale(parts.model):
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


class TrackerError(UserError):
    """A tracker that accelerate doesn't know, or whose package is missing."""


def check_tracker(name: str) -> None:
    """Makes sure that a tracker can be used.

    Raises:
        TrackerError: Says which there are, or what to install.
    """
    known = sorted(str(kind) for kind in LoggerType if str(kind) != "all")
    if name not in known:
        raise TrackerError(f"there is no tracker {name!r}: accelerate has {', '.join(known)}")
    if name not in map(str, get_available_trackers()):
        raise TrackerError(f"tracker={name} needs a package that is not installed: pip install {name}")


def start_tracking(accelerator: Accelerator, settings: dict[str, Any]) -> None:
    """Opens the tracker that the accelerator was made with, if any, and tells it the run's settings."""
    # Trackers take numbers and text.
    plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in settings.items()}
    accelerator.init_trackers("nritya", plain)


def log_epoch(accelerator: Accelerator, progress: Progress) -> None:
    """Logs the last epoch: loss, rate and momentum of each of its steps, then its record."""
    done = len(progress.losses)
    for step in range(done - progress.records[-1].steps, done):
        values = {
            "step/loss": progress.losses[step],
            "step/learning_rate": progress.rates[step],
            "step/momentum": progress.momenta[step],
        }
        accelerator.log(values, step=step + 1)
    record = asdict(progress.records[-1])
    accelerator.log({f"epoch/{key}": value for key, value in record.items()}, step=done)


class WeightAverage:
    """A model whose weights lie on the line from those that a stage began with to those that it has now.

    Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT): between a classifier on frozen features
    and the fine-tuned model, there often is one that is better than both.
    """

    def __init__(self, model: Any, start: dict[str, torch.Tensor], share: float) -> None:
        """Makes it.

        Args:
            model: What learns; it is copied.
            start: The weights that the stage began with, in main memory.
            share: How far from there to the learned ones, 0 to 1.
        """
        self.module = copy.deepcopy(model)
        self.start, self.share = start, share

    @torch.no_grad()
    def follow(self, learned: nn.Module) -> None:
        """Takes up what has been learned since; whole numbers, as of counted batches, are the learned ones."""
        weights = learned.state_dict()
        for name, value in weights.items():
            if value.is_floating_point():
                weights[name] = torch.lerp(self.start[name].to(value.device), value, self.share)
        self.module.load_state_dict(weights)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run at the end of an epoch or, with a trace, within one.

    Attributes:
        model: The model's state dict.
        optimizer: The optimizer's state dict.
        scheduler: The scheduler's state dict.
        scaler: The state of fp16's loss scaler, empty without one.
        progress: The epochs that are done.
        trace: The epoch that is not done, up to an optimizer's update; None between epochs.
        ema: The moving average of the weights, empty without one.
        start: The weights that the stage began with, where those that are kept are averaged with them; else empty.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    scaler: dict[str, Any]
    progress: Progress
    trace: EpochTrace | None = None
    ema: dict[str, torch.Tensor] = field(default_factory=dict)
    start: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name."""
        if self.trace:
            return checkpoint_name(self.trace.stage, self.trace.epoch, self.trace.batches)
        last = self.progress.records[-1]
        return checkpoint_name(last.stage, last.epoch)

    def save(self, folder: Path) -> Path:
        """Writes it and removes all but the two newest."""
        plain = {"progress": self.progress.to_json(), "trace": asdict(self.trace) if self.trace else None}
        return save_checkpoint(folder, self.name, {**vars(self), **plain})

    @classmethod
    def newest(cls, folder: Path) -> "Checkpoint | None":
        """Returns a run's newest checkpoint that is whole, or None."""
        if (state := load_newest_checkpoint(folder)) is None:
            return None
        trace = EpochTrace(**state["trace"]) if state["trace"] else None
        return cls(**{**state, "progress": Progress.from_json(state["progress"]), "trace": trace})


@dataclass(frozen=True)
class StageState:
    """One stage's moving parts.

    Attributes:
        model: The whole model, whatever of it learns.
        optimizer: Not prepared.
        scheduler: Steps with the optimizer.
        scaler: fp16's loss scaler, or None.
        ema: A moving average of the model's weights, which is validated and kept in their place; or None.
        average: Of these and those that the stage began with, which is validated and kept in place of both; or None.
        scale: Powers of two that the features are divided by while the stage runs, of shape (features,), and the
            classifier's weight is multiplied by: in the model, not in what is kept. None: by nothing.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any
    scaler: Any
    ema: ModelEmaV3 | None
    average: WeightAverage | None = None
    scale: torch.Tensor | None = None

    def follow(self) -> None:
        """Moves rate and average on, after a step of the optimizer."""
        self.scheduler.step()
        if self.ema:
            self.ema.update(self.model, step=self.scheduler.last_epoch)

    @property
    def learned(self) -> nn.Module:
        """The model with the weights that the stage has learned."""
        return self.ema.module if self.ema else self.model

    def judged_weights(self) -> dict[str, torch.Tensor]:
        """Returns a copy, in main memory, of the weights that are validated."""
        return self._kept(self.average.module if self.average else self.learned)

    def checkpoint(self, progress: Progress, trace: EpochTrace | None) -> Checkpoint:
        """Returns everything that a run needs to go on."""
        return Checkpoint(
            self._kept(self.model),
            self.optimizer.state_dict(),
            self.scheduler.state_dict(),
            self.scaler.state_dict() if self.scaler else {},
            progress,
            trace,
            self._kept(self.ema.module) if self.ema else {},
            self.average.start if self.average else {},
        )

    def _kept(self, model: nn.Module) -> dict[str, torch.Tensor]:
        weights = cpu_state(model)
        if self.scale is not None:
            for name in classifier_names(model):
                if weights[name].ndim > 1:
                    weights[name] = rescale(weights[name], 1 / self.scale)
        return weights

    def restore(self, checkpoint: Checkpoint) -> None:
        """Puts everything back as it was when the checkpoint was made, within this stage."""
        load_scaled(self.model, checkpoint.model, self.scale)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        # Checkpoints know one layout. The fused AdamW takes a weight's number and its average's from the same place in
        # memory, and says nothing where channels_last has them elsewhere.
        for parameter, state in self.optimizer.state.items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                    state[key] = torch.empty_like(parameter).copy_(value)
        self.scheduler.load_state_dict(checkpoint.scheduler)
        if self.scaler:
            self.scaler.load_state_dict(checkpoint.scaler)
        if self.ema:
            load_scaled(self.ema.module, checkpoint.ema, self.scale)


def load_scaled(model: nn.Module, weights: dict[str, torch.Tensor], scale: torch.Tensor | None) -> None:
    """Loads weights; the classifier's are multiplied by the scale of the features, if there is one."""
    model.load_state_dict(weights)
    if scale is not None:
        set_scale(model, scale)


@torch.no_grad()
def set_scale(model: nn.Module, scale: torch.Tensor) -> None:
    """Multiplies the classifier's weight in place, for features that are divided by `scale`, of shape (features,)."""
    within = classifier_names(model)
    for name, parameter in model.named_parameters():
        if name in within and parameter.ndim > 1:
            parameter.copy_(rescale(parameter, scale))


@dataclass(frozen=True)
class BatchResult:
    """What a batch of training pictures has shown, in all processes.

    Attributes:
        loss: The mean.
        right: Pictures classified correctly.
        pictures: How many there were.
    """

    loss: float
    right: int
    pictures: int


@dataclass(frozen=True)
class Stepper:
    """Takes the steps of the optimizer.

    Attributes:
        accelerator: Knows devices, processes and precision.
        model: Prepared by it; what does not require gradients stays as it is.
        optimizer: Prepared.
        objective: Gives the loss.
        accumulation: Batches per step.
        max_grad_norm: The gradient is clipped to this norm, if it is given.
        freeze_statistics: BatchNorm keeps its statistics.
    """

    accelerator: Accelerator
    model: nn.Module
    optimizer: Any
    objective: Objective
    accumulation: int = 1
    max_grad_norm: float | None = None
    freeze_statistics: bool = False

    def set_training_mode(self) -> None:
        """Makes the model ready for `take`."""
        set_training_mode(self.accelerator.unwrap_model(self.model), self.freeze_statistics)

    def take(self, batch: tuple[torch.Tensor, torch.Tensor], seed: int, share: int, completes: bool) -> BatchResult:
        """Adds a batch's gradient, and takes the step that it completes.

        Not by `accelerator.accumulate`: it counts from where a process began, and knows the end of prepared loaders
        only.

        Args:
            batch: Float32 (batch, 3, height, width), or features, and int64 (batch,).
            seed: Whatever is random in the batch follows from it: mixing, and dropout.
            share: Batches that the step is made of.
            completes: Whether this is the last of them.
        """
        accelerator = self.accelerator
        _set_chance(accelerator, seed % 2**32)
        with nullcontext() if completes else accelerator.no_sync(self.model):
            answer = self.objective(self.model, *batch, seed)
            accelerator.backward(answer.loss / share)
        if completes:
            if self.max_grad_norm is not None:
                accelerator.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
        loss = answer.loss.detach().float()
        sums = torch.stack([loss, answer.right.float(), torch.full_like(loss, answer.pictures)])
        total, right, pictures = accelerator.reduce(sums, "sum").tolist()
        return BatchResult(total / accelerator.num_processes, int(right), int(pictures))


def _set_chance(accelerator: Accelerator, seed: int) -> None:
    """Seeds what torch draws from, in each process differently.

    Not by `torch.manual_seed`: without a GPU it notes every call, for when one should come, with where it was made.
    """
    own = (seed + accelerator.process_index) % 2**32
    torch.default_generator.manual_seed(own)
    if accelerator.device.type != "cpu":
        torch.get_device_module(accelerator.device).manual_seed(own)


_SAVE = 1


class KeepError(UserError):
    """A run that could not be put on disk; what was kept before is whole."""


class Keeper:
    """One stage's states on their way to disk, written by the main process while the others wait."""

    def __init__(
        self,
        accelerator: Accelerator,
        run: RunFolder,
        state: StageState,
        progress: Progress,
        stop: StopRequest,
        minutes: float | None,
    ) -> None:
        """Watches over a stage.

        Args:
            accelerator: Knows processes.
            run: Where checkpoints and metrics go.
            state: What changes while the stage runs.
            progress: The epochs that are done.
            stop: Whether a signal has asked for the end.
            minutes: Time between checkpoints within an epoch; None when no run can go on from there.
        """
        self.accelerator, self.run, self.state, self.progress = accelerator, run, state, progress
        self.stop, self.minutes, self.saved = stop, minutes, time.monotonic()
        self.trace: EpochTrace | None = None
        self.began = 0.0
        # Whether an epoch that is done is not on disk.
        self.behind = False

    def begin(self, trace: EpochTrace) -> None:
        """Notes that the epoch of this trace runs from now on."""
        self.trace, self.began = trace, time.monotonic() - trace.seconds

    @property
    def seconds(self) -> float:
        """How long the epoch has taken, with the attempts that were interrupted."""
        return time.monotonic() - self.began

    def wish(self) -> int:
        """Returns what this process wants before the next batch: 0, a checkpoint (1), or to stop (128 + signal).

        Within a step of several batches it wants nothing: gradients are in no checkpoint.
        """
        if self.trace and self.trace.pending:
            return 0
        if self.stop.exit_code:
            return self.stop.exit_code
        due = self.minutes is not None and time.monotonic() - self.saved >= 60 * self.minutes
        return _SAVE if due and self.accelerator.is_main_process else 0

    def act(self, agreed: int) -> None:
        """Does what the processes have agreed on.

        Raises:
            Stopped: It was to stop.
            KeepError: The disk is full or closed.
        """
        assert self.trace is not None, "an epoch runs"
        if self.minutes is not None and self.trace.batches:
            self.trace.seconds = self.seconds
            from_main(lambda: self._write(self.trace))
        elif self.behind:
            from_main(lambda: self._write(None))
        if agreed != _SAVE:
            raise Stopped(agreed)

    def end_epoch(self, keeps: bool) -> None:
        """Puts the epoch that is now done on disk, and its model where it is the best; if it is to be kept.

        Raises:
            KeepError: The disk is full or closed.
        """
        self.trace, self.behind = None, not keeps
        if keeps:
            from_main(lambda: self._write(None))

    def _write(self, trace: EpochTrace | None) -> None:
        """Writes a checkpoint, last of all: what it counts as done, a resumed run does not do again."""
        checkpoint = self.state.checkpoint(self.progress, trace)
        try:
            if trace is None and self.progress.best is self.progress.records[-1]:
                self.run.save_best(self.state.judged_weights())
            if trace is None:
                self.run.write_metrics(self.progress)
            checkpoint.save(self.run.checkpoints)
        except OSError as error:
            raise KeepError(
                f"{error.strerror or error}: {checkpoint.name} can't be written to {self.run.checkpoints}; the "
                "checkpoint before it is whole: make room there, then continue with resume_from_checkpoint=true"
            ) from error
        self.saved = time.monotonic()


_LOWER = "lower max_lr (stage 1: freeze_max_lr), in another output_dir or after removing this one"


class DivergedError(UserError):
    """The loss is no longer a number."""


def train_one_epoch(
    stepper: Stepper, loader: Any, state: StageState, title: str, bar: tqdm, epoch_seed: int, trace: EpochTrace
) -> None:
    """Takes one step per batch, or per as many batches as the stepper accumulates.

    Args:
        stepper: Takes the steps.
        loader: Gives float32 (batch, 3, height, width), or features, and int64 (batch,).
        state: Its rate and its average follow each step.
        title: Names the epoch, on the progress bar and in errors.
        bar: Progress over all batches of the stage; moves on by one per batch.
        epoch_seed: What is random in a batch follows from it and from the batch's number.
        trace: What was done of the epoch before; grows with every batch.

    Raises:
        DivergedError: The loss is not finite.
    """
    accelerator, groups = stepper.accelerator, stepper.optimizer.param_groups
    stepper.set_training_mode()
    bar.set_description(title)
    for batch in loader:
        # An epoch's last step has as many batches as are left.
        share = min(stepper.accumulation, len(loader) - trace.batches + len(trace.pending))
        completes = len(trace.pending) + 1 == share
        # Before stepping: after its last step a one-cycle rises again.
        rates, momentum = [group["lr"] for group in groups], momentum_of(groups[-1])
        result = stepper.take(batch, hash_seed(epoch_seed, trace.batches), share, completes)
        if not math.isfinite(result.loss):
            where = f"{title}, step {len(trace.losses) + 1}, learning rates {min(rates):.2g} to {max(rates):.2g}"
            raise DivergedError(f"the loss became {result.loss} ({where}): {_LOWER}")
        trace.pending.append(result.loss)
        trace.right += result.right
        trace.seen += result.pictures
        trace.batches += 1
        if completes:
            # fp16 skips a step whose gradients overflowed.
            if not accelerator.optimizer_step_was_skipped:
                state.follow()
            trace.losses.append(sum(trace.pending) / share)
            trace.rates.append(max(rates))
            trace.momenta.append(momentum)
            trace.pending.clear()
        loss, accuracy = f"{result.loss:.3f}", f"{trace.accuracy:.1%}"
        bar.set_postfix(loss=loss, accuracy=accuracy, lr=f"{max(rates):.1e}", refresh=False)
        bar.update()


def check_finite(logits: torch.Tensor, title: str) -> None:
    """Makes sure that a model still says something.

    Raises:
        DivergedError: A logit is not finite.
    """
    if not torch.isfinite(logits).all():
        raise DivergedError(f"the model gives no numbers any more ({title}): {_LOWER}")


@torch.inference_mode()
def validate(accelerator: Accelerator, model: nn.Module, loader: Any, title: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs the model over a loader.

    Returns:
        Logits, float32 of shape (pictures, classes), and labels, int64 of shape (pictures,), both in main
        memory, every picture once and in the dataset's order.
    """
    model.eval()
    logits, labels = [], []
    # One that takes no second needs no bar.
    with tqdm(loader, desc=title, unit="batch", disable=not accelerator.is_main_process, leave=False, delay=1) as bar:
        for images, truth in bar:
            # An average of the weights is not prepared, and would run in full precision.
            with accelerator.autocast():
                answer = model(images)
            # Drops the pictures that were repeated to give every process a full batch.
            answer, truth = accelerator.gather_for_metrics((answer.float(), truth))
            logits.append(answer.cpu())
            labels.append(truth.cpu())
    return torch.cat(logits), torch.cat(labels)


class RateError(UserError):
    """No learning rate can be suggested where one is needed."""


def settled_rate(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    model: nn.Module,
    lesson: Lesson,
    run: RunFolder,
    progress: Progress,
    stop: StopRequest,
) -> float:
    """Returns a stage's highest rate; for "auto", the finder's suggestion, which is looked for once per run.

    Raises:
        RateError: There is no suggestion.
        Stopped: A signal has asked for it.
    """
    if stage.max_lr != "auto":
        return stage.max_lr
    if stage.rate_key not in progress.found:
        result = search(accelerator, recipe, stage, model, lesson, run, stop)
        if result.suggestion is None:
            raise RateError(
                f"{stage.rate_key}=auto finds no rate: {result.reason} (see {figure_path(run, stage)}); "
                f"go on with {stage.rate_key}=NUMBER resume_from_checkpoint=true"
            )
        progress.found[stage.rate_key] = result.suggestion
        accelerator.print(f"{stage.rate_key}={result.suggestion:.2g}, found")
    return progress.found[stage.rate_key]


def search(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    model: nn.Module,
    lesson: Lesson,
    run: RunFolder,
    stop: StopRequest,
) -> LRFinderResult:
    """Runs the finder as the stage would begin; the model stays as it was.

    Raises:
        Stopped: A signal has asked for it.
    """
    # Only the ratio of the groups' rates counts.
    optimizer = lesson.optimizer(model, 1.0, stage.lr_mult)
    prepared, prepared_optimizer = accelerator.prepare(lesson.learner, optimizer)
    stepper = Stepper(
        accelerator,
        prepared,
        prepared_optimizer,
        lesson.objective,
        recipe.gradient_accumulation_steps,
        recipe.max_grad_norm,
        recipe.freeze_batchnorm,
    )
    seed = hash_seed(recipe.seed, stage.number, -1)
    result = find_lr(stepper, _endless(lesson.train_batches, seed, stop), seed)
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    accelerator.free_memory()
    from_main(lambda: write_result(run, stage, result))
    return result


def _endless(batches: Any, seed: int, stop: StopRequest) -> Iterator[Any]:
    for epoch in itertools.count():
        batches.start(hash_seed(seed, epoch) % 2**32, 0)
        yield from stoppable(batches, stop)


def write_result(run: RunFolder, stage: Stage, result: LRFinderResult) -> None:
    """Adds the curve to `lr_finder.json`, and its figure."""
    plot_lr_finder(figure_path(run, stage), result)
    run.add_finding(stage.number, asdict(result))


def figure_path(run: RunFolder, stage: Stage) -> Path:
    """Returns where a stage's curve is shown."""
    return run.figures / f"lr_finder-stage{stage.number}.png"


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
            watched = SynchronisedBatches(train_batches, keeper.wish, keeper.act)
            train_one_epoch(stepper, watched, state, title, bar, epoch_seed, trace)
            if average:
                average.follow(state.learned)
            watched = SynchronisedBatches(valid_loader, keeper.wish, keeper.act)
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
