"""Which score notices that a picture shows none of the classes: `python -m benchmarks.unlike --help`.

Scores, each higher where a picture is less like what was learned: one less the highest probability; energy with
its sign turned (Liu et al. 2020); Mahalanobis distance to the nearest class, with one shrunk covariance (Lee et al.
2018; Ledoit and Wolf 2004); cosine distance to the nearest training features (Sun et al. 2022), to the first, to the
fifth, and on average over five, over half as many as a class has pictures (5 to 20, which is what ships) and over 50;
cosine distance to the nearest of the classes' mean features.

With --weights the backbone is frozen and the classifier scikit-learn's logistic regression. All splits are pooled and
dealt anew, by group: each of seven folds is the test once, the next one says from which score on a picture is
refused, so that at most 5 % false alarms can be expected, and the other five are learned from. With --model the
dataset keeps its splits, and the model its classifier.

A dance left out is what no score should be trusted with: the same is done with the classes but one, and the pictures
of that one are to be refused.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from scipy.special import logsumexp, softmax
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_distances
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from drawings.places import PLACES, draw_place
from model_folder.reference_features import MOST_NEIGHBOURS
from train.data import groups_of, load_images, read_image
from train.export.reference import NEIGHBOURS
from train.intervals import wilson_interval
from train.loaders import eval_transform
from train.model import FrozenBackbone, build_model, model_data_config
from train.ood import choose_distance, load_others
from train.predict import load_model

FOLDS = 7
BATCH = 16


@dataclass(frozen=True)
class Part:
    """Pictures: features of shape (pictures, features), labels, and logits where the model gave them."""

    features: np.ndarray
    labels: np.ndarray
    logits: np.ndarray | None = None

    def of(self, chosen: np.ndarray) -> "Part":
        """Returns some of the pictures."""
        return Part(self.features[chosen], self.labels[chosen], None if self.logits is None else self.logits[chosen])


Deal = tuple[Part, Part, Part]
Scores = dict[str, Callable[[Part], np.ndarray]]


def main(words: list[str] | None = None) -> None:
    """Looks at every picture once and prints the table."""
    options = parse(words)
    classifier: Any = None
    if options.model:
        model, _ = load_model(str(options.model))
        backbone = FrozenBackbone(model, 0.0, model.pretrained_cfg["input_size"])
        data_config, classifier = timm.data.resolve_model_data_config(model), backbone.classifier.eval()
    else:
        model = build_model(options.architecture, 2, options.size, False, options.weights, 0.0)
        data_config = model_data_config(model, options.size, "squash")
        backbone = FrozenBackbone(model, 0.0, data_config["input_size"])
    look = Look(backbone, classifier, data_config)
    images = load_images(str(options.dataset))
    splits = {
        name: look(partial(read_image, rows), np.array(rows["label"]), name) for name, rows in images.splits.items()
    }
    places = clutter(options.clutter, options.seed)
    strange = {"clutter": look(places.__getitem__, np.zeros(options.clutter), "clutter")}
    for folder in reversed(options.others):
        rows = load_others(str(folder), "test")
        strange = {folder.name: look(partial(read_image, rows), np.array(rows["label"]), folder.name), **strange}
    if options.model:
        deals = [(splits["train"], splits["validation"], splits["test"])]
        left_out: list[tuple[Deal, Part]] = []
    else:
        # A picture that is alone is so in its split only.
        groups = [
            f"{name} {group}" if str(group).startswith("alone") else group
            for name, rows in images.splits.items()
            for group in groups_of(rows) or [f"alone {number}" for number in range(len(rows))]
        ]
        everything = Part(
            *(np.concatenate(of) for of in zip(*((p.features, p.labels) for p in splits.values()), strict=True))
        )
        deals = list(deal(everything, groups, options.seed))
        left_out = list(leave_one_out(deals))
    print(table(deals, strange, left_out))


class Look:
    """What a backbone, and a classifier where there is one, make of pictures."""

    def __init__(self, backbone: FrozenBackbone, classifier: Any, data_config: dict[str, Any]) -> None:
        self.backbone, self.classifier, self.transform = backbone, classifier, eval_transform(data_config)

    @torch.inference_mode()
    def __call__(self, picture: Callable[[int], Image.Image], labels: np.ndarray, name: str) -> Part:
        """Looks at every picture once; `name` says on the progress bar which."""
        features, logits = [], []
        for start in tqdm(range(0, len(labels), BATCH), desc=f"Looking at {name}", unit="batch"):
            batch = torch.stack([self.transform(picture(i)) for i in range(start, min(start + BATCH, len(labels)))])
            features.append(self.backbone.features(batch))
            if self.classifier:
                logits.append(self.classifier(features[-1]))
        return Part(torch.cat(features).numpy(), labels, torch.cat(logits).numpy() if logits else None)


def clutter(count: int, seed: int) -> list[Image.Image]:
    """Draws places in which nobody dances."""
    rng, drawn = random.Random(seed), []
    for number in range(count):
        size = rng.randint(256, 480), rng.randint(256, 480)
        drawn.append(draw_place(rng, size, size[1] * rng.uniform(0.6, 0.9), PLACES[number % len(PLACES)]))
    return drawn


def deal(pictures: Part, groups: list[Any], seed: int) -> Iterator[Deal]:
    """Gives train, validation and test, once for every fold."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    parts = [part for _, part in folds.split(pictures.labels, pictures.labels, groups)]
    for number, test in enumerate(parts):
        validation = parts[(number + 1) % FOLDS]
        rest = np.setdiff1d(np.arange(len(pictures.labels)), np.concatenate([test, validation]))
        yield pictures.of(rest), pictures.of(validation), pictures.of(test)


def leave_one_out(deals: list[Deal]) -> Iterator[tuple[Deal, Part]]:
    """Gives deals without one class, and the pictures of that class in their tests."""
    for parts in deals:
        for label in np.unique(parts[0].labels):
            train, validation, test = (part.of(part.labels != label) for part in parts)
            yield (train, validation, test), parts[2].of(parts[2].labels == label)


def fit_scores(train: Part) -> Scores:
    """Fits every score to what is learned from."""
    logits: Callable[[Part], Any] = lambda part: part.logits  # noqa: E731
    if train.logits is None:
        linear = LogisticRegression(max_iter=5000).fit(train.features, train.labels)
        logits = lambda part: linear.decision_function(part.features)  # noqa: E731
    classes = np.unique(train.labels)
    means = np.stack([train.features[train.labels == label].mean(0) for label in classes])
    spread = LedoitWolf(assume_centered=True).fit(train.features - means[np.searchsorted(classes, train.labels)])
    lengths = np.linalg.norm(train.features, axis=1, keepdims=True)
    centres = np.stack([(train.features / lengths)[train.labels == label].mean(0) for label in classes])
    half = int(np.clip(np.median(np.bincount(train.labels)[classes]) // 2, *NEIGHBOURS))
    most = min(MOST_NEIGHBOURS, len(train.labels))
    neighbours = NearestNeighbors(n_neighbors=most, metric="cosine").fit(train.features)

    def distances(part: Part) -> np.ndarray:
        return neighbours.kneighbors(part.features)[0]

    return {
        "highest probability": lambda part: 1 - softmax(logits(part), axis=1).max(1),
        "energy": lambda part: -logsumexp(logits(part), axis=1),
        "Mahalanobis": lambda part: np.stack([spread.mahalanobis(part.features - mean) for mean in means]).min(0),
        "nearest": lambda part: distances(part)[:, 0],
        "5th nearest": lambda part: distances(part)[:, 4],
        "mean of 5 nearest": lambda part: distances(part)[:, :5].mean(1),
        "mean of half a class": lambda part: distances(part)[:, :half].mean(1),
        f"mean of {MOST_NEIGHBOURS} nearest": lambda part: distances(part).mean(1),
        "nearest class mean": lambda part: cosine_distances(part.features, centres).min(1),
    }


def table(deals: list[Deal], strange: dict[str, Part], left_out: list[tuple[Deal, Part]]) -> str:
    """Returns the table: AUROC and share refused, means over the folds; false alarms over all test pictures."""
    found = [judge(parts, strange) for parts in tqdm(deals, desc="Folds")]
    absent = [judge(parts, {"a dance left out": out}) for parts, out in tqdm(left_out, desc="Leaving one out")]
    pictures = sum(len(test.labels) for _, _, test in deals)
    columns = [(found, name) for name in strange] + ([(absent, "a dance left out")] if absent else [])
    heads = [f"{name} ({len(strange[name].labels)})" if name in strange else name for _, name in columns]
    lines = [
        f"| score |{''.join(f' {head}: AUROC | refused |' for head in heads)} false alarms of {pictures} |",
        f"|---|{'--:|--:|' * len(columns)}--:|",
    ]
    for score in found[0]:
        cells = []
        for runs, name in columns:
            auroc, refused = (np.mean([run[score][name][key] for run in runs]) for key in ("auroc", "refused"))
            cells += [f"{auroc:.3f}", f"{refused:.0%}"]
        alarms = sum(run[score]["alarms"] for run in found)
        low, high = wilson_interval(alarms, pictures)
        cells.append(f"{alarms / pictures:.1%} ({low:.1%} – {high:.1%})")
        lines.append(f"| {score} | {' | '.join(cells)} |")
    return "\n".join(lines)


def judge(parts: Deal, strange: dict[str, Part]) -> dict[str, dict[str, Any]]:
    """Returns for every score its false alarms, and for all that is strange AUROC and the share refused."""
    train, validation, test = parts
    told: dict[str, dict[str, Any]] = {}
    for name, score in fit_scores(train).items():
        known, threshold = score(test), choose_distance(score(validation))
        refused_from = np.inf if threshold is None else threshold
        told[name] = {"alarms": int((known > refused_from).sum())}
        for what, part in strange.items():
            values = score(part)
            truth = np.repeat([0, 1], [len(known), len(values)])
            auroc = float(roc_auc_score(truth, np.concatenate([known, values])))
            told[name][what] = {"auroc": auroc, "refused": float((values > refused_from).mean())}
    return told


def parse(words: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="a dataset folder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--weights", type=Path, help="of the frozen backbone, safetensors in timm's names")
    source.add_argument("--model", type=Path, help="a model folder that learned from the dataset")
    parser.add_argument("--architecture", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--others", type=Path, nargs="+", default=[], help="folders of photographs of something else")
    parser.add_argument("--clutter", type=int, default=120, help="drawn places without a dancer")
    parser.add_argument("--seed", type=int, default=8)
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
