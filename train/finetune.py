"""The story of `train fit`: a dataset becomes a model folder, in two stages under one-cycle schedules."""

import shutil
from contextlib import ExitStack
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import set_seed

from train.errors import UserError
from train.fitting.batches import EpochBatches, TransformedImages, make_loader
from train.fitting.checkpoint import load_newest_checkpoint
from train.fitting.data import LabelledImages, fingerprint, load_images
from train.fitting.model import build_model, model_data_config
from train.fitting.progress import TABLE_HEAD, Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.fitting.streaming import StreamedBatches
from train.fitting.transforms import eval_transform, train_transform
from train.judging.plots import plot_train_batch, plot_training
from train.publishing.model_folder import write_model_folder
from train.running.batchnorm import synchronise_batchnorm
from train.running.memory import plain_memory_errors
from train.running.processes import agree, check_processes, from_main, on_cpus, once_per_node
from train.running.stopping import Stopped, stop_requests
from train.stages import run_stage, stages


class SetupError(UserError):
    """A recipe that this machine or this dataset can't run."""


def fit(recipe: Recipe) -> RunFolder:
    """Trains by a recipe and writes `output_dir/model`, which every loader has been shown to read.

    Raises:
        UserError: The recipe, the dataset, the weights or the output folder can't be used, another process is at
            work there, memory or disk is full, or the loss diverged.
        Stopped: SIGINT or SIGTERM has come; the run can be resumed where it was.
    """
    accelerator = make_accelerator(recipe)
    run = RunFolder(recipe.output_dir)
    lower = {"batch_size": recipe.batch_size, "image_size": recipe.image_size, "num_workers": recipe.num_workers}
    with ExitStack() as stack, plain_memory_errors(**lower):
        from_main(lambda: stack.enter_context(run.locked()))
        _fit(recipe, accelerator, run)
    return run


def _fit(recipe: Recipe, accelerator: Accelerator, run: RunFolder) -> None:
    from_main(lambda: run.check(recipe.values(), recipe.resume_from_checkpoint))
    images = once_per_node(lambda: load_images(recipe.dataset, recipe.streaming))
    check_labels(images)
    data = {
        "label_names": images.label_names,
        **{split: fingerprint(images.split(split)) for split in ("train", "validation")},
    }
    from_main(lambda: run.check_data(data))
    resumed = from_main(lambda: load_newest_checkpoint(run.checkpoints))

    set_seed(recipe.seed)
    model = from_main(
        lambda: build_model(
            recipe.architecture,
            len(images.label_names),
            recipe.image_size,
            # A checkpoint holds all weights: the first ones need not be at hand any more.
            pretrained=recipe.pretrained and not resumed,
            weights=None if resumed else recipe.weights,
            drop_rate=recipe.drop_rate,
        )
    )
    model = synchronise_batchnorm(model).to(accelerator.device)
    data_config = model_data_config(model, recipe.image_size, recipe.crop_mode)
    train_batches = make_train_batches(recipe, accelerator, images, data_config)
    valid_images = TransformedImages(images.split("validation"), eval_transform(data_config), recipe.seed)
    accelerator.print(
        f"{recipe.architecture} from {recipe.start}, {recipe.image_size} px, on {accelerator.device}"
        f"{f' x {accelerator.num_processes}' if accelerator.num_processes > 1 else ''}: "
        f"{len(images.split('train'))} pictures to learn from, {len(valid_images)} to validate, "
        f"{len(images.label_names)} classes"
    )
    # Not before everything fits: a mistake leaves no folder behind that would be in the way of the next try.
    from_main(lambda: run.start(recipe.values(), data))
    figure = run.figures / "train_batch.png"
    if not resumed:
        from_main(lambda: plot_train_batch(figure, train_batches.sample(), images.label_names, data_config))

    valid_loader = accelerator.prepare(make_loader(valid_images, recipe.batch_size, recipe.num_workers, shuffle=False))
    progress = resumed.progress if resumed else Progress()
    accelerator.print(TABLE_HEAD)
    with stop_requests(accelerator) as stop:
        for stage in stages(recipe):
            for record in progress.records:
                if record.stage == stage.number and stage.keeps(record.epoch):
                    accelerator.print(record.table_row(best=progress.best is record))
            if progress.epochs_done(stage.number) < stage.epochs:
                loaders = (train_batches, valid_loader)
                run_stage(accelerator, recipe, stage, model, loaders, run, progress, resumed, stop)
                resumed = None
        if code := agree(stop.wish):
            raise Stopped(code)

    def publish() -> None:
        plot_training(run.figures / "training.png", progress)
        model.load_state_dict(run.load_best())
        write_model_folder(run, model, data_config, images, progress)
        shutil.rmtree(run.features, ignore_errors=True)

    from_main(publish)
    accelerator.end_training()


def make_train_batches(
    recipe: Recipe, accelerator: Accelerator, images: LabelledImages, data_config: dict[str, Any]
) -> EpochBatches | StreamedBatches:
    """Returns the training pictures as batches, in an order of its own for every epoch."""
    transform = train_transform(data_config, recipe.min_scale)
    rows = images.split("train")
    if images.stream is None:
        pictures = TransformedImages(rows, transform, recipe.seed)
        return EpochBatches(accelerator, make_loader(pictures, recipe.batch_size, recipe.num_workers, shuffle=True))
    return StreamedBatches(
        accelerator,
        images.stream,
        len(rows),
        transform,
        recipe.seed,
        recipe.batch_size,
        recipe.num_workers,
        recipe.shuffle_buffer,
    )


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Returns the accelerator; `batch_size` counts pictures over all processes.

    Raises:
        SetupError: fp16 without a GPU.
        ProcessesError: A batch that can't be divided among the processes.
    """
    if recipe.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise SetupError("mixed_precision=fp16 needs a GPU and there is none: use bf16 or no")
    accelerator = Accelerator(
        cpu=on_cpus(),
        mixed_precision=recipe.mixed_precision,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        # Ours steps once per update; a prepared scheduler would step once per process.
        step_scheduler_with_optimizer=False,
    )
    check_processes(recipe.batch_size)
    return accelerator


def check_labels(images: LabelledImages) -> None:
    """Makes sure that every class has pictures to learn from and to validate by.

    Raises:
        SetupError: Names the classes and the split.
    """
    for split in ("train", "validation"):
        present = set(images.split(split)["label"])
        if missing := [name for number, name in enumerate(images.label_names) if number not in present]:
            raise SetupError(
                f"{images.name} has no picture of {', '.join(missing)} in {split}: add pictures and build it again"
            )
