"""The story of `train cross-validate`: train and validation are judged by models that never saw the pictures."""

import json
import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from files.atomic import BusyError, atomic_write_text, only_writer
from files.errors import UserError, message_of
from train.data import fingerprint, load_images
from train.fit import fit_to_judge
from train.folds import Fold, Pool, deal_folds, pool, thin
from train.learning_curve import LearningCurve, learning_curve, verdict
from train.metrics import Score, score_folds
from train.predict import predict_alone
from train.predictions import OutOfFold, join_folds, read_out_of_fold, write_out_of_fold
from train.recipe import Recipe, as_list
from train.report.plots import plot_learning_curve, save
from train.run_folder import RunFolder


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


# May differ between folds without changing a result: what the dataset holds is compared, not where it lies.
# A curve may be asked for later.
_FREE = {
    "output_dir", "dataset", "num_workers", "checkpoint_minutes", "tracker", "resume_from_checkpoint", "fractions",
}  # fmt: skip
_WAIT_SECONDS = 1.0
_FEWEST_POINTS = 3
Fraction = Annotated[float, Field(gt=0, le=1)]


class CrossValidationError(UserError):
    """A folder that holds another cross-validation, or processes that don't fit."""


class CrossValidation(Recipe):
    """A run of `train cross-validate`: a recipe, and into how many folds the pictures are dealt.

    Attributes:
        folds: How many models are trained, each on all folds but one.
        fractions: Also train on parts of what a fold learns from, above 0 and below 1, for a learning curve; 1 is
            always there. Empty: no curve.
    """

    folds: int = Field(5, ge=2)
    fractions: Annotated[tuple[Fraction, ...], BeforeValidator(as_list)] = ()

    @model_validator(mode="after")
    def _not_streamed(self) -> "CrossValidation":
        if self.streaming:
            raise ValueError("folds are dealt among pictures that are at hand: leave streaming away")
        if self.fractions and len(self.parts) < _FEWEST_POINTS:
            raise ValueError(f"fractions: a curve takes two or more below 1, found {len(self.parts) - 1}")
        return self

    @property
    def parts(self) -> list[float]:
        """The fractions that are trained on, the whole first."""
        return [1.0, *sorted(set(self.fractions) - {1.0}, reverse=True)]

    def of_fold(self, folder: Path) -> Recipe:
        """Returns the recipe by which a fold is trained in its folder, whether or not it was begun before."""
        own = {"folds", "fractions"}
        return Recipe(**{**self.model_dump(exclude=own), "output_dir": folder, "resume_from_checkpoint": True})

    def decisive(self, pictures: Pool) -> dict[str, Any]:
        """Returns what all folds must have in common."""
        values = self.model_dump(mode="json", exclude=_FREE)
        return {**values, "label_names": pictures.images.label_names, "pictures": fingerprint(pictures.rows)}


def cross_validate(settings: CrossValidation) -> dict[str, list[Score]]:
    """Trains and judges what is left of the folds; writes predictions.parquet and cross_validation.json.

    Started twice in the same folder, two processes share the folds.

    Returns:
        The scores of the models that were kept and, with two stages, of those that stage 1 ended with.

    Raises:
        UserError: The recipe or the dataset can't be used, there are too few pictures for so many folds, or a fold
            failed.
        Stopped: SIGINT or SIGTERM has come; the same command goes on.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise CrossValidationError(
            "a fold runs in one process: start python -m train cross-validate without a launcher, several times in "
            "the same output_dir to run folds side by side"
        )
    images = load_images(settings.dataset)
    pictures = pool(images)
    folds = deal_folds(pictures.labels, pictures.groups, images.label_names, settings.folds, settings.seed)
    run = RunFolder(settings.output_dir)
    claim(run, settings.decisive(pictures))
    tasks = [
        Task(
            number,
            settings.folds,
            fraction,
            thin(fold, fraction, pictures.labels, pictures.groups, settings.seed),
            run,
        )
        for fraction in settings.parts
        for number, fold in enumerate(folds, 1)
    ]
    while left := [task for task in tasks if not task.answers.exists()]:
        worked = [run_fold(settings.of_fold(task.place), pictures, task) for task in left]
        if not any(worked):
            # Another process is at the last ones; should it be killed, they are taken over.
            time.sleep(_WAIT_SECONDS)
    with only_writer(run.folds / "results", timeout=-1):
        return write_results(settings, pictures, tasks, run)


def claim(run: RunFolder, decisive: dict[str, Any]) -> None:
    """Notes in the run's folder what its folds have in common.

    Raises:
        CrossValidationError: They have something else in common.
        RunFolderError: It is the folder of something else.
    """
    note = run.folds / "settings.json"
    run.check_is_run_or_free()
    if note.exists():
        former = json.loads(note.read_text(encoding="utf-8"))
        if differing := [key for key in decisive if former.get(key) != decisive[key]]:
            raise CrossValidationError(
                f"{run.path} holds a cross-validation with other {', '.join(differing)}: choose another output_dir, "
                f"or remove {run.folds}"
            )
        return
    run.folds.mkdir(parents=True, exist_ok=True)
    atomic_write_text(note, json.dumps(decisive, indent=2, ensure_ascii=False) + "\n")


def write_results(
    settings: CrossValidation, pictures: Pool, tasks: list[Task], run: RunFolder
) -> dict[str, list[Score]]:
    """Joins the folds; returns their scores by what was judged: "kept" and, with two stages, "stage 1"."""
    whole = [task for task in tasks if task.fraction == 1]
    found = {}
    if settings.two_stages:
        found["stage 1"] = join_folds([read_out_of_fold(task.stage_1) for task in whole])
    found["kept"] = join_folds([read_out_of_fold(task.answers) for task in whole])
    write_out_of_fold(run.out_of_fold, found["kept"])
    group_of = dict(zip(pictures.sha256, pictures.groups, strict=True))
    groups = [group_of[sha256] for sha256 in found["kept"].predictions.sha256]
    scores = {name: score_folds(answers, groups, settings.seed) for name, answers in found.items()}
    facts = {
        "dataset": pictures.images.title,
        "dataset_id": pictures.images.repo_id,
        **settings.decisive(pictures),
        "date": datetime.now(UTC).date().isoformat(),
        "scores": {name: [score.to_json() for score in of] for name, of in scores.items()},
    }
    if settings.fractions:
        curve = draw_curve(tasks, groups, len(pictures.images.label_names), settings.seed)
        facts["learning_curve"] = curve.to_json()
        save(plot_learning_curve(curve), run.figures / "learning_curve.png")
        if run.model.exists():
            # For its report.
            save(plot_learning_curve(curve), run.model / "figures" / "learning_curve.png")
        print(f"Learning curve: {verdict(curve)} ({run.figures / 'learning_curve.png'})")
    atomic_write_text(run.cross_validation, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    return scores


def draw_curve(tasks: list[Task], groups: list[str], classes: int, seed: int) -> LearningCurve:
    """Returns the learning curve over the tasks' fractions; `groups` are those of the pictures, fold by fold."""
    right, per_class = {}, {}
    for fraction in sorted({task.fraction for task in tasks}):
        of = [task for task in tasks if task.fraction == fraction]
        answers = join_folds([read_out_of_fold(task.answers) for task in of]).predictions
        right[fraction] = answers.logits.argmax(1) == answers.labels
        per_class[fraction] = sum(len(task.fold.train) for task in of) / len(of) / classes
    return learning_curve(right, per_class, groups, seed)
