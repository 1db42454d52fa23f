"""The whole loop on drawings with wrong labels, and what it gains: `make loop`.

1. Wrong labels are planted into train and validation of the drawn sample; test keeps its own.
2. `train fit` and `train evaluate`: the model before.
3. `train cross-validate` and `train clean`: which labels are doubtful.
4. A stand-in for a person, who knows the truth, looks at the most doubtful pictures and decides as the cleaner would:
   keep, or relabel. What is not among them stays wrong.
5. `dataset_card build --corrections`, and `train fit init_from=` the model before: the model after.
6. Both are judged on the same test split. Training further might help by itself, so a third model goes on for as long
   from the same start on the labels as they were: what counts is the difference between these two.

The difference is judged by McNemar's exact test on the pictures that only one of the two gets right.
"""

import argparse
import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from scipy.stats import binomtest

from benchmarks.label_noise import noisy_sample, run
from benchmarks.sides import ROOT
from train.cleaner.decisions import Decision, DecisionLog
from train.intervals import wilson_interval

_NOISE = 0.05
# Small, and without turns and changes of light, a model learns the drawings in half the time.
_QUICK = ["image_size=64", "p_affine=0", "p_lighting=0"]


def main(words: list[str] | None = None) -> None:
    """Runs what is left of the loop in the work folder, and prints the table."""
    options = parse(words)
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    began, noted, dances = time.monotonic(), work / "truth.json", work / "dances"
    if not noted.exists():
        noted.write_text(json.dumps(noisy_sample(work, options.per_class, options.seed, options.share)))
    truth = json.loads(noted.read_text())
    recipe = [options.recipe.resolve(), f"dataset={dances}", *options.set]

    start = f"init_from={work / 'before' / 'model'}"
    further = f"epochs={options.further}"
    fit_and_judge(work / "before", dances, *recipe, f"epochs={options.epochs}")
    fit_and_judge(work / "further", dances, *recipe, start, further)
    if not (work / "corrections.csv").exists():
        folds = f"folds={options.folds}"
        run("train", "cross-validate", *recipe, f"epochs={options.epochs}", f"output_dir={work / 'folds'}", folds)
        run("train", "clean", work / "folds", f"dataset={dances}", "--no-browser")
        seen = review(work / "folds" / "label_issues.csv", truth, options.look, work / "reviewed.csv")
        (work / "reviewed.csv").replace(work / "corrections.csv")
        print(seen)
    run("dataset_card", "build", work / "photos", "--out", dances, "--corrections", work / "corrections.csv")
    fit_and_judge(work / "after", dances, *recipe, start, further)
    print(f"\n{table({name: read_answers(work / name / 'model') for name in ('before', 'further', 'after')})}")
    print(f"{time.monotonic() - began:.0f} s")


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "scratch.yaml")
    parser.add_argument("--set", nargs="*", default=_QUICK, metavar="KEY=VALUE", help="more settings of the recipe")
    parser.add_argument("--per-class", type=int, default=80, help="drawings of each dance")
    parser.add_argument("--share", type=float, default=0.2, help="of labels that are made wrong")
    parser.add_argument("--look", type=float, default=0.4, help="share of the pictures that are looked at")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--further", type=int, default=8, help="epochs of both models that go on")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=8, help="of drawings, split and noise")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "loop", help="where things are put")
    return parser.parse_args(words)


def fit_and_judge(folder: Path, dances: Path, *recipe: object) -> None:
    """Trains and judges on test, where that was not done."""
    if not (folder / "model" / "predictions.parquet").exists():
        run("train", "fit", *recipe, f"output_dir={folder}", "resume_from_checkpoint=true")
        run("train", "evaluate", folder / "model", f"dataset={dances}")


def review(issues: Path, truth: dict[str, str], share: float, corrections: Path) -> str:
    """Decides about the most doubtful pictures as a person who knows the truth; says what was seen."""
    with issues.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    names = sorted({line["label"] for line in lines})
    log = DecisionLog(corrections, names)
    looked = lines[: round(share * len(lines))]
    for line in looked:
        right = truth.get(line["sha256"])
        log.decide(Decision(line["sha256"], "relabel" if right else "keep", right or ""), None)
    found = sum(line["sha256"] in truth for line in looked)
    return (
        f"{len(looked)} of {len(lines)} pictures were looked at: {found} of the {len(truth)} wrong labels were among "
        "them and are corrected"
    )


@dataclass(frozen=True)
class Answers:
    """Which pictures of the test split a model gets right, by SHA-256; and their labels, which nothing may change."""

    right: dict[str, bool]
    labels: dict[str, str]


def read_answers(model: Path) -> Answers:
    """Reads them from a model folder."""
    names = json.loads((model / "config.json").read_text())["label_names"]
    rows = [row for row in pq.read_table(model / "predictions.parquet").to_pylist() if row["split"] == "test"]
    said = {row["sha256"]: names[max(range(len(names)), key=row["probs"].__getitem__)] for row in rows}
    return Answers(
        {row["sha256"]: said[row["sha256"]] == row["label"] for row in rows}, {r["sha256"]: r["label"] for r in rows}
    )


def table(answers: dict[str, Answers]) -> str:
    """Returns what was gained.

    Args:
        answers: Of the models "before", "further" and "after".
    """
    titles = {
        "before": "before, on wrong labels",
        "further": "trained further, on the same labels",
        "after": "trained further, on corrected labels",
    }
    assert all(of.labels == answers["before"].labels for of in answers.values()), "one test split for all"
    lines = ["| model | right on test | 95 % interval |", "|---|--:|--:|"]
    for name, title in titles.items():
        right, total = sum(answers[name].right.values()), len(answers[name].right)
        low, high = wilson_interval(right, total)
        lines.append(f"| {title} | {right / total:.1%} of {total} | {low:.1%} – {high:.1%} |")
    after = answers["after"].right
    lines += ["", difference("The whole loop", answers["before"].right, after)]
    return "\n".join([*lines, difference("Corrected labels alone", answers["further"].right, after)])


def difference(what: str, without: dict[str, bool], corrected: dict[str, bool]) -> str:
    """Says what something gained, and whether that may be chance (McNemar 1947, exact)."""
    won = sum(corrected[name] and not without[name] for name in without)
    lost = sum(without[name] and not corrected[name] for name in without)
    p = binomtest(won, won + lost).pvalue if won + lost else 1.0
    gain = 100 * (won - lost) / len(without)
    meaning = "too little to be told from chance" if p >= _NOISE else "a gain" if gain > 0 else "a loss"
    return (
        f"{what}: {gain:+.1f} points ({won} pictures right only with it, {lost} only without; McNemar's "
        f"exact test p = {p:.2g}): {meaning}."
    )


if __name__ == "__main__":
    main()
