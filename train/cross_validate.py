"""The story of `train cross-validate`: train and validation are judged by models that never saw the pictures."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from pydantic import Field, model_validator

from train.errors import UserError, message_of
from train.finetune import fit
from train.fitting.data import fingerprint, load_images
from train.fitting.folds import Fold, deal_folds
from train.fitting.pool import Pool, pool
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.judging.fold_scores import Score, score_folds
from train.judging.out_of_fold import OutOfFold, join_folds, read_out_of_fold, write_out_of_fold
from train.judging.predict import load_model, predict
from train.running.processes import make_accelerator

# May differ between folds without changing a result: what the dataset holds is compared, not where it lies.
_FREE = {"output_dir", "dataset", "num_workers", "checkpoint_minutes", "tracker", "resume_from_checkpoint"}
_WAIT_SECONDS = 1.0


class CrossValidationError(UserError):
    """A folder that holds another cross-validation, a fold that failed, or processes that don't fit."""


class CrossValidation(Recipe):
    """A run of `train cross-validate`: a recipe, and into how many folds the pictures are dealt.

    Attributes:
        folds: How many models are trained, each on all folds but one.
    """

    folds: int = Field(5, ge=2)

    @model_validator(mode="after")
    def _not_streamed(self) -> "CrossValidation":
        if self.streaming:
            raise ValueError("folds are dealt among pictures that are at hand: leave streaming away")
        return self

    @property
    def two_stages(self) -> bool:
        """Whether there is a stage 1 to be judged by itself, too."""
        return bool(self.freeze_epochs and self.epochs)

    def of_fold(self, folder: Path, **changes: Any) -> Recipe:
        """Returns the recipe by which a fold is trained in its folder, whether or not it was begun before."""
        values = {**self.model_dump(exclude={"folds"}), "output_dir": folder, "resume_from_checkpoint": True}
        return Recipe(**{**values, **changes})

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
    while left := [number for number in range(1, len(folds) + 1) if not _answers(run, number).exists()]:
        worked = [run_fold(settings, pictures, folds[number - 1], run, number) for number in left]
        if not any(worked):
            # Another process is at the last ones; should it be killed, they are taken over.
            time.sleep(_WAIT_SECONDS)
    with FileLock(run.folds / "results.lock"):
        return write_results(settings, pictures, run)


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
    draft = note.with_suffix(".draft")
    draft.write_text(json.dumps(decisive, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(note)


def run_fold(settings: CrossValidation, pictures: Pool, fold: Fold, run: RunFolder, number: int) -> bool:
    """Trains a fold and answers for the pictures that it held out; False when another process is at it.

    Raises:
        CrossValidationError: Something is wrong; says in which fold.
    """
    title = f"fold {number} of {settings.folds}"
    with _alone(run.folds / f"fold{number}.lock") as alone:
        if not alone or _answers(run, number).exists():
            return alone
        print(f"{title}: {len(fold.held_out)} pictures held out", flush=True)
        folder = RunFolder(run.folds / f"fold{number}")
        try:
            if settings.two_stages and not _stage_1(run, number).exists():
                fit(settings.of_fold(folder.path, epochs=0), pictures.learned_in(fold))
                write_out_of_fold(_stage_1(run, number), answer(settings, pictures, fold, folder.model, number))
            fit(settings.of_fold(folder.path), pictures.learned_in(fold))
            answers = answer(settings, pictures, fold, folder.model, number)
        except UserError as error:
            raise CrossValidationError(f"{title}: {message_of(error)}") from error
        # What counts as done must be whole; what only led to it takes much room.
        write_out_of_fold(_answers(run, number), answers)
        for left in (folder.checkpoints, folder.model):
            shutil.rmtree(left, ignore_errors=True)
        right = (answers.predictions.labels == answers.predictions.logits.argmax(1)).mean()
        print(f"{title}: {right:.1%} of the {len(fold.held_out)} right", flush=True)
    return True


def answer(settings: CrossValidation, pictures: Pool, fold: Fold, model_folder: Path, number: int) -> OutOfFold:
    """Returns a model's answers to the pictures that its fold held out."""
    accelerator = make_accelerator("no")
    model, _ = load_model(str(model_folder))
    rows = pictures.rows.select(fold.held_out)
    predictions = predict(accelerator, model, rows, settings.batch_size, settings.num_workers)
    # By the pool's names: a dataset need not have any.
    predictions = replace(predictions, sha256=[pictures.sha256[index] for index in fold.held_out])
    splits = [pictures.splits[index] for index in fold.held_out]
    return OutOfFold(predictions, splits, np.full(len(splits), number))


def write_results(settings: CrossValidation, pictures: Pool, run: RunFolder) -> dict[str, list[Score]]:
    """Joins the folds; returns their scores by what was judged: "kept" and, with two stages, "stage 1"."""
    numbers = range(1, settings.folds + 1)
    found = {}
    if settings.two_stages:
        found["stage 1"] = join_folds([read_out_of_fold(_stage_1(run, number)) for number in numbers])
    found["kept"] = join_folds([read_out_of_fold(_answers(run, number)) for number in numbers])
    write_out_of_fold(run.out_of_fold, found["kept"])
    group_of = dict(zip(pictures.sha256, pictures.groups, strict=True))
    scores = {
        name: score_folds(answers, [group_of[sha256] for sha256 in answers.predictions.sha256], settings.seed)
        for name, answers in found.items()
    }
    facts = {
        "dataset": pictures.images.title,
        "dataset_id": pictures.images.repo_id,
        **settings.decisive(pictures),
        "date": datetime.now(UTC).date().isoformat(),
        "scores": {name: [score.to_json() for score in of] for name, of in scores.items()},
    }
    run.cross_validation.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return scores


def summary(scores: dict[str, list[Score]]) -> str:
    """Returns the table that `cross-validate` prints."""
    lines = [f"{'fold':8}{'pictures':>8}" + "".join(f"{f'{n}: accuracy':>20}{'macro F1':>10}" for n in scores)]
    for rows in zip(*scores.values(), strict=True):
        cells = "".join(f"{row.accuracy:>20.1%}{row.macro_f1:>10.3f}" for row in rows)
        lines.append(f"{rows[0].fold or 'all':<8}{rows[0].pictures:>8}{cells}")
    for name, of in scores.items():
        total = of[-1]
        assert total.accuracy_interval is not None, "all pictures have intervals"
        assert total.macro_f1_interval is not None, "all pictures have intervals"
        lines.append(
            f"{name}: {total.accuracy:.1%} of {total.pictures} pictures right, each judged by a model that never saw "
            f"it (95 % interval {total.accuracy_interval[0]:.1%} – {total.accuracy_interval[1]:.1%}), macro F1 "
            f"{total.macro_f1:.3f} ({total.macro_f1_interval[0]:.3f} – {total.macro_f1_interval[1]:.3f})"
        )
    return "\n".join(lines)


def _answers(run: RunFolder, number: int) -> Path:
    return run.folds / f"fold{number}" / "predictions.parquet"


def _stage_1(run: RunFolder, number: int) -> Path:
    return run.folds / f"fold{number}" / "predictions-stage1.parquet"


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Tells whether no other process is at the fold, and keeps it so within the block."""
    held = FileLock(lock)
    try:
        held.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        held.release()
