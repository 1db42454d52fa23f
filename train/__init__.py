"""Dataset folder -> model folder: fine-tuning, judging, publishing.

`from train import Recipe, fit, evaluate, predict` is the Python API, loaded on first use because it needs torch. Where
a function and its module have one name, `import train.fit as fit` gives the function; the rest of a module is reached
by `from train.fit import ...`, the module itself by `importlib.import_module("train.fit")`.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train.cross_validate import CrossValidation, cross_validate
    from train.evaluate import Evaluation, evaluate
    from train.fit import fit, lr_find
    from train.predict import predict
    from train.recipe import Recipe

__all__ = ["CrossValidation", "Evaluation", "Recipe", "cross_validate", "evaluate", "fit", "lr_find", "predict"]

# Where each of them is defined.
_PLACES = {
    "CrossValidation": "cross_validate.CrossValidation",
    "Evaluation": "evaluate.Evaluation",
    "Recipe": "recipe.Recipe",
    "cross_validate": "cross_validate.cross_validate",
    "evaluate": "evaluate.evaluate",
    "fit": "fit.fit",
    "lr_find": "fit.lr_find",
    "predict": "predict.predict",
}


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Python binds every sub-module that is imported to its package, where `train.fit` would hide the function.
        if name not in _PLACES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(".")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
