"""What every story of training builds from a recipe."""

import shutil
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator

from files.errors import UserError
from model_folder.folder import ModelFolder, open_model_folder
from train.fitting.augment import Augmentation, Augmenter, square_side, square_transform
from train.fitting.batches import PictureBatches, make_loader
from train.fitting.data import LabelledImages
from train.fitting.model import build_model, check_former, load_former, model_data_config
from train.fitting.objective import Objective, rareness
from train.fitting.pictures import TrainingImages, TransformedImages
from train.fitting.recipe import Recipe
from train.fitting.sampling import make_sampler
from train.fitting.streaming import StreamedBatches
from train.fitting.tracking import check_tracker
from train.fitting.transforms import eval_transform
from train.running.batchnorm import synchronise_batchnorm
from train.running.memory import keep_freed_memory
from train.running.precision import native_precision
from train.running.processes import check_processes, from_main, make_accelerator
from train.running.stopping import StopRequest


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
        native_precision() if recipe.mixed_precision == "auto" else recipe.mixed_precision,
        log_with=recipe.tracker,
        project_dir=recipe.output_dir / "logs",
        # Ours steps once per update; a prepared scheduler would step once per process.
        step_scheduler_with_optimizer=False,
    )
    check_processes(recipe.batch_size)
    return accelerator


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
        check_former(former, recipe.architecture, label_names)
    model: Any = build_model(
        recipe.architecture,
        len(label_names),
        recipe.image_size,
        pretrained=recipe.pretrained and not resumed and not former,
        weights=None if resumed else recipe.weights,
        drop_rate=recipe.drop_rate,
        preparation=_preparation(former) if former else None,
    )
    if any(side != recipe.image_size for side in recipe.image_sizes) and model.pretrained_cfg["fixed_input_size"]:
        raise SetupError(f"{recipe.architecture} sees pictures of one size only: leave image_sizes away")
    if former and not resumed:
        load_former(model, former, label_names)
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
