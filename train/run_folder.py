"""The folder of a run: its files, who may write to it, what may be continued there, and what it ran on."""

import dataclasses
import json
import logging
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator

from files.atomic import BusyError, atomic_write_text, is_leftover, only_writer
from files.errors import UserError
from train.checkpoint import DamagedError, load, refuse_earlier_version, save
from train.hardware import Hardware
from train.history import History
from train.recipe import default_values

logger = logging.getLogger(__name__)

# May differ between the start of a run and its continuation without changing its result. What the dataset holds
# is compared, not where it lies; the first weights are in the checkpoint.
_FREE = {
    "output_dir", "num_workers", "dataset", "weights", "weights_origin", "init_from", "checkpoint_minutes", "tracker",
    "target_accuracy", "cache_images",
}  # fmt: skip
# The order of a stream follows from how many processes read it.
_FREE_STREAMING = _FREE - {"num_workers"}
# Until a stage has a checkpoint, its settings may still be chosen, by a learning-rate finder's result for example.
_STAGE_1 = {"freeze_epochs", "freeze_max_lr", "feature_l2"}
_STAGE_2 = {
    "epochs", "min_steps", "max_lr", "lr_mult", "image_sizes", "freeze_batchnorm", "wise_ft", "gradient_checkpointing",
}  # fmt: skip


class RunFolderError(UserError):
    """An output folder that holds another run, or something that is no run."""


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: Path, column: str = "") -> None:
        """Names the parts of the run folder `path`; nothing is created.

        Args:
            path: The folder.
            column: By what the folds of its cross-validation are made; empty for those that are drawn. A run may have
                both.
        """
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.data = path / "data.json"
        # Pictures that `init_from` had learned from.
        self.learned = path / "learned_before.txt"
        self.checkpoints = path / "checkpoints"
        self.best = path / "checkpoints" / "best.pt"
        self.features = path / "features"
        self.metrics = path / "metrics.jsonl"
        self.lr_finder = path / "lr_finder.json"
        self.system = path / "system.json"
        self.figures = path / "figures"
        self.model = path / "model"
        # Of `train cross-validate`.
        by = f"-{column}" if column else ""
        self.folds = path / f"folds{by}"
        self.out_of_fold = path / f"predictions{by}.parquet"
        self.cross_validation = path / f"cross_validation{by}.json"
        # Of `train clean`.
        self.label_issues = path / "label_issues.csv"
        self.corrections = path / "corrections.csv"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder's lock within the block; the lock of a killed process blocks nobody.

        Raises:
            RunFolderError: Another process is at work in it, or it is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path} exists and is no run: choose another output_dir")
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with ExitStack() as lock:
                try:
                    # Within the folder, which may be all that a container sees of a disk.
                    lock.enter_context(only_writer(self.path / "run"))
                except BusyError:
                    raise RunFolderError(
                        f"another process is at work in {self.path}: wait until it ends, or choose another output_dir"
                    ) from None
                yield
        finally:
            # A mistake leaves no folder behind that would be in the way of the next try.
            with suppress(OSError):
                self.path.rmdir()

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
                    "or choose another output_dir"
                )
            refuse_earlier_version(self.checkpoints)
            previous = yaml.safe_load(self.recipe.read_text(encoding="utf-8"))
            free = self._free(recipe["streaming"])
            # What an earlier version did not know was as it is by default now.
            previous = {**default_values(), **previous}
            differing = [key for key in recipe if key not in free and previous[key] != recipe[key]]
            if differing:
                listed = "; ".join(f"{key}: {previous[key]} there, {recipe[key]} now" for key in differing)
                raise RunFolderError(
                    f"{self.path} holds a run with another recipe ({listed}): choose another output_dir"
                )
        else:
            self.check_is_run_or_free()

    def _free(self, streaming: bool) -> set[str]:
        free = _FREE_STREAMING if streaming else _FREE
        if any(self.checkpoints.glob("stage2-*")):
            return free
        return free | _STAGE_2 | (set() if any(self.checkpoints.glob("stage1-*")) else _STAGE_1)

    def check_is_run_or_free(self) -> None:
        """Makes sure that the folder holds a run, or nothing that a run would be mixed up with.

        Raises:
            RunFolderError: It holds something else.
        """
        if self.recipe.exists() or not self.path.exists():
            return
        # What the learning-rate finder and cross-validation leave.
        ours = {
            self.lr_finder, self.lr_finder.with_suffix(""), self.figures, self.label_issues, self.corrections,
        } | {
            file
            for name in ("folds", "predictions.parquet", "cross_validation.json")
            for file in _by_column(self.path / name)
        }  # fmt: skip
        if any(path not in ours and not is_leftover(path) for path in self.path.iterdir()):
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
        if not self.data.exists():
            return
        previous = json.loads(self.data.read_text(encoding="utf-8"))
        if previous["label_names"] != data["label_names"]:
            raise RunFolderError(
                f"{self.path} holds a run on other labels ({', '.join(previous['label_names'])} there, "
                f"{', '.join(data['label_names'])} now): choose another output_dir"
            )
        if previous != data:
            raise RunFolderError(
                f"{self.path} holds a run on other pictures: the dataset has changed since; choose another output_dir"
            )

    def start(self, recipe: dict[str, Any], data: dict[str, Any]) -> None:
        """Makes the folder and writes what decides the run; the recipe, which marks it as a run, comes first."""
        self.path.mkdir(parents=True, exist_ok=True)
        atomic_write_text(self.recipe, yaml.safe_dump(recipe, sort_keys=False))
        self.checkpoints.mkdir(exist_ok=True)
        atomic_write_text(self.data, json.dumps(data, indent=2, ensure_ascii=False) + "\n")

    def hardware(self) -> Hardware | None:
        """Returns what was chosen when the run began, which it keeps wherever it continues; None for a new run."""
        if not self.system.exists():
            return None
        first = json.loads(self.system.read_text(encoding="utf-8"))[0]
        names = [field.name for field in dataclasses.fields(Hardware)]
        return Hardware(**{name: first[name] for name in names}) if first.keys() >= set(names) else None

    def add_system(self, facts: dict[str, Any]) -> None:
        """Adds to `system.json`, a list with what the run ran on each time that it was started or continued.

        A warning says where a run is continued on another machine.
        """
        before = json.loads(self.system.read_text(encoding="utf-8")) if self.system.exists() else []
        if before and (differing := [key for key in _COMPUTES if before[0].get(key) != facts[key]]):
            began, now = ({key: row.get(key) for key in differing} for row in (before[0], facts))
            logger.warning(
                "this run began with %s and continues with %s: last digits may differ", _listed(began), _listed(now)
            )
        atomic_write_text(self.system, json.dumps([*before, facts], indent=2) + "\n")

    def add_finding(self, stage: int, finding: dict[str, Any]) -> None:
        """Adds to `lr_finder.json` what the learning-rate finder has seen of a stage."""
        previous = json.loads(self.lr_finder.read_text(encoding="utf-8")) if self.lr_finder.exists() else {}
        atomic_write_text(self.lr_finder, json.dumps({**previous, f"stage{stage}": finding}, indent=2) + "\n")

    def write_learned_before(self, learned: set[str]) -> None:
        """Notes the pictures, by `picture_digest`, that the first weights had learned from."""
        atomic_write_text(self.learned, "".join(f"{name}\n" for name in sorted(learned)))

    def learned_before(self) -> set[str]:
        """Returns what `write_learned_before` noted; nothing where no model was gone on from."""
        return set(self.learned.read_text(encoding="utf-8").split()) if self.learned.exists() else set()

    def write_metrics(self, history: History) -> None:
        """Writes `metrics.jsonl`, a line per epoch done."""
        lines = [json.dumps(record) + "\n" for record in history.to_json()["records"]]
        atomic_write_text(self.metrics, "".join(lines))

    def save_best(self, model: dict[str, torch.Tensor]) -> None:
        """Keeps these weights as the run's best."""
        save(self.best, model)

    def load_best(self) -> dict[str, torch.Tensor]:
        """Returns the run's best weights.

        Raises:
            DamagedError: They are no longer what was written.
        """
        try:
            return load(self.best)
        except DamagedError as error:
            raise DamagedError(f"{error}: restore it from a copy, or train again in another output_dir") from None


# What the order depends on in which numbers are added up.
_COMPUTES = ("device", "threads", "processes")
_ROOT = Path(__file__).parents[1]
_PACKAGES = (
    "accelerate", "datasets", "huggingface-hub", "numpy", "pillow", "safetensors", "timm", "torch", "torchvision",
    "transformers",
)  # fmt: skip


def system_facts(accelerator: Accelerator, hardware: Hardware) -> dict[str, Any]:
    """Returns date, versions, device, the project's commit and what was chosen for this machine.

    Nothing in it names a person or a machine.
    """
    on_gpu = accelerator.device.type == "cuda"
    processor = f"{accelerator.device.type} ({torch.backends.cpu.get_cpu_capability()})"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(accelerator.device) if on_gpu else processor,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": accelerator.num_processes,
        **asdict(hardware),
        "commit": _commit(),
    }


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _commit() -> str | None:
    # A copy of the project inside somebody's repository has no commit of its own.
    if not (_ROOT / ".git").exists():
        return None
    try:
        head, changes = (
            subprocess.run(
                ["git", "-C", str(_ROOT), *words], capture_output=True, encoding="utf-8", check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head} with changes" if changes else head


def _by_column(file: Path) -> list[Path]:
    """Returns a file of a cross-validation and those of cross-validations by columns."""
    return [file, *file.parent.glob(f"{file.stem}-*{file.suffix}")]
