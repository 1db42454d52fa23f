"""A run's folder: its recipe, checkpoints, metrics, figures, and at the end the model folder."""

import json
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from train.errors import UserError
from train.fitting.checkpoint import write_tensors
from train.fitting.progress import Progress
from train.fitting.recipe import Recipe

# May differ between the start of a run and its continuation without changing its result.
_FREE = {"output_dir", "num_workers"}


class RunFolderError(UserError):
    """An output folder that holds another run, or something that is no run."""


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: Path) -> None:
        """Names the parts of the run folder `path`; nothing is created."""
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.checkpoints = path / "checkpoints"
        self.best = path / "checkpoints" / "best.safetensors"
        self.metrics = path / "metrics.jsonl"
        self.figures = path / "figures"
        self.model = path / "model"

    def check(self, recipe: Recipe) -> None:
        """Makes sure that the folder is free, or holds the run that the recipe wants to continue.

        Raises:
            RunFolderError: The folder holds another run, or something else.
        """
        if self.recipe.exists():
            if not recipe.resume_from_checkpoint:
                raise RunFolderError(
                    f"{self.path} holds a run: continue it with resume_from_checkpoint=true, "
                    "or choose another output_dir"
                )
            former = yaml.safe_load(self.recipe.read_text(encoding="utf-8"))
            now = yaml.safe_load(recipe.to_yaml())
            differing = [key for key in now if key not in _FREE and former.get(key) != now[key]]
            if differing:
                listed = "; ".join(f"{key}: {former.get(key)} there, {now[key]} now" for key in differing)
                raise RunFolderError(
                    f"{self.path} holds a run with another recipe ({listed}): choose another output_dir"
                )
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunFolderError(f"{self.path} exists and is no run: choose another output_dir")

    def start(self, recipe: Recipe) -> None:
        """Makes the folder and writes the recipe into it."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.recipe.write_text(recipe.to_yaml(), encoding="utf-8")

    def write_metrics(self, progress: Progress) -> None:
        """Writes `metrics.jsonl`, a line per epoch done."""
        lines = [json.dumps(record) + "\n" for record in progress.to_json()["records"]]
        draft = self.metrics.with_suffix(".draft")
        draft.write_text("".join(lines), encoding="utf-8")
        draft.replace(self.metrics)

    def save_best(self, model: dict[str, torch.Tensor]) -> None:
        """Keeps these weights as the run's best."""
        write_tensors(self.best, model, {})

    def load_best(self) -> dict[str, torch.Tensor]:
        """Returns the run's best weights."""
        return load_file(self.best)
