"""Learning rates that a stage asks the finder for."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from files.errors import UserError
from train.fitting.lr_finder import LRFinderResult, find_lr
from train.fitting.progress import Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.fitting.sampling import hash_seed
from train.fitting.stepper import Stepper
from train.judging.training_plots import plot_lr_finder
from train.lesson import Lesson
from train.plan import Stage
from train.running.processes import from_main
from train.running.stopping import StopRequest
from train.running.watching import stoppable


class RateError(UserError):
    """No learning rate can be suggested where one is needed."""


def settled_rate(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    model: nn.Module,
    lesson: Lesson,
    run: RunFolder,
    progress: Progress,
    stop: StopRequest,
) -> float:
    """Returns a stage's highest rate; for "auto", the finder's suggestion, which is looked for once per run.

    Raises:
        RateError: There is no suggestion.
        Stopped: A signal has asked for it.
    """
    if stage.max_lr != "auto":
        return stage.max_lr
    if stage.rate_key not in progress.found:
        result = search(accelerator, recipe, stage, model, lesson, run, stop)
        if result.suggestion is None:
            raise RateError(
                f"{stage.rate_key}=auto finds no rate: {result.reason} (see {figure_path(run, stage)}); "
                f"go on with {stage.rate_key}=NUMBER resume_from_checkpoint=true"
            )
        progress.found[stage.rate_key] = result.suggestion
        accelerator.print(f"{stage.rate_key}={result.suggestion:.2g}, found")
    return progress.found[stage.rate_key]


def search(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    model: nn.Module,
    lesson: Lesson,
    run: RunFolder,
    stop: StopRequest,
) -> LRFinderResult:
    """Runs the finder as the stage would begin; the model stays as it was.

    Raises:
        Stopped: A signal has asked for it.
    """
    # Only the ratio of the groups' rates counts.
    optimizer = lesson.optimizer(model, 1.0, stage.lr_mult)
    prepared, prepared_optimizer = accelerator.prepare(lesson.learner, optimizer)
    stepper = Stepper(
        accelerator,
        prepared,
        prepared_optimizer,
        lesson.objective,
        recipe.gradient_accumulation_steps,
        recipe.max_grad_norm,
        recipe.freeze_batchnorm,
    )
    seed = hash_seed(recipe.seed, stage.number, -1)
    result = find_lr(stepper, _endless(lesson.train_batches, seed, stop), seed)
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    accelerator.free_memory()
    from_main(lambda: write_result(run, stage, result))
    return result


def _endless(batches: Any, seed: int, stop: StopRequest) -> Iterator[Any]:
    for epoch in itertools.count():
        batches.start(hash_seed(seed, epoch) % 2**32, 0)
        yield from stoppable(batches, stop)


def write_result(run: RunFolder, stage: Stage, result: LRFinderResult) -> None:
    """Adds the curve to `lr_finder.json`, and its figure."""
    plot_lr_finder(figure_path(run, stage), result)
    run.add_finding(stage.number, asdict(result))


def figure_path(run: RunFolder, stage: Stage) -> Path:
    """Returns where a stage's curve is shown."""
    return run.figures / f"lr_finder-stage{stage.number}.png"
