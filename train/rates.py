"""Learning rates that a stage asks the finder for."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from train.errors import UserError
from train.fitting.batches import TransformedImages, hash_seed, make_loader
from train.fitting.lr_finder import LRFinderResult, find_lr
from train.fitting.objective import Objective
from train.fitting.optim import make_optimizer
from train.fitting.progress import Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.judging.plots import plot_lr_finder
from train.plan import Stage


class RateError(UserError):
    """No learning rate can be suggested where one is needed."""


def settled_rate(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    model: Any,
    pictures: TransformedImages,
    objective: Objective,
    run: RunFolder,
    progress: Progress,
) -> float:
    """Returns a stage's highest rate; for "auto", the finder's suggestion, which is looked for once per run.

    Raises:
        RateError: There is no suggestion.
    """
    if stage.max_lr != "auto":
        return stage.max_lr
    key = str(stage.number)
    if key not in progress.found_rates:
        result = search(accelerator, recipe, stage, model, pictures, objective, run)
        if result.suggestion is None:
            raise RateError(
                f"{stage.rate_key}=auto finds no rate: {result.reason} (see {figure_path(run, stage)}); "
                f"go on with {stage.rate_key}=NUMBER resume_from_checkpoint=true"
            )
        progress.found_rates[key] = result.suggestion
        accelerator.print(f"{stage.rate_key}={result.suggestion:.2g}, found")
    return progress.found_rates[key]


def search(
    accelerator: Accelerator,
    recipe: Recipe,
    stage: Stage,
    model: Any,
    pictures: TransformedImages,
    objective: Objective,
    run: RunFolder,
) -> LRFinderResult:
    """Runs the finder on a model that is frozen as the stage asks for, and leaves the model as it was."""
    seed = hash_seed(recipe.seed, stage.number, -1)
    balanced = recipe.class_balance == "sampling"
    # Only the ratio of the groups' rates counts.
    optimizer = make_optimizer(model, 1.0, stage.lr_mult, recipe.weight_decay)
    prepared, prepared_optimizer, loader = accelerator.prepare(
        model, optimizer, make_loader(pictures, recipe.batch_size, recipe.num_workers, shuffle=True, balanced=balanced)
    )
    result = find_lr(
        accelerator,
        prepared,
        _endless(loader, pictures, seed),
        prepared_optimizer,
        objective,
        recipe.max_grad_norm,
        seed,
    )
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    accelerator.free_memory()
    if accelerator.is_main_process:
        write_result(run, stage, result)
    return result


def _endless(loader: Any, pictures: TransformedImages, seed: int) -> Iterator[Any]:
    for epoch in itertools.count():
        number = hash_seed(seed, epoch) % 2**32
        loader.set_epoch(number)
        pictures.set_epoch(number)
        yield from loader


def write_result(run: RunFolder, stage: Stage, result: LRFinderResult) -> None:
    """Adds the curve to `lr_finder.json`, and its figure."""
    plot_lr_finder(figure_path(run, stage), result)
    table = json.loads(run.lr_finder.read_text(encoding="utf-8")) if run.lr_finder.exists() else {}
    table[f"stage{stage.number}"] = asdict(result)
    draft = run.lr_finder.with_suffix(".draft")
    draft.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    draft.replace(run.lr_finder)


def figure_path(run: RunFolder, stage: Stage) -> Path:
    """Returns where a stage's curve is shown."""
    return run.figures / f"lr_finder-stage{stage.number}.png"
