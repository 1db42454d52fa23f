"""The Python API: one import for all of it, and nothing left behind after a call."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import train
from tests.conftest import ROOT

WORK = """
import sys
import train, train.__main__
assert not {"torch", "datasets", "matplotlib"} & set(sys.modules), "importing the package takes seconds"
"""
ORDERS = {
    "the functions first": "from train import fit, predict\nimport train.fit, train.predict, train.evaluate",
    "the modules first": "import train.fit, train.predict, train.evaluate\nfrom train import fit, predict",
    "from a module": "from train.fit import fit_to_judge\nfrom train.evaluate import Evaluation",
}
CHECK = """
import types
for name in train.__all__:
    assert callable(getattr(train, name)), name
assert isinstance(sys.modules["train.fit"], types.ModuleType)
assert sys.modules["train.fit"].fit is train.fit
import train.trainer
assert isinstance(train.trainer, types.ModuleType)
"""


@pytest.mark.parametrize("order", ORDERS)
def test_a_function_is_never_hidden_by_its_module(order: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WORK + ORDERS[order] + CHECK], cwd=ROOT, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr


def test_what_the_package_offers_is_all_there_and_described() -> None:
    assert set(train.__all__) <= set(dir(train))
    for name in train.__all__:
        assert getattr(train, name).__doc__
    with pytest.raises(AttributeError, match="module 'train' has no attribute 'no_such_thing'"):
        _ = train.no_such_thing
    assert (ROOT / "train" / "py.typed").exists()


# In a process of its own: what a first call leaves behind, a second one would not show.
LEAVES = """
import logging, os, signal, sys, threading, warnings
from pathlib import Path

import torch, transformers, datasets, accelerate, timm, onnxruntime, huggingface_hub
import train, train.fit, train.evaluate, train.predict
from figures import mpl

def state():
    names = ["", *logging.root.manager.loggerDict]
    return {
        "environment": dict(os.environ),
        "backend": mpl.rcParams._get("backend"),
        "style": {key: str(value) for key, value in mpl.rcParams.copy().items() if "backend" not in key},
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "levels": {name: logging.getLogger(name).level for name in names},
        "handlers": {name: list(logging.getLogger(name).handlers) for name in names if not name.startswith("torch")},
        "bars": (transformers.utils.logging.is_progress_bar_enabled(), datasets.is_progress_bar_enabled()),
        "verbosity": (transformers.utils.logging.get_verbosity(), datasets.logging.get_verbosity()),
        "warnings": list(warnings.filters),
        "folder": Path.cwd(),
        "threads of Python": {thread.name for thread in threading.enumerate() if not thread.daemon},
    }

dataset, photos, folder = sys.argv[1:]
before = state()
train.fit(train.Recipe(
    dataset=dataset, output_dir=folder, architecture="test_resnet", pretrained=False, image_size=64, batch_size=8,
    freeze_epochs=1, epochs=1, num_workers=0,
))
train.evaluate(folder + "/model", train.Evaluation(dataset=dataset, num_workers=0))
assert train.predict(folder + "/model", photos, num_workers=0)["error"].isna().all()
after = state()
for key in before:
    # Loggers that libraries make when they are first used are theirs.
    was, now = before[key], after[key]
    if key in ("levels", "handlers"):
        now = {name: now[name] for name in was}
    if was != now:
        sys.exit(f"{key} was {was}, is {now}")
"""


def test_a_call_leaves_nothing_behind(dataset_folder: Path, photos: Path, tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LEAVES, dataset_folder, photos / "kathak", tmp_path / "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]


def test_a_thread_can_do_the_work(dataset_folder: Path, tmp_path: Path) -> None:
    """Only the main thread may listen to signals; notebooks and pages work in others."""
    results: list[Any] = []

    def work() -> None:
        recipe = train.Recipe(
            dataset=str(dataset_folder), output_dir=tmp_path / "run", architecture="test_resnet", pretrained=False,
            image_size=32, batch_size=8, freeze_epochs=1, epochs=0, num_workers=0,
        )  # fmt: skip
        train.lr_find(recipe)
        results.append(train.fit(recipe))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(results) == 1
    assert (tmp_path / "run" / "model" / "config.json").exists()
