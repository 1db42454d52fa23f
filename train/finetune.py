"""The story of `train fit`: a dataset becomes a model folder, in two stages under one-cycle schedules."""

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import set_seed

from train.errors import UserError
from train.fitting.batches import TransformedImages, make_loader
from train.fitting.checkpoint import load_newest_checkpoint
from train.fitting.data import LabelledImages, fingerprint, load_images
from train.fitting.model import model_data_config
from train.fitting.progress import TABLE_HEAD, Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.fitting.system import system_facts
from train.fitting.tracking import check_tracker, start_tracking
from train.fitting.transforms import eval_transform
from train.judging.plots import plot_train_batch, plot_training
from train.parts import make_objective, start_model, training_images
from train.plan import stages
from train.publishing.model_folder import write_model_folder
from train.stages import run_stage


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
    model = start_model(recipe, images.label_names, resumed is not None).to(accelerator.device)
    data_config = model_data_config(model, recipe.image_size, recipe.crop_mode)
    train_images = training_images(recipe, images, data_config)
    valid_images = TransformedImages(images.split("validation"), eval_transform(data_config), recipe.seed)
    objective = make_objective(recipe, images)
    accelerator.print(
        f"{recipe.architecture} from {recipe.start}, {recipe.image_size} px, on {accelerator.device}: "
        f"{len(train_images)} pictures to learn from, {len(valid_images)} to validate, "
        f"{len(images.label_names)} classes"
    )
    # Not before everything fits: a mistake leaves no folder behind that would be in the way of the next try.
    if accelerator.is_main_process:
        run.start(recipe.values(), data)
        run.add_system(system_facts(accelerator))
        plot_train_batch(
            run.figures / "train_batch.png", train_images, images.label_names, data_config, objective.targets
        )

    accelerator.wait_for_everyone()
    start_tracking(accelerator, recipe.values())

    loaders = accelerator.prepare(
        make_loader(
            train_images,
            recipe.batch_size,
            recipe.num_workers,
            shuffle=True,
            balanced=recipe.class_balance == "sampling",
        ),
        make_loader(valid_images, recipe.batch_size, recipe.num_workers, shuffle=False),
    )
    progress = resumed.progress if resumed else Progress()
    accelerator.print(TABLE_HEAD)
    for record in progress.records:
        accelerator.print(record.table_row(best=progress.best is record))
    for stage in stages(recipe):
        if not progress.is_over(stage.number, stage.epochs, recipe.patience):
            run_stage(
                accelerator,
                recipe,
                stage,
                model,
                (train_images, *loaders),
                data_config,
                objective,
                run,
                progress,
                resumed,
            )
            resumed = None

    if accelerator.is_main_process:
        plot_training(run.figures / "training.png", progress)
        model.load_state_dict(run.load_best())
        model.to(memory_format=torch.contiguous_format)
        write_model_folder(run, model, data_config, images, progress)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return run


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Returns the accelerator; `batch_size` counts pictures over all processes.

    Raises:
        TrackerError: There is no such tracker, or it is not installed.
        SetupError: fp16 without a GPU, or a batch that can't be divided among the processes.
    """
    if recipe.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise SetupError("mixed_precision=fp16 needs a GPU and there is none: use bf16 or no")
    if recipe.tracker:
        check_tracker(recipe.tracker)
    accelerator = Accelerator(
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        log_with=recipe.tracker,
        project_dir=recipe.output_dir / "logs",
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
