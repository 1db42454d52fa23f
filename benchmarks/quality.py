"""The accuracy of `train cross-validate` beside fastai's, on the same folds: `python -m benchmarks.quality --help`.

All splits of the dataset are pooled and dealt into folds as `cross-validate` does it: stratified by class, near-
duplicates together, or a fold per value of a column, such as `--folds source`. Each fold is the test of both sides
once. Of the other folds a sixth, by group again, is the validation split: ours keeps its best epoch by it, fastai
reports it only, as its `fine_tune` does. Both learn from the same pictures, at the same size, for as many unfrozen
steps, from the same weights; the rest is each side's own: one of recipes/ here; there `fine_tune`, in each variant
that `--fastai` names: pictures squashed or cropped, at fastai's default rate or at the one that its finder suggests.

With no unfrozen epochs, stage 1 is compared with `fine_tune`'s frozen one; `--sides ours regression fastai` shows
beside them what scikit-learn's logistic regression makes of the same features.

So every picture is judged once by each side. Intervals are 95 %: Wilson's for accuracies, bootstrap over groups of
near-duplicates for macro F1 and for the differences, which are paired.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
from sklearn.metrics import f1_score

from benchmarks.regression import regression
from benchmarks.sides import ROOT, export_images, fastai_python, run_side
from train.data import load_images
from train.folds import Fold, Pool, pool
from train.intervals import wilson_interval
from train.predictions import FOLDS, read_predictions
from train.recipe import Recipe, load_settings
from train.run_folder import RunFolder

RESAMPLES = 2000
_NOT_FASTAIS = {"work", "recipe", "set", "sides", "fastai"}


def main(words: list[str] | None = None) -> None:
    """Runs what is left of each side's folds, and prints the table of those that all sides have."""
    options = parse(words)
    options.work.mkdir(parents=True, exist_ok=True)
    dataset = pooled_dataset(options)
    pictures = pool(load_images(str(dataset), validation=0))
    folds = pictures.folds(int(options.folds) if options.folds.isdecimal() else options.folds, options.seed)
    recipe = load_settings(Recipe, options.recipe, [*words_of(options, dataset), "output_dir=unused"])
    answers: dict[str, list[list[int]]] = {}
    if "fastai" in options.sides:
        answers = {name: fastai(options, name, recipe.min_steps, pictures, folds) for name in options.fastai}
    if "regression" in options.sides:
        answers = {"logistic regression": regression(recipe, pictures, folds), **answers}
    if "ours" in options.sides:
        answers = {**ours(options, folds, dataset), **answers}
    truth = [[pictures.labels[index] for index in fold.held_out] for fold in folds]
    groups = [[pictures.groups[index] for index in fold.held_out] for fold in folds]
    print(table(answers, truth, groups, [fold.value or f"fold {number}" for number, fold in enumerate(folds, 1)]))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--photos", type=Path, help="a folder per class; a dataset is built of it first")
    source.add_argument("--dataset", type=Path, help="a dataset folder")
    parser.add_argument("--architecture", default="resnet34")
    parser.add_argument("--weights", type=Path, help="in timm's names, safetensors; without: random weights")
    parser.add_argument("--recipe", type=Path, default=Path("recipes/resnet34.yaml"))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=12, help="unfrozen")
    parser.add_argument("--freeze-epochs", type=int, default=4, help="of fastai; ours are the recipe's")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folds", default="5", help="how many, or a column of the dataset")
    variants = ("fastai", "fastai, found rate", "fastai, cropped", "fastai, cropped, found rate")
    parser.add_argument("--fastai", nargs="+", choices=variants, default=["fastai"], help="which ones")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--sides", nargs="+", choices=["ours", "regression", "fastai"], default=["ours", "fastai"])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="more settings of our recipe")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench-quality", help="where things are put")
    return parser.parse_args(words)


def pooled_dataset(options: argparse.Namespace) -> Path:
    """Returns a dataset whose train split holds all pictures, test included: folds are what judges here."""
    folder = (options.work / "pooled").resolve()
    if not folder.exists():
        built = options.dataset
        if options.photos:
            built = options.work / "built"
            build = [sys.executable, "-m", "dataset_card", "build", options.photos.resolve(), "--out", built.resolve()]
            subprocess.run(build, cwd=ROOT, check=True)
        splits = datasets.load_dataset(str(built.resolve()))
        rows = datasets.concatenate_datasets([splits[name] for name in sorted(splits)])
        (folder / "data").mkdir(parents=True)
        undecoded = rows.cast_column("image", datasets.Image(decode=False))
        undecoded.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def ours(options: argparse.Namespace, folds: list[Fold], dataset: Path) -> dict[str, list[list[int]]]:
    """Returns the classes that our models give each fold's pictures, of those kept and of stage 1."""
    column = "" if options.folds.isdecimal() else options.folds
    run = RunFolder((options.work / "ours").resolve(), column)
    command = [
        sys.executable, "-m", "train", "cross-validate", options.recipe.resolve(), f"output_dir={run.path}",
        f"folds={options.folds}", *words_of(options, dataset),
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found = {}
    for side, file in (("ours, stage 1", "predictions-stage1.parquet"), ("ours", "predictions.parquet")):
        files = [run.folds / f"fold{number}" / file for number in range(1, len(folds) + 1)]
        if all(path.exists() for path in files):
            found[side] = [read_predictions(path, FOLDS).answers.tolist() for path in files]
    return found


def words_of(options: argparse.Namespace, dataset: Path) -> list[str]:
    """Returns our settings, but for what only a cross-validation has."""
    start = f"weights={options.weights.resolve()}" if options.weights else "pretrained=false"
    return [
        f"dataset={dataset}", f"seed={options.seed}", start, f"architecture={options.architecture}",
        f"image_size={options.size}", f"batch_size={options.batch_size}", f"num_workers={options.workers}",
        f"epochs={options.epochs}", *options.set,
    ]  # fmt: skip


def fastai(
    options: argparse.Namespace, variant: str, min_steps: int, pictures: Pool, folds: list[Fold]
) -> list[list[int]]:
    """Returns the classes that fastai's models give each fold's pictures; a line per fold is kept in a file.

    Its unfrozen epochs are as many as make `min_steps` steps, if those asked for make fewer, as ours are.

    Raises:
        SystemExit: The file has folds of a run with other settings.
    """
    settings = {k: str(v) for k, v in vars(options).items() if k not in _NOT_FASTAIS and v is not None}
    results = options.work / f"{variant.replace(', ', '-').replace(' ', '-')}.jsonl"
    done = read(results, settings)
    names = pictures.images.label_names
    for number, fold in enumerate(folds, 1):
        if number in done:
            continue
        print(f"{variant}: fold {number} of {len(folds)}", file=sys.stderr)
        images = export_fold(pictures, fold, (options.work / "fold").resolve())
        steps = len(fold.train) // options.batch_size
        epochs = max(options.epochs, math.ceil(min_steps / steps)) if options.epochs else 0
        command: list[str | Path] = [
            fastai_python(), "benchmarks/side_fastai.py", images, "--architecture", options.architecture,
            "--size", str(options.size), "--batch-size", str(options.batch_size), "--workers", str(options.workers),
            "--freeze-epochs", str(options.freeze_epochs), "--epochs", str(epochs),
            "--seed", str(options.seed), "--predict", images / "held_out",
            *(["--crop"] if "cropped" in variant else []), *(["--find-rate"] if "found" in variant else []),
        ]  # fmt: skip
        if options.weights:
            command += ["--weights", options.weights.resolve()]
        answer = run_side(command, options.work / "fastai.log")
        of_file = answer["answers"]
        # Files are named by their place in the fold.
        done[number] = [names.index(of_file[name]) for name in sorted(of_file, key=lambda name: Path(name).stem)]
        with results.open("a") as file:
            line = {"fold": number, "settings": settings, "answers": done[number]}
            file.write(json.dumps({**line, "stages": answer["stages"], "rate": answer["rate"]}) + "\n")
    return [done[number] for number in range(1, len(folds) + 1)]


def export_fold(pictures: Pool, fold: Fold, out: Path) -> Path:
    """Writes a fold's pictures to `out`/SPLIT/CLASS, in place of those of another fold; returns `out`."""
    shutil.rmtree(out, ignore_errors=True)
    for split, indices in (("train", fold.train), ("validation", fold.validation), ("held_out", fold.held_out)):
        export_images(pictures.rows.select(indices), out / split)
    return out


def read(results: Path, settings: dict[str, str]) -> dict[int, list[int]]:
    """Returns the answers of an earlier run, by fold.

    Raises:
        SystemExit: They are of a run with other settings.
    """
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if any(line["settings"] != settings for line in lines):
        raise SystemExit(f"{results} has folds with other settings: choose another --work, or remove it")
    return {line["fold"]: line["answers"] for line in lines}


def table(
    answers: dict[str, list[list[int]]], truth: list[list[int]], groups: list[list[str]], titles: list[str]
) -> str:
    """Returns accuracy per fold and overall, and macro F1, of every side; and what ours is ahead of the best fastai.

    Args:
        answers: By side, the class given to every picture of every fold.
        truth: The class that it has.
        groups: Its group; near-duplicates are not two witnesses.
        titles: Of the folds.
    """
    true = np.concatenate(truth)
    given = {side: np.concatenate(of) for side, of in answers.items()}
    peers = [side for side in answers if side.startswith("fastai")]
    beside = "ours" in answers and bool(peers)
    # The best of several, on these very pictures: what flatters is in its favour.
    peer = max(peers, key=lambda side: _accuracy(true, given[side]), default="")
    head = ["", "pictures", *answers, *([f"ours − {peer}"] if beside else [])]
    rows = []
    for number, classes in enumerate(truth):
        right = {side: np.mean(np.equal(of[number], classes)) for side, of in answers.items()}
        gap = [f"{100 * (right['ours'] - right[peer]):+.1f}"] if beside else []
        rows.append([titles[number], str(len(classes)), *(f"{share:.1%}" for share in right.values()), *gap])
    places = np.unique(np.concatenate(groups), return_inverse=True)[1]
    members = [np.flatnonzero(places == place) for place in range(places.max() + 1)]
    picks = np.random.default_rng(0).integers(0, len(members), (RESAMPLES, len(members)))
    drawn = [np.concatenate([members[place] for place in pick]) for pick in picks]
    scores: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"accuracy": _accuracy, "macro F1": _macro_f1}
    for name, score in scores.items():
        values = {side: score(true, of) for side, of in given.items()}
        resampled = {side: np.array([score(true[d], of[d]) for d in drawn]) for side, of in given.items()}
        cells = []
        for side, of in given.items():
            low, high = np.percentile(resampled[side], [2.5, 97.5])
            if name == "accuracy":
                low, high = wilson_interval(int((true == of).sum()), len(true))
            cells.append(f"{100 * values[side]:.1f} ({100 * low:.1f} – {100 * high:.1f})")
        if beside:
            low, high = 100 * np.percentile(resampled["ours"] - resampled[peer], [2.5, 97.5])
            cells.append(f"{100 * (values['ours'] - values[peer]):+.1f} ({low:+.1f} – {high:+.1f})")
        rows.append([f"{name}, %", str(len(true)), *cells])
    rule = ["---", *(["--:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in [head, rule, *rows])


def _accuracy(truth: np.ndarray, answers: np.ndarray) -> float:
    return float(np.mean(truth == answers))


def _macro_f1(truth: np.ndarray, answers: np.ndarray) -> float:
    return float(f1_score(truth, answers, labels=np.unique(truth), average="macro", zero_division=0))


if __name__ == "__main__":
    main()
