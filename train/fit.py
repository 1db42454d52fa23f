"""The story of `train fit`: a dataset becomes a model folder, in two stages under one-cycle schedules."""

import logging
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import set_seed

from figures import Figure
from model_folder.folder import learned_pictures, open_model_folder
from train.calibration import calibrate
from train.data import LabelledImages, fingerprint, learned_pictures_digest, load_images
from train.export.model_folder import write_model_folder
from train.hardware import freed_memory_kept, plain_memory_errors
from train.history import History
from train.lr_finder import LRFinderResult
from train.processes import from_main, on_cpus, once_per_node
from train.recipe import Recipe
from train.report.plots import plot_train_batch, plot_training, save
from train.run_folder import RunFolder, system_facts
from train.setup import SetupError, check_machine
from train.trainer import Stage, Trainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A model that was trained for somebody who asks it some questions and needs no folder of it.

    Attributes:
        model: Has the weights that are kept, calibrated, on the accelerator's device.
        data_config: How pictures are prepared for it, in timm's terms.
        history: How training went.
    """

    model: Any
    data_config: dict[str, Any]
    history: History


class FitResult(RunFolder):
    """A finished run: its folder, of which `model` is the model folder, and how training went.

    Attributes:
        history: The epochs of both stages, and which one was kept.
    """

    def __init__(self, path: Path, history: History) -> None:
        """Takes what training has left."""
        super().__init__(path)
        self.history = history

    @property
    def table(self) -> pd.DataFrame:
        """A row per epoch: stage, epoch, losses, accuracies, highest rate, seconds."""
        return pd.DataFrame([asdict(record) for record in self.history.records])

    def plot_training(self) -> Figure:
        """Returns a figure of loss, accuracy, learning rate and momentum over the epochs."""
        return plot_training(self.history)

    def __repr__(self) -> str:
        """Names the model folder and the epoch that was kept."""
        return f"FitResult({self.model}, {self.history.verdict()})"


def fit(recipe: Recipe) -> FitResult:
    """Trains by a recipe and writes `output_dir/model`, which every loader has been shown to read.

    Raises:
        UserError: The recipe, the dataset, the weights or the output folder can't be used, another process is at
            work there, memory or disk is full, or the loss diverged.
        Stopped: SIGINT or SIGTERM has come; the run can be resumed where it was.
    """
    with _at_work(recipe) as run:
        images = once_per_node(lambda: load_dataset_of(recipe))
        trainer = _train(recipe, run, images)

        def publish() -> None:
            save(plot_training(trainer.history), run.figures / "training.png")
            write_model_folder(
                run,
                trainer.model,
                trainer.data_config,
                images,
                trainer.history,
                recipe.target_accuracy,
                run.learned_before(),
            )
            shutil.rmtree(run.features, ignore_errors=True)

        from_main(publish)
        trainer.accelerator.end_training()
    return FitResult(run.path, trainer.history)


def fit_to_judge(recipe: Recipe, images: LabelledImages, quiet: bool = False) -> Trained:
    """Trains by a recipe as `fit` does, and returns the model.

    Args:
        recipe: What to do.
        images: What to learn from and validate by, instead of what lies at `recipe.dataset`.
        quiet: Print nothing, and show no bars.

    Raises:
        UserError, Stopped: As `fit`.
    """
    with _at_work(recipe) as run:
        trainer = _train(recipe, run, images, quiet)
        calibrate(trainer.model, trainer.data_config, images, recipe.target_accuracy)
        shutil.rmtree(run.features, ignore_errors=True)
        trainer.accelerator.end_training()
    return Trained(trainer.model, trainer.data_config, trainer.history)


def lr_find(recipe: Recipe) -> tuple[Stage, LRFinderResult]:
    """Runs the learning-rate finder for the stage that comes next; adds figure and numbers to `output_dir`.

    That is stage 2 where `output_dir` holds a run that is through with stage 1, from its newest checkpoint;
    otherwise the recipe's first stage.

    Returns:
        The stage and what was found.

    Raises:
        UserError: As `fit`.
    """
    with _at_work(recipe) as run:
        from_main(run.check_is_run_or_free)
        images = once_per_node(lambda: load_dataset_of(recipe))
        if run.recipe.exists():
            from_main(lambda: run.check_same_model(recipe.architecture, images.label_names))
        set_seed(recipe.seed)
        trainer = Trainer(recipe, run, images)
        history = trainer.history
        left = [stage for stage in trainer.stages if not history.is_over(stage.number, stage.epochs, recipe.patience)]
        stage = left[0] if left else trainer.stages[-1]
        # Features of its own: those of a run may be of another recipe.
        features = run.path / "lr_finder"
        from_main(lambda: shutil.rmtree(features, ignore_errors=True))
        trainer.load_start(stage)
        result = trainer.find_lr(stage, trainer.prepare_stage(stage, features))
        from_main(lambda: shutil.rmtree(features, ignore_errors=True))
        trainer.accelerator.end_training()
    return stage, result


@contextmanager
def _at_work(recipe: Recipe) -> Iterator[RunFolder]:
    """Lets nobody else into the run's folder, explains when memory is full, leaves random states as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    run = RunFolder(recipe.output_dir)
    # Before anything is asked of the other processes.
    PartialState(cpu=on_cpus())
    check_machine(recipe)
    try:
        with ExitStack() as stack, plain_memory_errors(**recipe.memory()):
            from_main(lambda: stack.enter_context(run.locked()))
            if not torch.accelerator.is_available():
                stack.enter_context(freed_memory_kept())
            yield run
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _train(recipe: Recipe, run: RunFolder, images: LabelledImages, quiet: bool = False) -> Trainer:
    from_main(lambda: run.check(recipe.values(), recipe.resume_from_checkpoint))
    check_labels(images)
    data = {
        "label_names": images.label_names,
        **{split: fingerprint(images.split(split)) for split in ("train", "validation")},
    }
    from_main(lambda: run.check_data(data))
    set_seed(recipe.seed)
    trainer = Trainer(recipe, run, images, quiet)
    accelerator, hardware = trainer.accelerator, trainer.hardware
    trainer.print(
        f"{recipe.architecture} from {recipe.start}, {recipe.image_size} px, on {accelerator.device}"
        f"{f' x {accelerator.num_processes}' if accelerator.num_processes > 1 else ''} in {hardware}: "
        f"{len(images.split('train'))} pictures to learn from, {len(images.split('validation'))} to validate, "
        f"{len(images.label_names)} classes"
    )
    # Not before everything fits: a mistake leaves no folder behind that would be in the way of the next try.
    from_main(lambda: run.start(recipe.values(), data))
    from_main(lambda: run.add_system(system_facts(accelerator, hardware)))
    if not trainer.resumed:
        from_main(lambda: show_batch(trainer))
        from_main(lambda: note_learned(recipe, run, images))
    # Trackers take numbers and text.
    values = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in recipe.values().items()}
    accelerator.init_trackers("nritya", values)
    trainer.train()
    return trainer


def show_batch(trainer: Trainer) -> None:
    """Draws what the model will see in training."""
    figure, pictures = trainer.run.figures / "train_batch.png", trainer.train_batches.sample(24)
    names, targets = trainer.images.label_names, trainer.objective.targets
    save(plot_train_batch(pictures, names, trainer.data_config, targets), figure)


def load_dataset_of(recipe: Recipe) -> LabelledImages:
    """Loads what a recipe trains on."""
    return load_images(
        recipe.dataset,
        recipe.streaming,
        image_column=recipe.image_column,
        label_column=recipe.label_column,
        validation=recipe.validation,
        seed=recipe.seed,
    )


def note_learned(recipe: Recipe, run: RunFolder, images: LabelledImages) -> None:
    """Notes which pictures `init_from` has learned from, and warns where some of them are to be judged on now."""
    if recipe.init_from is None:
        return
    learned = learned_pictures(open_model_folder(recipe.init_from))
    run.write_learned_before(learned)
    for split in ("validation", "test"):
        if split in images.splits and (count := len(learned & learned_pictures_digest(images.splits[split]))):
            logger.warning(
                "%d of the %d pictures in %s are among those that init_from=%s has learned from: figures on them are "
                "too good",
                count,
                len(images.splits[split]),
                split,
                recipe.init_from,
            )


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
