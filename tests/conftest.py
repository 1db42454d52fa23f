"""What the tests share: drawn photographs, a dataset folder, a model folder, the command lines, a served page."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Read by the Hub's clients at import: nothing from this machine's cache, no network.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="nritya-hf-home-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import pytest
from PIL import Image

from tests.openweb.server import OpenWeb

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Passes by what needs the development photographs or weights where there are none."""
    if not SHARED.is_dir():
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason="needs the development photographs beside the repository"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `python -m PACKAGE words...` in this process: exit code, standard output, standard error."""

    def run(package: str, *words: object) -> tuple[int, str, str]:
        main = {"dataset_card": _dataset_card_main, "train": _train_main}[package]
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return run


def _dataset_card_main(words: list[str]) -> None:
    from dataset_card.__main__ import main

    main(words)


def _train_main(words: list[str]) -> None:
    from train.__main__ import main

    main(words)


@pytest.fixture
def refused(cli: Callable[..., tuple[int, str, str]]) -> Callable[..., str]:
    """Runs a command that must fail with exit code 2 and one clear message; returns the message."""

    def run(package: str, *words: object) -> str:
        code, _, err = cli(package, *words)
        assert code == 2, err
        assert "Traceback" not in err
        # Progress bars may come before it.
        assert err.count("error: ") == 1, err
        return err[err.index("error: ") :].strip()

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawings, eight of each dance."""
    from dataset_card.sample import draw_sample

    folder = tmp_path_factory.mktemp("sample") / "photos"
    draw_sample(folder, per_class=8, seed=8)
    return folder


@pytest.fixture(scope="session")
def dataset_folder(photos: Path) -> Path:
    """The dataset folder made of `photos`."""
    from dataset_card.build import build

    folder = photos.parent / "dances"
    build(photos, folder, seed=8)
    return folder


@pytest.fixture(scope="session")
def run_folder(dataset_folder: Path) -> Path:
    """A finished run by recipes/debug.yaml, its model judged on the test split."""
    from train.evaluate import Evaluation, evaluate
    from train.fit import fit
    from train.recipe import Recipe, load_settings

    folder = dataset_folder.parent / "run"
    words = [f"dataset={dataset_folder}", f"output_dir={folder}"]
    fit(load_settings(Recipe, ROOT / "recipes" / "debug.yaml", words))
    evaluate(str(folder / "model"), Evaluation(dataset=str(dataset_folder), num_workers=0))
    _leave_float(folder / "model")
    _SHARED_RUNS[folder] = _files(folder)
    return folder


_SHARED_RUNS: dict[Path, dict[str, tuple[int, int]]] = {}


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


@pytest.fixture(autouse=True)
def _shared_runs_are_left_as_they_were() -> Iterator[None]:
    """Names a test that writes into a run which others read: what they find would depend on the order of tests."""
    yield
    for folder, before in _SHARED_RUNS.items():
        now = _files(folder)
        changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        _SHARED_RUNS[folder] = now
        assert not changed, f"the shared {folder.name} was changed: {', '.join(sorted(changed))}"


def _leave_float(model_folder: Path) -> None:
    """Whether so few drawings let the quantised model pass is up to the processor: what is about it makes its own."""
    (model_folder / "model.int8.onnx").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def model_folder(run_folder: Path) -> Path:
    """The model folder of `run_folder`."""
    return run_folder / "model"


@pytest.fixture(scope="session")
def comparing_folder(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that tells what is like none of its classes: of 24 validation drawings, a distance can be had."""
    from dataset_card.build import build
    from dataset_card.curate.splits import SplitPlan
    from train.evaluate import Evaluation, evaluate
    from train.fit import fit
    from train.recipe import Recipe, load_settings

    folder = tmp_path_factory.mktemp("comparing")
    ratios = {"train": 0.5, "validation": 0.375, "test": 0.125}
    build(photos, folder / "dances", seed=8, plan=SplitPlan(ratios=ratios))
    words = [f"dataset={folder / 'dances'}", f"output_dir={folder / 'run'}"]
    fit(load_settings(Recipe, ROOT / "recipes" / "debug.yaml", words))
    model = folder / "run" / "model"
    evaluate(str(model), Evaluation(dataset=str(folder / "dances"), num_workers=0))
    _leave_float(model)
    _SHARED_RUNS[model] = _files(model)
    return model


def write_doubts(dataset: Path, run: Path) -> list[str]:
    """Puts out-of-fold predictions into a run that no model made: sure and right but for every seventh picture.

    Returns:
        The pictures that the models doubt, by sha256, the most doubtful first.
    """
    import numpy as np

    from train.data import load_images
    from train.folds import pool
    from train.predictions import Predictions, write_predictions

    pictures = pool(load_images(str(dataset)))
    labels, names = np.array(pictures.labels), pictures.images.label_names
    logits = np.random.default_rng(8).normal(size=(len(labels), len(names)))
    doubted = np.arange(0, len(labels), 7)
    said = labels.copy()
    said[doubted] = (labels[doubted] + 1) % len(names)
    logits[np.arange(len(labels)), said] += 6 - np.arange(len(labels)) / len(labels)
    logits[doubted, labels[doubted]] -= 4 - np.arange(len(doubted)) / len(doubted)
    predictions = Predictions(
        pictures.sha256, labels, logits.astype(np.float32), names,
        splits=pictures.splits, folds=np.arange(len(labels)) % 5 + 1,
    )  # fmt: skip
    write_predictions(run / "predictions.parquet", predictions)
    return [pictures.sha256[index] for index in sorted(doubted, key=lambda index: -predictions.losses[index])]


@contextmanager
def serve(
    model_id: str | Path, python: str | Path = sys.executable, folder: Path = ROOT, **environment: str
) -> Iterator[str]:
    """Starts `python app.py` for a model on a free port; gives the page's address and ends it afterwards."""
    with served([python, "app.py"], folder, {**os.environ, "MODEL_ID": str(model_id), **environment}) as (address, _):
        yield address


@contextmanager
def served(words: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Runs a command that comes to serve the page; gives the address and all it has said, and ends it by SIGTERM."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env={"PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0], "".join(said)
                return
        pytest.fail(f"{words[0]} ended with {process.wait()}: {''.join(said)}")
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def page(model_folder: Path) -> Iterator[str]:
    """The address of the page, serving `model_folder`."""
    with serve(model_folder) as address:
        yield address


@pytest.fixture
def save_image(tmp_path: Path) -> Callable[..., Path]:
    """Writes a picture of random blocks to a file below `tmp_path`; another `seed` gives another picture."""
    import numpy as np

    def save(name: str, seed: int = 0, size: tuple[int, int] = (96, 80), **options: object) -> Path:
        blocks = np.random.default_rng(seed).integers(0, 190, (8, 8, 3), np.uint8)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(path, **options)
        return path

    return save


@pytest.fixture
def openweb(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenWeb]:
    """A server that stands in for all that `collect` asks; empty until a test puts something on it."""
    with OpenWeb().running() as web:
        for name, value in web.environment().items():
            monkeypatch.setenv(name, value)
        yield web


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    """Waits until a condition holds, or fails."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"still not so after {seconds} s")
        time.sleep(0.02)


def restamp(folder: Path) -> None:
    """Brings the word on the content in a dataset folder's card up to date after its data were changed."""
    import hashlib

    from dataset_card.write.card import content_fingerprint

    parts = sorted((folder / "data").iterdir())
    word = content_fingerprint(hashlib.sha256(part.read_bytes()).digest() for part in parts)
    card = folder / "README.md"
    card.write_text(re.sub("content [0-9a-f]{16}", f"content {word}", card.read_text()))
