"""Out-of-distribution (ood) pictures: does a model notice that a picture shows none of its classes?

Probabilities do not tell that. The mean cosine distance to the nearest training features does (Sun et al. 2022,
"Out-of-Distribution Detection with Deep Nearest Neighbors"): from a distance on that few validation pictures exceed, a
picture is called out of distribution. `evaluate others=FOLDER` measures how many pictures of something else are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from model_folder.reference_features import SCORE, Nearest, ReferenceFeatures, scores_of
from pictures.decoding import SUFFIXES
from train.abstention import SCORES, answered
from train.data import DatasetError, load_images
from train.intervals import auroc_interval, effective_number, group_numbers, share_interval
from train.predictions import Predictions

FALSE_ALARMS = 0.05
_CONFIDENCE = 0.9
_ANSWERED = 0.95
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


def choose_distance(
    scores: np.ndarray, groups: Sequence[object] | np.ndarray | None = None, false_alarms: float = FALSE_ALARMS
) -> float | None:
    """Chooses the distance that at most this share of pictures of the classes exceeds, with a confidence of 90 %.

    The quantile of the scores themselves would be too low half the time. A one-sided tolerance limit, free of any
    distribution (Wilks 1941), is the r-th smallest of n where a binomial of n and `1 - false_alarms` stays below r
    with that confidence. Fewer than 45 pictures have none for 5 %; then it is the farthest one, which one picture in
    n + 1 exceeds on average. With fewer than 19 no distance promises 5 %, not even on average.

    Args:
        scores: Of pictures that the model has not learned from, of shape (pictures,); higher is farther.
        groups: The group of near-duplicates of every picture, which counts once, by its farthest picture.
        false_alarms: 0 to 1, both excluded.

    Returns:
        The distance, or None where there are too few pictures.
    """
    if groups is not None:
        group_of = group_numbers(groups, len(scores))
        farthest = np.full(group_of.max() + 1, -np.inf)
        np.maximum.at(farthest, group_of, scores)
        scores = farthest
    count = len(scores)
    # Rounded first: 0.05 * 20 is 1 and not a little more.
    if round((count + 1) * false_alarms, 9) < 1:
        return None
    rank = int(binom.ppf(_CONFIDENCE, count, 1 - false_alarms)) + 1
    return float(np.sort(scores)[min(rank, count) - 1])


def choose_ood(
    reference: ReferenceFeatures, nearest: Nearest, groups: Sequence[object] | np.ndarray | None, split: str
) -> dict[str, Any]:
    """Returns `ood` for config.json: from which distance on a picture is like none of the classes.

    Args:
        reference: The features of training pictures.
        nearest: Those nearest to each picture of a split that the model has not learned from.
        groups: The group of near-duplicates of each of these pictures; None where every picture is its own.
        split: Which one.
    """
    scores = scores_of(nearest)
    value = choose_distance(scores, groups)
    refused = 0 if value is None else int((scores > value).sum())
    return {
        "score": SCORE,
        "k": reference.k,
        "value": value,
        "target_false_alarms": FALSE_ALARMS,
        "split": split,
        "pictures": len(scores),
        "groups": len(scores) if groups is None else len(set(groups)),
        "false_alarms": refused / len(scores),
        "reference_pictures": len(reference.features),
    }


def judge_distance(
    reference: ReferenceFeatures, nearest: Nearest, groups: Sequence[object] | np.ndarray | None = None
) -> dict[str, Any]:
    """Returns how many pictures of a split are called out of distribution, which are all false alarms.

    Args:
        reference: The features of training pictures, and the distance that was chosen.
        nearest: Those nearest to each picture of the split.
        groups: The group of near-duplicates of each of these pictures; None where every picture is its own.
    """
    refused = reference.is_ood(nearest)
    return {
        "score": SCORE,
        "k": reference.k,
        "threshold": reference.threshold,
        "refused": int(refused.sum()),
        "false_alarms": float(refused.mean()),
        "false_alarms_interval": share_interval(refused, groups),
    }


def load_others(name: str, split: str) -> datasets.Dataset:
    """Loads pictures that are none of the model's classes; what labels they have does not matter.

    Args:
        name: A folder of photographs, with or without sub-folders, or a dataset folder or Hub id.
        split: Of a dataset, this one, or everything where it has none of that name.

    Returns:
        Pictures (`image`), each with a `label` of 0.

    Raises:
        DatasetError: There is no picture.
    """
    folder = Path(name)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if folder.is_dir() and not any(folder.rglob("*.parquet")):
        if not files:
            raise DatasetError(f"others={name} has no picture ({', '.join(sorted(SUFFIXES))}): give a folder of them")
        rows = datasets.Dataset.from_dict({"image": list(map(str, files))}, split=datasets.NamedSplit("others"))
        rows = rows.cast_column("image", datasets.Image(decode=False))
    else:
        splits = load_images(name, validation=0).splits
        chosen = [splits[split]] if split in splits else list(splits.values())
        rows = datasets.concatenate_datasets([part.select_columns(["image"]) for part in chosen])
    if not len(rows):
        raise DatasetError(f"others={name} has no picture: give a folder of them, or another dataset")
    return rows.add_column("label", [0] * len(rows))


def title_of(name: str) -> str:
    """Returns a Hub id as it is, and of a folder its name alone: a path of this machine is nobody's business."""
    return Path(name).resolve().name if Path(name).is_dir() else name


def judge_others(
    known: Predictions,
    others: Predictions,
    threshold: dict[str, Any],
    reference: ReferenceFeatures | None,
    name: str,
    groups: Sequence[object] | np.ndarray | None = None,
) -> dict[str, Any]:
    """Compares the scores of a split with those of pictures of something else.

    Args:
        known: The model's answers on the split.
        others: Its answers on the other pictures.
        threshold: `reject_threshold`, as `stated_threshold` gives it.
        reference: Its reference features; with them the distance to the nearest is a score, too.
        name: What the other pictures are, for the record.
        groups: The group of near-duplicates of every picture of the split; None where every picture is its own.

    Returns:
        `dataset`, `pictures`; for each score its `auroc` (0.5: no help; 1: separates all), the 95 % interval of that,
        and `abstained_at_95`, the share of the others that a threshold which answers 95 % of the split turns away; the
        `better` score; `at_threshold` and `ood`, the share of the others that each of the model's own thresholds turns
        away, with its interval; `ood` is None where the model has no distance.
    """
    pairs = {score: (function(known.logits), function(others.logits)) for score, function in SCORES.items()}
    ood = None
    if reference and known.nearest and others.nearest:
        # Higher where a picture is more like those of the classes, as with the other scores.
        pairs[SCORE] = -scores_of(known.nearest), -scores_of(others.nearest)
        if reference.threshold is not None:
            ood = {"threshold": reference.threshold, **_turned_away("refused", reference.is_ood(others.nearest))}
    scores = {score: _separation(*pair, groups) for score, pair in pairs.items()}
    return {
        "dataset": name,
        "pictures": len(others.logits),
        "scores": scores,
        "better": max(scores, key=lambda score: scores[score]["auroc"]),
        "at_threshold": {
            "score": threshold["score"],
            "threshold": threshold["value"],
            **_turned_away("abstained", ~answered(others.logits, threshold)),
        },
        "ood": ood,
    }


def _turned_away(key: str, turned_away: np.ndarray) -> dict[str, Any]:
    return {key: float(turned_away.mean()), f"{key}_interval": share_interval(turned_away, None)}


def _separation(known: np.ndarray, others: np.ndarray, groups: Sequence[object] | np.ndarray | None) -> dict[str, Any]:
    """Returns how well a score separates the two; the area is the mean of what each known picture has below it."""
    auroc = float(roc_auc_score(np.repeat([1, 0], [len(known), len(others)]), np.concatenate([known, others])))
    ranks = np.searchsorted(np.sort(others), known, "left") + np.searchsorted(np.sort(others), known, "right")
    return {
        "auroc": auroc,
        "auroc_interval": auroc_interval(auroc, effective_number(ranks, groups), len(others)),
        "abstained_at_95": float((others < np.quantile(known, 1 - _ANSWERED)).mean()),
    }


def distance_sentence(ood: dict[str, Any], pictures: int) -> str:
    """Returns what `judge_distance` found, in words."""
    if ood["threshold"] is None:
        return (
            "calls no picture out of distribution: fewer than 19 validation pictures, too few to choose a distance by"
        )
    low, high = ood["false_alarms_interval"]
    return (
        f"calls {ood['refused']} of {pictures} out of distribution, at a distance above {ood['threshold']:.3f}: "
        f"{ood['false_alarms']:.1%} false alarms (95 % interval {low:.1%} – {high:.1%})"
    )


def others_sentence(others: dict[str, Any]) -> str:
    """Returns what `judge_others` found, in words."""
    scores = []
    for score, row in others["scores"].items():
        low, high = row["auroc_interval"]
        scores.append(f"{score.replace('_', ' ')} {row['auroc']:.2f} ({low:.2f} – {high:.2f})")
    text = f"{others['pictures']} other pictures ({others['dataset']}): AUROC by {', by '.join(scores)}"
    if not any(row["auroc_interval"][0] > 0.5 for row in others["scores"].values()):
        text += "; none separates them from the classes better than chance"
    text += f"; abstains on {others['at_threshold']['abstained']:.1%} of them"
    if not others["ood"]:
        return text
    low, high = others["ood"]["refused_interval"]
    return f"{text}; calls {others['ood']['refused']:.1%} of them out of distribution ({low:.1%} – {high:.1%})"
