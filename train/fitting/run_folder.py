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
_FREE = {"output_dir", "num_workers", "dataset", "weights", "init_from", "tracker"}
# Until a stage has an epoch behind it, how it will go may still be chosen: by what the learning-rate finder says, say.
_STAGE_1 = {"freeze_epochs", "freeze_max_lr"}
_STAGE_2 = {"epochs", "max_lr", "lr_mult", "image_sizes"}
# What the learning-rate finder leaves in a folder that is to hold a run.
_BEFORE_A_RUN = {"lr_finder.json", "figures"}


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
        self.metrics = path / "metrics.jsonl"
        self.lr_finder = path / "lr_finder.json"
        self.system = path / "system.json"
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
            differing = [key for key in recipe if key not in self._free() and former.get(key) != recipe[key]]
            if differing:
                listed = "; ".join(f"{key}: {former.get(key)} there, {recipe[key]} now" for key in differing)
                raise RunFolderError(
                    f"{self.path} holds a run with another recipe ({listed}): choose another output_dir, or remove it"
                )
        else:
            self.check_is_run_or_free()

    def _free(self) -> set[str]:
        if any(self.checkpoints.glob("stage2-*")):
            return _FREE
        return _FREE | _STAGE_2 | (set() if any(self.checkpoints.glob("stage1-*")) else _STAGE_1)

    def check_is_run_or_free(self) -> None:
        """Makes sure that the folder holds a run, or nothing that a run would be mixed up with.

        Raises:
            RunFolderError: It holds something else, or is no folder.
        """
        if self.recipe.exists() or not self.path.exists():
            return
        if not self.path.is_dir() or {path.name for path in self.path.iterdir()} - _BEFORE_A_RUN:
            raise RunFolderError(f"{self.path} exists and is no run: choose another output_dir")

    def check_same_model(self, architecture: str, label_names: list[str]) -> None:
        """Makes sure that the run's weights are of this architecture and for these classes.

        Raises:
            RunFolderError: They are not.
        """
        there = yaml.safe_load(self.recipe.read_text(encoding="utf-8"))["architecture"]
        names = json.loads(self.data.read_text(encoding="utf-8"))["label_names"]
        if there != architecture:
            raise RunFolderError(
                f"{self.path} holds a run of {there}, not of {architecture}: set architecture={there}"
            )
        if names != label_names:
            raise RunFolderError(f"{self.path} holds a run on other classes: {', '.join(names)}")

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

    def add_system(self, facts: dict[str, Any]) -> None:
        """Adds to `system.json`, a list with what the run ran on each time that it was started or continued."""
        former = json.loads(self.system.read_text(encoding="utf-8")) if self.system.exists() else []
        self.system.write_text(json.dumps([*former, facts], indent=2) + "\n", encoding="utf-8")

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
