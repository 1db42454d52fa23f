"""The story of `train lr-find`: at which learning rate does the next stage learn fastest?"""

import shutil
from contextlib import ExitStack

from accelerate import Accelerator
from accelerate.utils import set_seed

from train.fitting.checkpoint import load_newest_checkpoint
from train.fitting.data import load_images
from train.fitting.lr_finder import LRFinderResult
from train.fitting.progress import Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.lesson import prepare_lesson
from train.parts import make_parts, recipe_accelerator
from train.plan import Stage, stages
from train.rates import search
from train.running.memory import plain_memory_errors
from train.running.processes import from_main, once_per_node
from train.running.stopping import StopRequest


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
    resumed = from_main(lambda: load_newest_checkpoint(run.checkpoints))
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
