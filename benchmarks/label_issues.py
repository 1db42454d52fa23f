"""How many wrong labels are among the most doubtful: `python -m benchmarks.label_issues --help`.

Wrong labels are planted into the drawn sample: 5 % of train and validation get another dance, any other equally
likely. Then `train cross-validate` answers for every picture by a model that never saw it, and cleanlab's three label
quality scores rank them. Beside them stands the way of the walk-through of 2018: the losses of the final model (`train
fit`, by the same recipe) on the pictures that it has learned from and was chosen by.

A share of the planted labels among the worst 5 % of all pictures of 80 % is what `train clean` promises here.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from benchmarks.label_noise import noisy_sample, run
from benchmarks.sides import ROOT
from train.clean import in_order
from train.cleaner.label_issues import label_quality
from train.data import load_images
from train.folds import pool
from train.predict import load_model, predict
from train.predictions import FOLDS, Predictions, read_predictions
from train.processes import make_accelerator

# Without turns and changes of light a model learns the drawings in half the time.
_QUICK = ["p_affine=0", "p_lighting=0", "epochs=14"]


def main(words: list[str] | None = None) -> None:
    """Does what is left to do in the work folder, and prints the table."""
    options = parse(words)
    options.work.mkdir(parents=True, exist_ok=True)
    noted = options.work / "truth.json"
    if not noted.exists():
        truth = noisy_sample(options.work, options.per_class, options.seed, options.share)
        noted.write_text(json.dumps(truth))
    truth = json.loads(noted.read_text())
    dances = options.work / "dances"
    settings = [options.recipe.resolve(), f"dataset={dances.resolve()}", *options.set]
    run(
        "train",
        "cross-validate",
        *settings,
        f"output_dir={(options.work / 'folds').resolve()}",
        f"folds={options.folds}",
    )
    final = (options.work / "final").resolve()
    if not (final / "model").exists():
        run("train", "fit", *settings, f"output_dir={final}", "resume_from_checkpoint=true")

    pictures = pool(load_images(str(dances), validation=0))
    answers = read_predictions(options.work / "folds" / "predictions.parquet", FOLDS)
    unseen = in_order(answers, pictures, "choose another folder with --work")
    model, _ = load_model(str(final / "model"))
    seen = predict(make_accelerator("no"), model, pictures.rows, batch_size=32, num_workers=0)
    print(table(unseen, seen, truth, options.share))


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "scratch.yaml")
    parser.add_argument("--set", nargs="*", default=_QUICK, metavar="KEY=VALUE", help="more settings of the recipe")
    parser.add_argument("--per-class", type=int, default=200, help="drawings of each dance")
    parser.add_argument("--share", type=float, default=0.05, help="of labels that are made wrong")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=8, help="of drawings, split and noise")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build" / "bench-label-issues", help="where things are put"
    )
    return parser.parse_args(words)


def table(unseen: Predictions, seen: Predictions, truth: dict[str, str], share: float) -> str:
    """Returns the table: a row per ranking.

    Args:
        unseen: Out-of-fold predictions.
        seen: What the final model says of the same pictures, in the same order.
        truth: The right label of every picture that has a wrong one, by SHA-256.
        share: Of the pictures that are looked at: the worst, and twice as many.
    """
    planted = np.array([sha256 in truth for sha256 in unseen.sha256])
    worst = round(share * len(planted))
    rankings = {
        "out of fold, self-confidence (`train clean`)": label_quality(unseen),
        "out of fold, normalized margin": label_quality(unseen, "normalized_margin"),
        "out of fold, confidence-weighted entropy": label_quality(unseen, "confidence_weighted_entropy"),
        "top losses of the final model": -seen.losses,
    }
    named = zip(unseen.sha256, unseen.labels, strict=True)
    right = np.array([unseen.label_names.index(truth.get(n, unseen.label_names[y])) for n, y in named])
    lines = [
        f"{len(planted)} pictures, {planted.sum()} of them with a planted label; out of fold "
        f"{(unseen.answers == right).mean():.1%} are given their right label.",
        "",
        f"| planted labels among the worst | {share:.0%} | 95 % interval | {2 * share:.0%} |",
        "|---|--:|--:|--:|",
    ]
    for name, scores in rankings.items():
        order = np.argsort(scores, kind="stable")
        found, more = (int(planted[order[:count]].sum()) for count in (worst, 2 * worst))
        interval = binomtest(found, int(planted.sum())).proportion_ci(0.95, method="wilson")
        lines.append(
            f"| {name} | {found / planted.sum():.0%} | {interval.low:.0%} – {interval.high:.0%} "
            f"| {more / planted.sum():.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
