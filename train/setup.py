"""What is checked and built before a run begins: the machine, the tracker, the first weights."""

import shutil
from typing import Any

import torch
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType

from files.errors import UserError
from model_folder.folder import ModelFolder, open_model_folder
from train.model import build_model, check_previous, load_previous
from train.processes import check_processes
from train.recipe import Recipe


class SetupError(UserError):
    """A recipe that this machine or this dataset can't run."""


class TrackerError(UserError):
    """A tracker that accelerate doesn't know, or whose package is missing."""


def check_machine(recipe: Recipe) -> None:
    """Makes sure that this machine can run a recipe.

    Raises:
        SetupError: fp16 without a GPU, or compiling without a compiler.
        TrackerError: There is no such tracker, or it is not installed.
        ProcessesError: A batch that can't be divided among the processes.
    """
    if recipe.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise SetupError("mixed_precision=fp16 needs a GPU and there is none: use bf16 or no")
    if recipe.compile and torch.compiler.get_default_backend() == "inductor":
        check_compiler()
    if recipe.tracker:
        check_tracker(recipe.tracker)
    check_processes(recipe.batch_size)


def check_compiler() -> None:
    """Makes sure that what torch.compile writes can be compiled.

    Raises:
        SetupError: There is no C++ compiler.
    """
    from torch.utils.cpp_extension import get_cxx_compiler

    if shutil.which(get_cxx_compiler()) is None:
        raise SetupError(
            f"compile=true needs a C++ compiler and {get_cxx_compiler()} is not found: install one (g++, clang), name "
            "it in CXX, or leave compile away"
        )


def check_tracker(name: str) -> None:
    """Makes sure that a tracker can be used.

    Raises:
        TrackerError: Says which there are, or what to install.
    """
    known = sorted(str(kind) for kind in LoggerType if str(kind) != "all")
    if name not in known:
        raise TrackerError(f"there is no tracker {name!r}: accelerate has {', '.join(known)}")
    if name not in map(str, get_available_trackers()):
        raise TrackerError(f"tracker={name} needs a package that is not installed: pip install {name}")


def first_model(recipe: Recipe, label_names: list[str], resumed: bool) -> Any:
    """Builds the model that a run begins with.

    Args:
        recipe: Says where its weights come from.
        label_names: The dataset's classes.
        resumed: A checkpoint will fill in the weights: the first ones need not be at hand any more.

    Raises:
        UserError: Unknown architecture, or weights that can't be had or don't fit.
    """
    previous = open_model_folder(recipe.init_from) if recipe.init_from is not None else None
    if previous:
        check_previous(previous, recipe.architecture, label_names)
    model: Any = build_model(
        recipe.architecture,
        len(label_names),
        recipe.image_size,
        pretrained=recipe.pretrained and not resumed and not previous,
        weights=None if resumed else recipe.weights,
        drop_rate=recipe.drop_rate,
        preparation=_preparation(previous) if previous else None,
        drop_path_rate=recipe.drop_path_rate,
    )
    if any(side != recipe.image_size for side in recipe.image_sizes) and model.pretrained_cfg["fixed_input_size"]:
        raise SetupError(f"{recipe.architecture} sees pictures of one size only: leave image_sizes away")
    if previous and not resumed:
        load_previous(model, previous, label_names)
    return model


def _preparation(previous: ModelFolder) -> dict[str, Any]:
    # Those of its own first weights, which the architecture's name alone does not tell.
    return {key: previous.config["pretrained_cfg"][key] for key in ("mean", "std", "interpolation")}
