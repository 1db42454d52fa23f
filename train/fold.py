"""One fold of a cross-validation: its model is trained, answers for what it never saw, and is gone."""

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from files.atomic import BusyError, only_writer
from files.errors import UserError, message_of
from train.finetune import fit_to_judge
from train.fitting.folds import Fold
from train.fitting.pool import Pool
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.judging.out_of_fold import OutOfFold, write_out_of_fold
from train.judging.predict import predict_alone


class FoldError(UserError):
    """Something is wrong with a fold."""


@dataclass(frozen=True)
class Task:
    """A model to be trained and judged.

    Attributes:
        number: Of its fold, from 1.
        folds: How many there are.
        fraction: How much of the fold's training pictures it learns from.
        fold: These, and those that it is judged on.
        run: The cross-validation's folder.
    """

    number: int
    folds: int
    fraction: float
    fold: Fold
    run: RunFolder

    @property
    def title(self) -> str:
        """Names it, for people."""
        part = "" if self.fraction == 1 else f", {self.fraction:.0%} of the pictures"
        return f"fold {self.number} of {self.folds}{part}"

    @property
    def place(self) -> Path:
        """Where it is trained; what counts is kept there."""
        part = "" if self.fraction == 1 else f"-{self.fraction:g}"
        return self.run.folds / f"fold{self.number}{part}"

    @property
    def answers(self) -> Path:
        """The file that says that it is done."""
        return self.place / "predictions.parquet"

    @property
    def stage_1(self) -> Path:
        """The answers after stage 1."""
        return self.place / "predictions-stage1.parquet"


def run_fold(recipe: Recipe, pictures: Pool, task: Task) -> bool:
    """Trains a fold and answers for the pictures that it held out; False when another process is at it.

    Args:
        recipe: Its output_dir is the task's place.
        pictures: What there is to learn from and to answer for.
        task: What to do.

    Raises:
        FoldError: Something is wrong; says in which fold.
        Stopped: SIGINT or SIGTERM has come.
    """
    with ExitStack() as lock:
        try:
            lock.enter_context(only_writer(task.place))
        except BusyError:
            return False
        if task.answers.exists():
            return True
        count = len(task.fold.held_out)
        print(f"{task.title}: {count} pictures held out", flush=True)
        try:
            # A point of a learning curve is the model that is kept.
            if recipe.two_stages and task.fraction == 1 and not task.stage_1.exists():
                write_out_of_fold(task.stage_1, answers_of(recipe.model_copy(update={"epochs": 0}), pictures, task))
            answers = answers_of(recipe, pictures, task)
        except UserError as error:
            raise FoldError(f"{task.title}: {message_of(error)}") from error
        # What counts as done must be whole; what only led to it takes much room.
        write_out_of_fold(task.answers, answers)
        shutil.rmtree(RunFolder(task.place).checkpoints, ignore_errors=True)
        right = (answers.predictions.labels == answers.predictions.logits.argmax(1)).mean()
        print(f"{task.title}: {right:.1%} of the {count} right", flush=True)
    return True


def answers_of(recipe: Recipe, pictures: Pool, task: Task) -> OutOfFold:
    """Trains a model, or goes on with it, and returns its answers to the pictures that its fold held out."""
    fold, names = task.fold, pictures.images.label_names
    trained = fit_to_judge(recipe, pictures.learned_in(fold))
    rows, workers = pictures.rows.select(fold.held_out), recipe.num_workers
    model, data_config = trained.model, trained.data_config
    predictions = predict_alone(model, data_config, rows, names, "Predicting", recipe.batch_size, workers)
    # By the pool's names: a dataset need not have any.
    predictions = replace(predictions, sha256=[pictures.sha256[index] for index in fold.held_out])
    splits = [pictures.splits[index] for index in fold.held_out]
    return OutOfFold(predictions, splits, np.full(len(splits), task.number))
