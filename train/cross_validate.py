"""The story of `train cross-validate`: train and validation are judged by models that never saw the pictures."""

import html
import json
import os
import shutil
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from accelerate import PartialState
from pydantic import BeforeValidator, Field, PlainValidator, model_validator
from tqdm import tqdm

from files.atomic import BusyError, atomic_write_text, only_writer
from files.errors import UserError, message_of
from model_folder.facts import read_metrics
from model_folder.folder import CONFIG
from train.compare import Difference, paired_difference
from train.data import fingerprint, load_images
from train.export.card import write_card
from train.fit import fit_to_judge
from train.folds import Fold, Pool, pool, thin
from train.hardware import choose_hardware
from train.learning_curve import LearningCurve, learning_curve, verdict
from train.metrics import Score, score_folds
from train.predict import predict_alone
from train.predictions import FOLDS, Predictions, join, read_predictions, write_predictions
from train.processes import on_cpus
from train.recipe import Recipe, as_list, default_values, read_yaml, trained_starts
from train.report.plots import plot_learning_curve, save
from train.run_folder import RunFolder
from train.setup import first_model

# May differ between folds without changing a result: what the dataset holds is compared, not where it lies.
# A curve may be asked for later.
_FREE = {
    "output_dir", "dataset", "num_workers", "checkpoint_minutes", "tracker", "resume_from_checkpoint", "fractions",
    "weights_origin",
}  # fmt: skip
# Where a recipe starts from, and on what machine, may differ from the model's that it is to tell about.
_NOT_THE_MODELS = {"pretrained", "weights", "init_from", "mixed_precision", "channels_last", "seed"}
_WAIT_SECONDS = 1.0
_FEWEST_POINTS = 3
Fraction = Annotated[float, Field(gt=0, le=1)]


def _folds(value: Any) -> int | str:
    text = str(value)
    if text and not text.removeprefix("-").isdigit() and isinstance(value, str):
        return text
    if isinstance(value, bool) or not text.isdigit() or int(text) < 2:
        raise ValueError("should be 2 or more, or a column of the dataset such as source")
    return int(text)


class FoldError(UserError):
    """Something is wrong with a fold."""


class CrossValidationError(UserError):
    """A folder that holds another cross-validation, or processes that don't fit."""


class CrossValidation(Recipe):
    """A run of `train cross-validate`: a recipe, and into how many folds the pictures are split.

    It starts from weights that have learned none of the pictures: `init_from` and the weights of a run are refused.

    Attributes:
        folds: How many models are trained, each on all folds but one. Or a column of the dataset, such as `source`:
            then a model per value of it, each judged on the pictures that have this value, and trained on the others.
        fractions: Also train on parts of what a fold learns from, above 0 and below 1, for a learning curve; 1 is
            always there. Empty: no curve.
    """

    folds: Annotated[int | str, PlainValidator(_folds)] = 5
    fractions: Annotated[tuple[Fraction, ...], BeforeValidator(as_list)] = ()

    @model_validator(mode="after")
    def _check_folds(self) -> "CrossValidation":
        if self.streaming:
            raise ValueError("folds are drawn from pictures that are at hand: leave streaming away")
        if self.fractions and len(self.parts) < _FEWEST_POINTS:
            raise ValueError(f"fractions: a curve takes two or more below 1, found {len(self.parts) - 1}")
        if starts := trained_starts({"init_from": self.init_from, "weights": self.weights}):
            given = " and ".join(f"{key}={getattr(self, key)}" for key in starts)
            raise ValueError(
                f"{given}: that model may have learned the pictures that a fold is judged on, and its score would be "
                f"too good; add {' '.join(f'{key}=none' for key in starts)} to start from pretrained weights"
            )
        return self

    @property
    def parts(self) -> list[float]:
        """The fractions that are trained on, the whole first."""
        return [1.0, *sorted(set(self.fractions) - {1.0}, reverse=True)]

    @property
    def column(self) -> str:
        """By what folds are made; empty where they are drawn."""
        return "" if isinstance(self.folds, int) else self.folds

    def of_fold(self, folder: Path) -> Recipe:
        """Returns the recipe by which a fold is trained in its folder, whether or not it was begun before."""
        own = {"folds", "fractions"}
        return Recipe(**{**self.model_dump(exclude=own), "output_dir": folder, "resume_from_checkpoint": True})

    def decisive(self, pictures: Pool) -> dict[str, Any]:
        """Returns what all folds must have in common."""
        values = self.model_dump(mode="json", exclude=_FREE)
        return {**values, "label_names": pictures.images.label_names, "pictures": fingerprint(pictures.rows)}


@dataclass(frozen=True)
class CrossValidationResult:
    """What `cross_validate` found.

    Attributes:
        output_dir: Where predictions.parquet and cross_validation.json lie, with `-COLUMN` in their names where folds
            were made by a column.
        scores: Of each fold and, last, of all pictures, by what was judged: "kept", the models that were kept, and,
            with two stages, "stage 1".
        curve: The learning curve, where `fractions` asked for one.
        gain: How much more often the models that were kept are right than those of stage 1, with two stages.
        column: By what folds were made; empty where they were drawn.
    """

    output_dir: Path
    scores: dict[str, list[Score]]
    curve: LearningCurve | None = None
    gain: Difference | None = None
    column: str = ""

    @property
    def accuracy(self) -> float:
        """Share of right answers of the models that were kept, 0 to 1."""
        return self.scores["kept"][-1].accuracy

    @property
    def macro_f1(self) -> float:
        """Their mean F1 of the classes, 0 to 1."""
        return self.scores["kept"][-1].macro_f1

    @cached_property
    def predictions(self) -> Predictions:
        """The out-of-fold answers, read from predictions.parquet."""
        return read_predictions(RunFolder(self.output_dir, self.column).out_of_fold, FOLDS)

    def plot_learning_curve(self) -> Any:
        """Returns a matplotlib figure.

        Raises:
            CrossValidationError: No fractions were trained on.
        """
        if self.curve is None:
            raise CrossValidationError("there is no learning curve: cross-validate with fractions=0.25,0.5,0.75")
        return plot_learning_curve(self.curve)

    def summary(self) -> str:
        """Returns the scores as a table and a sentence each, and what the learning curve says."""
        folds = [str(score.fold or "all") for score in self.scores["kept"]]
        width = max(map(len, [*folds, self.column or "fold"])) + 2
        lines = [
            f"{self.column or 'fold':{width}}{'pictures':>8}"
            + "".join(f"{f'{n}: accuracy':>20}{'macro F1':>10}" for n in self.scores)
        ]
        for fold, *rows in zip(folds, *self.scores.values(), strict=True):
            cells = "".join(f"{row.accuracy:>20.1%}{row.macro_f1:>10.3f}" for row in rows)
            lines.append(f"{fold:{width}}{rows[0].pictures:>8}{cells}")
        for name, scores in self.scores.items():
            total = scores[-1]
            (low, high), (f1_low, f1_high) = total.accuracy_interval, total.macro_f1_interval
            unseen = f"that learned from another {self.column} only" if self.column else "that never saw it"
            lines.append(
                f"{name}: {total.accuracy:.1%} of {total.pictures} pictures right, each judged by a model {unseen} "
                f"(95 % interval over groups {low:.1%} – {high:.1%}), macro F1 {total.macro_f1:.3f} "
                f"({f1_low:.3f} – {f1_high:.3f})"
                + (f"; mean of the {len(scores) - 1}: {_mean(scores):.1%}" if self.column else "")
            )
        if self.gain:
            low, high = self.gain.interval
            lines.append(
                f"stage 2: {100 * self.gain.value:+.1f} points over stage 1 (95 % interval over {self.gain.over} "
                f"{100 * low:+.1f} – {100 * high:+.1f})"
                + (
                    f"; mean of the {len(folds) - 1}: "
                    f"{100 * (_mean(self.scores['kept']) - _mean(self.scores['stage 1'])):+.1f}"
                    if self.column
                    else ""
                )
            )
        if self.curve:
            figure = RunFolder(self.output_dir).figures / "learning_curve.png"
            lines.append(f"Learning curve: {verdict(self.curve)} ({figure})")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Names the folder and the two numbers."""
        total = self.scores["kept"][-1]
        return (
            f"CrossValidationResult({self.output_dir}: accuracy {total.accuracy:.1%} of {total.pictures} pictures, "
            f"macro F1 {total.macro_f1:.3f})"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.summary())}</pre>"


def _mean(scores: list[Score]) -> float:
    """Returns the mean accuracy of folds, each counted once however many pictures it has."""
    return sum(score.accuracy for score in scores[:-1]) / (len(scores) - 1)


def cross_validate(settings: Recipe, **values: Any) -> CrossValidationResult:
    """Trains and judges what is left of the folds; writes predictions.parquet and cross_validation.json.

    Started twice in the same folder, two processes share the folds.

    Args:
        settings: What to do, or a recipe that `values` make it of: `cross_validate(recipe, folds=5)`.
        values: Settings that win over it.

    Raises:
        UserError: The recipe or the dataset can't be used, there are too few pictures for so many folds, or a fold
            failed.
        Stopped: SIGINT or SIGTERM has come; the same command goes on.
    """
    if not isinstance(settings, CrossValidation) or values:
        settings = CrossValidation(**{**settings.model_dump(), **values})
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise CrossValidationError(
            "a fold runs in one process: start python -m train cross-validate without a launcher, several times in "
            "the same output_dir to run folds side by side"
        )
    images = load_images(
        settings.dataset, image_column=settings.image_column, label_column=settings.label_column, validation=0
    )
    pictures = pool(images)
    labels, groups, seed = pictures.labels, pictures.groups, settings.seed
    folds = pictures.folds(settings.folds, seed)
    run = RunFolder(settings.output_dir, settings.column)
    _claim(run, settings.decisive(pictures))
    settings = settings.model_copy(update=_pinned_hardware(settings, images.label_names, run))
    tasks = [
        _Task(number, len(folds), fraction, thin(fold, fraction, labels, groups, seed), run)
        for fraction in settings.parts
        for number, fold in enumerate(folds, 1)
    ]
    seconds: list[float] = []
    while left := [task for task in tasks if not task.answers.exists()]:
        worked = False
        for task in left:
            start = time.monotonic()
            done = _run_fold(settings.of_fold(task.place), pictures, task)
            if done is None:
                continue
            worked = True
            seconds.append(time.monotonic() - start)
            line = f"{task.title}: {done.right.mean():.1%} of {len(done.labels)} pictures right"
            line += f", in {tqdm.format_interval(seconds[-1])}"
            if ahead := sum(not other.answers.exists() for other in tasks):
                line += f"; {ahead} to go, about {tqdm.format_interval(ahead * np.mean(seconds))}"
            print(line, flush=True)
        if not worked:
            # Another process is at the last ones; should it be killed, they are taken over.
            time.sleep(_WAIT_SECONDS)
    with only_writer(run.folds / "results", timeout=-1):
        return _write_results(settings, pictures, tasks, run)


@dataclass(frozen=True)
class _Task:
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
        without = f", without {self.fold.value}" if self.fold.value else ""
        return f"fold {self.number} of {self.folds}{without}{part}"

    @property
    def place(self) -> Path:
        """Where it is trained; what counts is kept there."""
        part = "" if self.fraction == 1 else f"-{self.fraction:g}"
        return self.run.folds / f"fold{self.number}{part}"

    @property
    def answers(self) -> Path:
        """The file by whose presence it is done."""
        return self.place / "predictions.parquet"

    @property
    def stage_1(self) -> Path:
        """The answers after stage 1."""
        return self.place / "predictions-stage1.parquet"


def _run_fold(recipe: Recipe, pictures: Pool, task: _Task) -> Predictions | None:
    """Trains a fold and answers for the pictures that it held out; None where another process is at it, or was.

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
            return None
        if task.answers.exists():
            return None
        try:
            # A point of a learning curve is the model that is kept.
            if recipe.two_stages and task.fraction == 1 and not task.stage_1.exists():
                first = _answers_of(recipe.model_copy(update={"epochs": 0}), pictures, task)
                write_predictions(task.stage_1, first)
            answers = _answers_of(recipe, pictures, task)
        except UserError as error:
            raise FoldError(f"{task.title}: {message_of(error)}") from error
        # What counts as done must be whole; what only led to it takes much room.
        write_predictions(task.answers, answers)
        shutil.rmtree(RunFolder(task.place).checkpoints, ignore_errors=True)
    return answers


def _answers_of(recipe: Recipe, pictures: Pool, task: _Task) -> Predictions:
    """Trains a model, or goes on with it, and returns its answers to the pictures that its fold held out."""
    held_out = task.fold.held_out
    trained = fit_to_judge(recipe, pictures.learned_in(task.fold), quiet=True)
    rows, names = pictures.rows.select(held_out), pictures.images.label_names
    predictions = predict_alone(
        trained.model, trained.data_config, rows, names, "Predicting", recipe.batch_size, recipe.num_workers
    )
    # By the pool's names: a dataset need not have any.
    described: dict[str, Any] = {
        name: [getattr(pictures, name)[index] for index in held_out] for name in ("sha256", "splits", "groups")
    }
    return replace(predictions, **described, folds=np.full(len(held_out), task.number))


def _pinned_hardware(settings: CrossValidation, label_names: list[str], run: RunFolder) -> dict[str, Any]:
    """Returns precision and layout in memory, which are chosen once for all folds where the recipe says "auto"."""
    note = run.folds / "hardware.json"
    with only_writer(note, timeout=-1):
        if not note.exists():
            # As if resumed: its weights don't matter.
            model, wanted = (
                first_model(settings, label_names, True),
                (settings.mixed_precision, settings.channels_last),
            )
            device = PartialState(cpu=on_cpus()).device
            hardware = choose_hardware(model, *wanted, settings.batch_size, settings.image_size, device)
            atomic_write_text(note, json.dumps(asdict(hardware), indent=2) + "\n")
        chosen = json.loads(note.read_text(encoding="utf-8"))
    return {key: chosen[key] for key in ("mixed_precision", "channels_last")}


def _claim(run: RunFolder, decisive: dict[str, Any]) -> None:
    """Notes in the run's folder what its folds have in common.

    Raises:
        CrossValidationError: They have something else in common.
        RunFolderError: It is the folder of something else.
    """
    note = run.folds / "settings.json"
    run.check_is_run_or_free()
    if note.exists():
        previous = json.loads(note.read_text(encoding="utf-8"))
        previous = {**default_values(), **previous}
        if differing := [key for key in decisive if previous.get(key) != decisive[key]]:
            raise CrossValidationError(
                f"{run.path} holds a cross-validation with other {', '.join(differing)}: choose another output_dir"
            )
        return
    run.folds.mkdir(parents=True, exist_ok=True)
    atomic_write_text(note, json.dumps(decisive, indent=2, ensure_ascii=False) + "\n")


def _write_results(
    settings: CrossValidation, pictures: Pool, tasks: list[_Task], run: RunFolder
) -> CrossValidationResult:
    """Joins the folds and scores them."""
    whole = [task for task in tasks if task.fraction == 1]
    judged = {"stage 1": [task.stage_1 for task in whole]} if settings.two_stages else {}
    judged["kept"] = [task.answers for task in whole]
    answers = {name: _joined(files, pictures) for name, files in judged.items()}
    write_predictions(run.out_of_fold, answers["kept"])
    values = [task.fold.value for task in whole if task.fold.value]
    scores = {name: score_folds(predictions, values) for name, predictions in answers.items()}
    gain = None
    if settings.two_stages:
        groups = answers["kept"].group_numbers
        gain = paired_difference(answers["stage 1"].right, answers["kept"].right, groups)
    facts = {
        "dataset": pictures.images.title,
        "dataset_id": pictures.images.repo_id,
        **settings.decisive(pictures),
        "date": datetime.now(UTC).date().isoformat(),
        "scores": {name: [score.to_json() for score in rows] for name, rows in scores.items()},
        "gain": asdict(gain) if gain else None,
    }
    curve = None
    if settings.fractions:
        curve = _curve(tasks, pictures)
        facts["learning_curve"] = curve.to_json()
        # For the model's report, too.
        for folder in (run.figures, *([run.model / "figures"] if run.model.exists() else [])):
            save(plot_learning_curve(curve), folder / "learning_curve.png")
    atomic_write_text(run.cross_validation, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    if settings.column:
        _tell_model(run.model, settings, facts)
    return CrossValidationResult(settings.output_dir, scores, curve, gain, settings.column)


def _tell_model(model: Path, settings: CrossValidation, facts: dict[str, Any]) -> None:
    """Puts what models by the same recipe are worth on pictures from elsewhere into a run's model and its card."""
    if not (model / "recipe.yaml").is_file():
        return
    recipe = {**default_values(), **read_yaml(model / "recipe.yaml")}
    config = json.loads((model / CONFIG).read_text(encoding="utf-8"))
    values = settings.model_dump(mode="json", include=set(Recipe.model_fields) - _FREE - _NOT_THE_MODELS)
    differing = [key for key, value in values.items() if recipe[key] != value]
    differing += ["classes"] * (config["label_names"] != facts["label_names"])
    differing += ["dataset"] * (config["training_data"]["name"] != facts["dataset"])
    if differing:
        print(f"{model} is of another {', '.join(differing)}: its card does not tell of this")
        return
    told = {"column": settings.column, **{key: facts[key] for key in ("dataset", "date", "scores")}}
    with only_writer(model / "metrics.json", timeout=-1):
        metrics = json.dumps({**read_metrics(model), FOLDS: told}, indent=2, ensure_ascii=False)
        atomic_write_text(model / "metrics.json", metrics + "\n")
        write_card(model)


def _curve(tasks: list[_Task], pictures: Pool) -> LearningCurve:
    """Returns the learning curve over the tasks' fractions."""
    answers, per_class = {}, {}
    for fraction in sorted({task.fraction for task in tasks}):
        parts = [task for task in tasks if task.fraction == fraction]
        answers[fraction] = _joined([task.answers for task in parts], pictures)
        learned = sum(len(task.fold.train) for task in parts) / len(parts)
        per_class[fraction] = learned / len(pictures.images.label_names)
    return learning_curve(answers, per_class)


def _joined(files: list[Path], pictures: Pool) -> Predictions:
    """Reads the answers of all folds; those that an earlier version wrote state no groups."""
    answers = join([read_predictions(file, FOLDS) for file in files])
    group_of = dict(zip(pictures.sha256, pictures.groups, strict=True))
    return replace(answers, groups=[group_of[sha256] for sha256 in answers.sha256])
