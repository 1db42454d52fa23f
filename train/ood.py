"""Pictures of something else: does a model notice that none of its classes is there?"""

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
from train.intervals import auroc_interval, wilson_interval
from train.predictions import Predictions

FALSE_ALARMS = 0.05
_CONFIDENCE = 0.9


def choose_distance(scores: np.ndarray, false_alarms: float = FALSE_ALARMS) -> float | None:
    """Chooses the distance that at most this share of pictures of the classes exceeds, with a confidence of 90 %.

    Not what these pictures happen to give: that is too near half the time. A one-sided tolerance limit, free of any
    distribution (Wilks 1941), is the r-th smallest of n where a binomial of n and `1 - false_alarms` stays below r
    with that confidence. Fewer than 45 pictures have none for 5 %; then it is the farthest one, which one picture in
    n + 1 exceeds on average. With fewer than 19 no distance promises 5 %, not even on average.

    Args:
        scores: Of pictures that the model has not learned from, of shape (pictures,); higher is farther.
        false_alarms: 0 to 1, both excluded.

    Returns:
        The distance, or None where so few pictures promise none.
    """
    count = len(scores)
    # Rounded first: 0.05 * 20 is 1 and not a little more.
    if round((count + 1) * false_alarms, 9) < 1:
        return None
    rank = int(binom.ppf(_CONFIDENCE, count, 1 - false_alarms)) + 1
    return float(np.sort(scores)[min(rank, count) - 1])


def choose_unlike(reference: ReferenceFeatures, nearest: Nearest, split: str) -> dict[str, Any]:
    """Returns `unlike` for config.json: from which distance on a picture is like none of the classes.

    Args:
        reference: The features of training pictures.
        nearest: Those nearest to each picture of a split that the model has not learned from.
        split: Which one.
    """
    scores = scores_of(nearest)
    value = choose_distance(scores)
    refused = 0 if value is None else int((scores > value).sum())
    return {
        "score": SCORE,
        "k": reference.k,
        "value": value,
        "target_false_alarms": FALSE_ALARMS,
        "split": split,
        "pictures": len(scores),
        "false_alarms": refused / len(scores),
        "reference_pictures": len(reference.features),
    }


def judge_distance(reference: ReferenceFeatures, nearest: Nearest) -> dict[str, Any]:
    """Returns how many pictures of a split are taken for something else, which are all false alarms.

    Args:
        reference: The features of training pictures, and the distance that was chosen.
        nearest: Those nearest to each picture of the split.
    """
    refused, count = int(reference.is_unlike(nearest).sum()), len(nearest.rows)
    return {
        "score": SCORE,
        "k": reference.k,
        "threshold": reference.threshold,
        "refused": refused,
        "false_alarms": refused / count,
        "false_alarms_interval": wilson_interval(refused, count),
    }


_KEPT = 0.95


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
    strange: Predictions,
    threshold: dict[str, Any] | None,
    reference: ReferenceFeatures | None,
    name: str,
) -> dict[str, Any]:
    """Compares the scores of a split with those of pictures of something else.

    Args:
        known: The model's answers on the split.
        strange: Its answers on the others.
        threshold: `reject_threshold` of the model's config.json.
        reference: Its reference features; with them the distance to the nearest is a score, too.
        name: What the others are, for the record.

    Returns:
        `dataset`, `pictures`; for each score its `auroc` (0.5: no help; 1: tells all apart), the 95 % interval of
        that, and `abstained_at_95`, the share of the others that a threshold which answers 95 % of the split turns
        away; the `better` score; `at_threshold` and `unlike`, the share of the others that each of the model's own
        thresholds turns away, with its interval, or None where it has none.
    """
    logits, others = known.logits, strange.logits
    telling = np.repeat([1, 0], [len(logits), len(others)])
    of_all = {score: of(np.concatenate([logits, others])) for score, of in SCORES.items()}
    unlike = None
    if reference and known.nearest and strange.nearest:
        # Higher where a picture is more like those of the classes, as the others are.
        of_all[SCORE] = -np.concatenate([scores_of(known.nearest), scores_of(strange.nearest)])
        if reference.threshold is not None:
            refused = int(reference.is_unlike(strange.nearest).sum())
            unlike = {
                "threshold": reference.threshold,
                "refused": refused / len(others),
                "refused_interval": wilson_interval(refused, len(others)),
            }
    scores: dict[str, Any] = {}
    for score, values in of_all.items():
        auroc = float(roc_auc_score(telling, values))
        keeping = np.quantile(values[telling == 1], 1 - _KEPT)
        scores[score] = {
            "auroc": auroc,
            "auroc_interval": auroc_interval(auroc, len(logits), len(others)),
            "abstained_at_95": float((values[telling == 0] < keeping).mean()),
        }
    at_threshold = None
    if threshold and threshold["value"] is not None:
        abstained = int((~answered(others, threshold)).sum())
        at_threshold = {
            "score": threshold["score"],
            "threshold": threshold["value"],
            "abstained": abstained / len(others),
            "abstained_interval": wilson_interval(abstained, len(others)),
        }
    return {
        "dataset": name,
        "pictures": len(others),
        "scores": scores,
        "better": max(scores, key=lambda score: scores[score]["auroc"]),
        "at_threshold": at_threshold,
        "unlike": unlike,
    }
