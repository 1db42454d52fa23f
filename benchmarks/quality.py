"""The accuracy of `train fit` beside fastai's, by grouped cross-validation: `python -m benchmarks.quality --help`.

All splits of the dataset are pooled and dealt anew into folds, stratified by class, near-duplicates together. Each
fold is the test of both sides once. Of the other folds a sixth, by group again, is the validation split: ours keeps
its best epoch by it, fastai reports it only, as its `fine_tune` does. Both learn from the same pictures, at the same
size, for the same number of unfrozen epochs, from the same weights; the rest is each side's own recipe:
recipes/resnet34.yaml here, `fine_tune` with its defaults there.

So every picture is judged once by each side. Intervals are 95 %: Wilson's for accuracies, bootstrap over pictures for
macro F1 and for the differences, which are paired.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.sides import ROOT, export_images, fastai_python, run_side
from train.judging.metrics import wilson_interval

SIDES = ("ours", "fastai")
RESAMPLES = 2000


def main(words: list[str] | None = None) -> None:
    """Runs the folds that are not in the file yet, a line per fold and side, and prints the table."""
    options = parse(words)
    settings = {
        key: str(value)
        for key, value in vars(options).items()
        if key not in ("work", "only_folds") and value is not None
    }
    options.work.mkdir(parents=True, exist_ok=True)
    results = options.work / "folds.jsonl"
    done = read(results, settings)
    pooled = pool(options)
    parts = fold_parts(pooled["label"], pooled["group"], options.folds, options.seed)
    for fold in range(options.folds) if options.only_folds is None else options.only_folds:
        missing = [side for side in SIDES if (fold, side) not in done]
        if not missing:
            continue
        folder = options.work / "fold"
        shutil.rmtree(folder, ignore_errors=True)
        for split, indices in parts[fold].items():
            rows = pooled.select(indices)
            (folder / "dataset" / "data").mkdir(parents=True, exist_ok=True)
            rows.to_parquet(folder / "dataset" / "data" / f"{split}-00000-of-00001.parquet")
            export_images(rows, folder / "images" / split)
        truth = [pooled["label"][index] for index in parts[fold]["test"]]
        for side in missing:
            print(f"fold {fold + 1}/{options.folds}: {side}", file=sys.stderr)
            answers = RUNS[side](options, folder, pooled.features["label"].names)
            line = {"fold": fold, "side": side, "settings": settings, "truth": truth, "answers": answers}
            with results.open("a") as file:
                file.write(json.dumps(line) + "\n")
            done[fold, side] = line
    print(table(done, options.folds))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--photos", type=Path, help="a folder per class; a dataset is built of it first")
    source.add_argument("--dataset", type=Path, help="a dataset folder")
    parser.add_argument("--weights", type=Path, required=True, help="ResNet34 in timm's names, safetensors")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=12, help="unfrozen")
    parser.add_argument("--freeze-epochs", type=int, default=4, help="of fastai; ours are the recipe's")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only-folds", type=int, nargs="*", help="numbers from 0, where time is short")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="more settings of our recipe")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench-quality", help="where things are put")
    return parser.parse_args(words)


def read(results: Path, settings: dict[str, str]) -> dict[tuple[int, str], dict[str, Any]]:
    """Returns the lines of an earlier run, by fold and side.

    Raises:
        SystemExit: They are of a run with other settings.
    """
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if any(line["settings"] != settings for line in lines):
        raise SystemExit(f"{results} has folds with other settings: choose another --work, or remove it")
    return {(line["fold"], line["side"]): line for line in lines}


def pool(options: argparse.Namespace) -> datasets.Dataset:
    """Returns all pictures of the dataset, undecoded."""
    folder = options.dataset
    if options.photos:
        folder = options.work / "dataset"
        if not folder.exists():
            build = [
                sys.executable,
                "-m",
                "dataset_card",
                "build",
                options.photos.resolve(),
                "--out",
                folder.resolve(),
            ]
            subprocess.run(build, cwd=ROOT, check=True)
    splits = datasets.load_dataset(str(folder.resolve()))
    pooled = datasets.concatenate_datasets([splits[name] for name in sorted(splits)])
    return pooled.cast_column("image", datasets.Image(decode=False))


def fold_parts(labels: list[int], groups: list[str], folds: int, seed: int) -> list[dict[str, list[int]]]:
    """Returns the indices of train, validation and test for every fold; no group is in two of them."""
    label, group = np.array(labels), np.array(groups)
    parts = []
    for rest, test in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(label, label, group):
        inner = StratifiedGroupKFold(6, shuffle=True, random_state=seed)
        train, validation = next(inner.split(rest, label[rest], group[rest]))
        parts.append({"train": rest[train].tolist(), "validation": rest[validation].tolist(), "test": test.tolist()})
    return parts


def ours(options: argparse.Namespace, folder: Path, names: list[str]) -> list[int]:
    """Trains and judges by our commands; returns the predicted class of every test picture, in their order."""
    run, dataset = folder / "run", (folder / "dataset").resolve()
    command = [
        sys.executable, "-m", "benchmarks.side_ours", "recipes/resnet34.yaml", f"dataset={dataset}",
        f"output_dir={run.resolve()}", f"weights={options.weights.resolve()}", f"image_size={options.size}",
        f"batch_size={options.batch_size}", f"num_workers={options.workers}", f"epochs={options.epochs}",
        f"seed={options.seed}", *options.set,
    ]  # fmt: skip
    run_side(command, options.work / "ours.log")
    judge = [sys.executable, "-m", "train", "evaluate", run.resolve() / "model", f"dataset={dataset}"]
    subprocess.run(judge, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    probs = pq.read_table(run / "model" / "predictions.parquet")["probs"].to_pylist()
    learned = json.loads((run / "model" / "config.json").read_text())["label_names"]
    return [names.index(learned[int(np.argmax(row))]) for row in probs]


def fastai(options: argparse.Namespace, folder: Path, names: list[str]) -> list[int]:
    """Trains and judges by fastai; returns the predicted class of every test picture, in their order."""
    images = (folder / "images").resolve()
    command = [
        fastai_python(), "benchmarks/side_fastai.py", images, "--weights", options.weights.resolve(),
        "--size", str(options.size), "--batch-size", str(options.batch_size), "--workers", str(options.workers),
        "--freeze-epochs", str(options.freeze_epochs), "--epochs", str(options.epochs), "--seed", str(options.seed),
        "--predict", images / "test",
    ]  # fmt: skip
    answers = run_side(command, options.work / "fastai.log")["answers"]
    in_order = sorted(answers, key=lambda name: Path(name).stem)
    return [names.index(answers[name]) for name in in_order]


RUNS: dict[str, Callable[[argparse.Namespace, Path, list[str]], list[int]]] = {"ours": ours, "fastai": fastai}


def table(done: dict[tuple[int, str], dict[str, Any]], folds: int) -> str:
    """Returns accuracy per fold and overall, and macro F1, of both sides over the folds that both have."""
    common = [fold for fold in range(folds) if all((fold, side) in done for side in SIDES)]
    truth = np.concatenate([done[fold, "ours"]["truth"] for fold in common])
    answers = {side: np.concatenate([done[fold, side]["answers"] for fold in common]) for side in SIDES}
    lines = ["| | pictures | ours | fastai | difference |", "|---|--:|--:|--:|--:|"]
    for fold in common:
        right = [np.mean(np.equal(done[fold, side]["answers"], done[fold, side]["truth"])) for side in SIDES]
        pictures = len(done[fold, "ours"]["truth"])
        lines.append(
            f"| fold {fold + 1} | {pictures} | {right[0]:.1%} | {right[1]:.1%} | {100 * (right[0] - right[1]):+.1f} |"
        )
    scores = {"accuracy": _accuracy, "macro F1": _macro_f1}
    picks = np.random.default_rng(0).integers(0, len(truth), (RESAMPLES, len(truth)))
    for name, score in scores.items():
        cells, drawn = [], []
        for side in SIDES:
            value = score(truth, answers[side])
            drawn.append(np.array([score(truth[pick], answers[side][pick]) for pick in picks]))
            low, high = np.percentile(drawn[-1], [2.5, 97.5])
            if name == "accuracy":
                low, high = wilson_interval(int((truth == answers[side]).sum()), len(truth))
            cells.append(f"{100 * value:.1f} ({100 * low:.1f} – {100 * high:.1f})")
        gain = 100 * (score(truth, answers["ours"]) - score(truth, answers["fastai"]))
        low, high = 100 * np.percentile(drawn[0] - drawn[1], [2.5, 97.5])
        lines.append(
            f"| {name}, % | {len(truth)} | {cells[0]} | {cells[1]} | {gain:+.1f} ({low:+.1f} – {high:+.1f}) |"
        )
    return "\n".join(lines)


def _accuracy(truth: np.ndarray, answers: np.ndarray) -> float:
    return float(np.mean(truth == answers))


def _macro_f1(truth: np.ndarray, answers: np.ndarray) -> float:
    return float(f1_score(truth, answers, labels=np.unique(truth), average="macro", zero_division=0))


if __name__ == "__main__":
    main()
