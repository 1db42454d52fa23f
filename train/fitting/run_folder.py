"""A run's folder: its recipe, checkpoints, metrics, figures, and at the end the model folder."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

from train.errors import UserError
from train.fitting.checkpoint import write_tensors
from train.fitting.progress import Progress

# May differ between the start of a run and its continuation without changing its result. What the dataset holds
# is compared, not where it lies; the first weights are in the checkpoint.
_FREE = {"output_dir", "num_workers", "dataset", "weights"}


class RunFolderError(UserError):
    """An output folder that holds another run, or something that is no run."""


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: Path) -> None:
        """Names the parts of the run folder `path`; nothing is created."""
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.data = path / "data.json"
        self.checkpoints = path / "checkpoints"
        self.best = path / "checkpoints" / "best.safetensors"
        self.features = path / "features"
        self.metrics = path / "metrics.jsonl"
        self.figures = path / "figures"
        self.model = path / "model"

    def check(self, recipe: dict[str, Any], resume: bool) -> None:
        """Makes sure that the folder is free, or holds the run that is to be continued.

        Args:
            recipe: What decides the run, as plain values.
            resume: Whether to continue what is there.

        Raises:
            RunFolderError: The folder holds another run, or something else.
        """
        if self.recipe.exists():
            if not resume:
                raise RunFolderError(
                    f"{self.path} holds a run: continue it with resume_from_checkpoint=true, "
                    "or choose another output_dir, or remove it"
                )
            former = yaml.safe_load(self.recipe.read_text(encoding="utf-8"))
            differing = [key for key in recipe if key not in _FREE and former.get(key) != recipe[key]]
            if differing:
                listed = "; ".join(f"{key}: {former.get(key)} there, {recipe[key]} now" for key in differing)
                raise RunFolderError(
                    f"{self.path} holds a run with another recipe ({listed}): choose another output_dir, or remove it"
                )
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RunFolderError(f"{self.path} exists and is no run: choose another output_dir")

    def check_data(self, data: dict[str, Any]) -> None:
        """Makes sure that a run that is continued sees the pictures and labels that it began with.

        Args:
            data: Label names and fingerprints of the splits.

        Raises:
            RunFolderError: They have changed.
        """
        if self.data.exists() and json.loads(self.data.read_text(encoding="utf-8")) != data:
            raise RunFolderError(
                f"{self.path} holds a run on other pictures or labels: the dataset has changed since; "
                "choose another output_dir, or remove it"
            )

    def start(self, recipe: dict[str, Any], data: dict[str, Any]) -> None:
        """Makes the folder and writes down what decides the run."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.data.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self.recipe.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")

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
