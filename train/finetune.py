"""The story of `train fit`: a dataset becomes a model folder, in two stages under one-cycle schedules."""

import shutil

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import set_seed

from train.errors import UserError
from train.fitting.batches import TransformedImages, make_loader
from train.fitting.checkpoint import load_newest_checkpoint
from train.fitting.data import LabelledImages, fingerprint, load_images
from train.fitting.model import build_model, model_data_config
from train.fitting.progress import TABLE_HEAD, Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.fitting.transforms import eval_transform, train_transform
from train.judging.plots import plot_train_batch, plot_training
from train.publishing.model_folder import write_model_folder
from train.stages import run_stage, stages


class SetupError(UserError):
    """A recipe that this machine or this dataset can't run."""


def fit(recipe: Recipe) -> RunFolder:
    """Trains by a recipe and writes `output_dir/model`, which every loader has been shown to read.

    Raises:
        UserError: The recipe, the dataset, the weights or the output folder can't be used, or the loss
            diverged.
    """
    accelerator = make_accelerator(recipe)
    run = RunFolder(recipe.output_dir)
    run.check(recipe.values(), recipe.resume_from_checkpoint)
    images = load_images(recipe.dataset)
    check_labels(images)
    data = {
        "label_names": images.label_names,
        **{split: fingerprint(images.split(split)) for split in ("train", "validation")},
    }
    run.check_data(data)
    resumed = load_newest_checkpoint(run.checkpoints)

    set_seed(recipe.seed)
    model = build_model(
        recipe.architecture,
        len(images.label_names),
        recipe.image_size,
        # A checkpoint holds all weights: the first ones need not be at hand any more.
        pretrained=recipe.pretrained and not resumed,
        weights=None if resumed else recipe.weights,
        drop_rate=recipe.drop_rate,
    ).to(accelerator.device)
    data_config = model_data_config(model, recipe.image_size, recipe.crop_mode)
    train_images = TransformedImages(
        images.split("train"), train_transform(data_config, recipe.min_scale), recipe.seed
    )
    valid_images = TransformedImages(images.split("validation"), eval_transform(data_config), recipe.seed)
    accelerator.print(
        f"{recipe.architecture} from {recipe.start}, {recipe.image_size} px, on {accelerator.device}: "
        f"{len(train_images)} pictures to learn from, {len(valid_images)} to validate, "
        f"{len(images.label_names)} classes"
    )
    # Not before everything fits: a mistake leaves no folder behind that would be in the way of the next try.
    if accelerator.is_main_process:
        run.start(recipe.values(), data)
        plot_train_batch(run.figures / "train_batch.png", train_images, images.label_names, data_config)

    accelerator.wait_for_everyone()

    loaders = accelerator.prepare(
        make_loader(train_images, recipe.batch_size, recipe.num_workers, shuffle=True),
        make_loader(valid_images, recipe.batch_size, recipe.num_workers, shuffle=False),
    )
    progress = resumed.progress if resumed else Progress()
    accelerator.print(TABLE_HEAD)
    for stage in stages(recipe):
        for record in progress.records:
            if record.stage == stage.number and stage.keeps(record.epoch):
                accelerator.print(record.table_row(best=progress.best is record))
        if progress.epochs_done(stage.number) < stage.epochs:
            run_stage(accelerator, recipe, stage, model, (train_images, *loaders), run, progress, resumed)
            resumed = None

    if accelerator.is_main_process:
        plot_training(run.figures / "training.png", progress)
        model.load_state_dict(run.load_best())
        write_model_folder(run, model, data_config, images, progress)
        shutil.rmtree(run.features, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return run


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Returns the accelerator; `batch_size` counts pictures over all processes.

    Raises:
        SetupError: fp16 without a GPU, or a batch that can't be divided among the processes.
    """
    if recipe.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise SetupError("mixed_precision=fp16 needs a GPU and there is none: use bf16 or no")
    accelerator = Accelerator(
        mixed_precision=recipe.mixed_precision,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        # Ours steps once per update; a prepared scheduler would step once per process.
        step_scheduler_with_optimizer=False,
    )
    if recipe.batch_size % accelerator.num_processes:
        raise SetupError(
            f"batch_size={recipe.batch_size} can't be shared evenly by {accelerator.num_processes} processes: "
            "choose a multiple"
        )
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
