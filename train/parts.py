"""What every story of training builds from a recipe."""

from typing import Any

import torch

from hub.model_folder import ModelFolder, open_model_folder
from train.errors import UserError
from train.fitting.batches import TransformedImages
from train.fitting.data import LabelledImages
from train.fitting.model import build_model, check_former, load_former
from train.fitting.objective import Objective, rareness
from train.fitting.recipe import Recipe
from train.fitting.transforms import Augmentation, Transform, train_transform


class SizesError(UserError):
    """An architecture that can't take pictures of several sizes."""


def start_model(recipe: Recipe, label_names: list[str], resumed: bool) -> Any:
    """Builds the model that a run begins with.

    Args:
        recipe: Says where its weights come from.
        label_names: The dataset's classes.
        resumed: A checkpoint will fill in the weights: the first ones need not be at hand any more.

    Raises:
        UserError: Unknown architecture, or weights that can't be had or don't fit.
    """
    former = open_model_folder(recipe.init_from) if recipe.init_from is not None else None
    if former:
        check_former(former, recipe.architecture, label_names)
    model: Any = build_model(
        recipe.architecture,
        len(label_names),
        recipe.image_size,
        pretrained=recipe.pretrained and not resumed and not former,
        weights=None if resumed else recipe.weights,
        drop_rate=recipe.drop_rate,
        preparation=_preparation(former) if former else None,
    )
    if any(side != recipe.image_size for side in recipe.image_sizes) and model.pretrained_cfg["fixed_input_size"]:
        raise SizesError(f"{recipe.architecture} sees pictures of one size only: leave image_sizes away")
    if former and not resumed:
        load_former(model, former, label_names)
    return model.to(memory_format=torch.channels_last) if recipe.channels_last else model


def _preparation(former: ModelFolder) -> dict[str, Any]:
    # Those of its own first weights, which the architecture's name alone does not tell.
    return {key: former.config["pretrained_cfg"][key] for key in ("mean", "std", "interpolation")}


def training_images(recipe: Recipe, images: LabelledImages, data_config: dict[str, Any]) -> TransformedImages:
    """Returns the training split, augmented as the recipe says."""
    return TransformedImages(images.split("train"), training_transform(recipe, data_config), recipe.seed)


def training_transform(recipe: Recipe, data_config: dict[str, Any], side: int | None = None) -> Transform:
    """Returns the recipe's augmentation, for squares of `side` pixels if that is not the model's own size."""
    sized = {**data_config, "input_size": (3, side, side)} if side else data_config
    return train_transform(
        sized,
        Augmentation(
            min_scale=recipe.min_scale,
            max_rotate=recipe.max_rotate,
            max_zoom=recipe.max_zoom,
            max_warp=recipe.max_warp,
            p_affine=recipe.p_affine,
            max_lighting=recipe.max_lighting,
            p_lighting=recipe.p_lighting,
            random_erasing=recipe.random_erasing,
        ),
    )


def make_objective(recipe: Recipe, images: LabelledImages) -> Objective:
    """Returns what the recipe minimises."""
    number = len(images.label_names)
    balanced = recipe.class_balance == "weights"
    return Objective(
        number,
        recipe.label_smoothing,
        recipe.mixup,
        recipe.cutmix,
        rareness(list(images.split("train")["label"]), number) if balanced else None,
    )
