"""The story of `train lr-find`: at which learning rate does the next stage learn fastest?"""

from accelerate.utils import set_seed

from train.finetune import make_accelerator
from train.fitting.checkpoint import load_newest_checkpoint
from train.fitting.data import load_images
from train.fitting.lr_finder import LRFinderResult
from train.fitting.model import model_data_config
from train.fitting.progress import Progress
from train.fitting.recipe import Recipe
from train.fitting.run_folder import RunFolder
from train.parts import make_objective, start_model, training_images
from train.plan import Stage, set_frozen, stages
from train.rates import search


def find(recipe: Recipe) -> tuple[Stage, LRFinderResult]:
    """Runs the learning-rate finder for the stage that comes next; adds figure and numbers to `output_dir`.

    That is stage 2 where `output_dir` holds a run that is through with stage 1, from its newest checkpoint;
    otherwise the recipe's first stage.

    Returns:
        The stage and what was found.

    Raises:
        UserError: The recipe, the dataset, the weights or the output folder can't be used.
    """
    accelerator = make_accelerator(recipe)
    run = RunFolder(recipe.output_dir)
    run.check_is_run_or_free()
    images = load_images(recipe.dataset)
    resumed = load_newest_checkpoint(run.checkpoints)
    if resumed:
        run.check_same_model(recipe.architecture, images.label_names)
    set_seed(recipe.seed)
    model = start_model(recipe, images.label_names, resumed is not None).to(accelerator.device)
    if resumed:
        model.load_state_dict(resumed.model)
    done = resumed.progress if resumed else Progress()
    left = [stage for stage in stages(recipe) if not done.is_over(stage.number, stage.epochs, recipe.patience)]
    stage = left[0] if left else stages(recipe)[-1]
    pictures = training_images(recipe, images, model_data_config(model, recipe.image_size, recipe.crop_mode))
    set_frozen(model, stage)
    return stage, search(accelerator, recipe, stage, model, pictures, make_objective(recipe, images), run)
