"""The story of `train lr-find`: at which learning rate does the next stage learn fastest?"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from train.calibration import calibrate
from train.data import LabelledImages, fingerprint, load_images
from train.export.model_folder import write_model_folder
from train.hardware import Hardware, plain_memory_errors
from train.history import TABLE_HEAD, Progress
from train.lr_finder import LRFinderResult
from train.processes import agree, from_main, once_per_node
from train.recipe import Recipe
from train.report.plots import plot_train_batch, plot_training
from train.run_folder import RunFolder, system_facts
from train.stopping import Stopped, StopRequest, stop_requests
from train.trainer import (
    Checkpoint,
    Parts,
    SetupError,
    Stage,
    make_parts,
    prepare_lesson,
    recipe_accelerator,
    run_stage,
    search,
    stages,
    start_tracking,
)


@dataclass(frozen=True)
class Trained:
    """What training leaves.

    Attributes:
        model: Has the weights that are kept, on the accelerator's device.
        data_config: How pictures are prepared for it, in timm's terms.
        progress: How training went.
    """

    model: Any
    data_config: dict[str, Any]
    progress: Progress


def fit(recipe: Recipe) -> RunFolder:
    """Trains by a recipe and writes `output_dir/model`, which every loader has been shown to read.

    Raises:
        UserError: The recipe, the dataset, the weights or the output folder can't be used, another process is at
            work there, memory or disk is full, or the loss diverged.
        Stopped: SIGINT or SIGTERM has come; the run can be resumed where it was.
    """
    with _at_work(recipe) as (accelerator, run):
        images = once_per_node(lambda: load_images(recipe.dataset, recipe.streaming))
        trained = _train(recipe, accelerator, run, images)

        def publish() -> None:
            plot_training(run.figures / "training.png", trained.progress)
            write_model_folder(
                run, trained.model, trained.data_config, images, trained.progress, recipe.target_accuracy
            )
            shutil.rmtree(run.features, ignore_errors=True)

        from_main(publish)
        accelerator.end_training()
    return run


def fit_to_judge(recipe: Recipe, images: LabelledImages) -> Trained:
    """Trains by a recipe as `fit` does, for somebody who asks the model some questions and needs no folder of it.

    Args:
        recipe: What to do.
        images: What to learn from and validate by, instead of what lies at `recipe.dataset`.

    Returns:
        The model, calibrated.

    Raises:
        UserError, Stopped: As `fit`.
    """
    with _at_work(recipe) as (accelerator, run):
        trained = _train(recipe, accelerator, run, images)
        calibrate(trained.model, trained.data_config, images, recipe.target_accuracy)
        shutil.rmtree(run.features, ignore_errors=True)
        accelerator.end_training()
    return trained


@contextmanager
def _at_work(recipe: Recipe) -> Iterator[tuple[Accelerator, RunFolder]]:
    """Lets nobody else into the run's folder, and says plainly when memory is full."""
    accelerator = recipe_accelerator(recipe)
    run = RunFolder(recipe.output_dir)
    with ExitStack() as stack, plain_memory_errors(**recipe.memory()):
        from_main(lambda: stack.enter_context(run.locked()))
        yield accelerator, run


def _train(recipe: Recipe, accelerator: Accelerator, run: RunFolder, images: LabelledImages) -> Trained:
    from_main(lambda: run.check(recipe.values(), recipe.resume_from_checkpoint))
    check_labels(images)
    data = {
        "label_names": images.label_names,
        **{split: fingerprint(images.split(split)) for split in ("train", "validation")},
    }
    from_main(lambda: run.check_data(data))
    resumed = from_main(lambda: Checkpoint.newest(run.checkpoints))

    set_seed(recipe.seed)
    parts = make_parts(recipe, accelerator, images, resumed is not None)
    accelerator.print(
        f"{recipe.architecture} from {recipe.start}, {recipe.image_size} px, on {accelerator.device}"
        f"{f' x {accelerator.num_processes}' if accelerator.num_processes > 1 else ''}: "
        f"{len(images.split('train'))} pictures to learn from, {len(parts.valid_loader.dataset)} to validate, "
        f"{len(images.label_names)} classes"
    )
    # Not before everything fits: a mistake leaves no folder behind that would be in the way of the next try.
    from_main(lambda: run.start(recipe.values(), data))
    from_main(
        lambda: run.add_system(
            system_facts(accelerator, Hardware(accelerator.mixed_precision, bool(recipe.channels_last)))
        )
    )
    if not resumed:
        from_main(lambda: show_batch(run, parts, images.label_names))
    start_tracking(accelerator, recipe.values())

    progress = resumed.progress if resumed else Progress()
    accelerator.print(TABLE_HEAD)
    with stop_requests(accelerator) as stop:
        for stage in stages(recipe):
            for record in progress.records:
                if record.stage == stage.number and stage.keeps(record.epoch):
                    accelerator.print(record.table_row(best=progress.best is record))
            if not progress.is_over(stage.number, stage.epochs, recipe.patience):
                run_stage(accelerator, recipe, stage, parts, run, progress, resumed, stop)
                resumed = None
        if code := agree(stop.exit_code):
            raise Stopped(code)
    accelerator.print(progress.verdict())

    # safetensors takes tensors in their usual layout only.
    model = parts.model.to(memory_format=torch.contiguous_format)
    from_main(lambda: model.load_state_dict(run.load_best()))
    return Trained(model, parts.data_config, progress)


def show_batch(run: RunFolder, parts: Parts, label_names: list[str]) -> None:
    """Draws what the model will see in training."""
    pictures = parts.train_batches.sample(24)
    figure = run.figures / "train_batch.png"
    plot_train_batch(figure, pictures, label_names, parts.data_config, parts.objective.targets)


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


def find(recipe: Recipe) -> tuple[Stage, LRFinderResult]:
    """Runs the learning-rate finder for the stage that comes next; adds figure and numbers to `output_dir`.

    That is stage 2 where `output_dir` holds a run that is through with stage 1, from its newest checkpoint;
    otherwise the recipe's first stage.

    Returns:
        The stage and what was found.

    Raises:
        UserError: The recipe, the dataset, the weights or the output folder can't be used, another process is at
            work there, or memory is full.
    """
    accelerator = recipe_accelerator(recipe)
    run = RunFolder(recipe.output_dir)
    with ExitStack() as stack, plain_memory_errors(**recipe.memory()):
        from_main(lambda: stack.enter_context(run.locked()))
        return _find(recipe, accelerator, run)


def _find(recipe: Recipe, accelerator: Accelerator, run: RunFolder) -> tuple[Stage, LRFinderResult]:
    from_main(run.check_is_run_or_free)
    images = once_per_node(lambda: load_images(recipe.dataset, recipe.streaming))
    resumed = from_main(lambda: Checkpoint.newest(run.checkpoints))
    if resumed:
        from_main(lambda: run.check_same_model(recipe.architecture, images.label_names))
    set_seed(recipe.seed)
    parts = make_parts(recipe, accelerator, images, resumed is not None)
    if resumed:
        parts.model.load_state_dict(resumed.model)
    done = resumed.progress if resumed else Progress()
    left = [stage for stage in stages(recipe) if not done.is_over(stage.number, stage.epochs, recipe.patience)]
    stage = left[0] if left else stages(recipe)[-1]
    # Nothing to save: a signal ends the command at once.
    stop = StopRequest()
    # Features of its own: those of a run may be of another recipe.
    features = run.path / "lr_finder"
    from_main(lambda: shutil.rmtree(features, ignore_errors=True))
    lesson = prepare_lesson(accelerator, recipe, stage, parts, features, done, stop)
    result = search(accelerator, recipe, stage, parts.model, lesson, run, stop)
    from_main(lambda: shutil.rmtree(features, ignore_errors=True))
    accelerator.end_training()
    return stage, result
