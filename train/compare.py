"""The story of `train evaluate --compare`: two models on the same pictures, and whether one of them is better."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from files.errors import UserError
from model_folder.facts import read_metrics
from train.data import groups_of, load_images
from train.intervals import bootstrap_interval, wilson_interval
from train.predictions import PredictionsError, read_split
from train.recipe import Settings

_LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """How much more often the second model is right than the first.

    Attributes:
        value: Accuracy of the second minus that of the first, -1 to 1.
        interval: Its 95 % interval, bootstrapped over `over`, pair by pair.
        over: "groups of near-duplicates" or "pictures".
        only_first: Pictures that only the first is right on.
        only_second: Pictures that only the second is right on.
        p_value: Of McNemar's exact test (McNemar 1947): how often chance alone would part two models that are as
            good as each other at least so unevenly.
    """

    value: float
    interval: tuple[float, float]
    over: str
    only_first: int
    only_second: int
    p_value: float

    @property
    def is_noise(self) -> bool:
        """Tells whether these pictures can't tell the two apart."""
        low, high = self.interval
        return self.p_value >= _LEVEL or low <= 0 <= high

    def verdict(self, first: str, second: str) -> str:
        """Returns what the difference is worth, in a sentence."""
        if self.only_first + self.only_second == 0:
            return f"No difference: {first} and {second} are right and wrong on the same pictures."
        if self.is_noise:
            return (
                f"This difference is noise: as far as these pictures can tell, {second} is as good as {first}. "
                "More test pictures, or more runs with other seeds, would tell more."
            )
        better = second if self.value > 0 else first
        return f"{better} is better, and by more than chance explains."


def paired_difference(first: np.ndarray, second: np.ndarray, groups: Sequence[str] | None) -> Difference:
    """Compares two models picture by picture.

    Args:
        first: Whether the first model is right, bool of shape (pictures,).
        second: The second model, on the same pictures.
        groups: The group of near-duplicates of every picture, or None where every picture counts for itself.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    gains = second.astype(int) - first.astype(int)
    sums = np.stack([gains, np.ones_like(gains)], axis=1)
    low, high = bootstrap_interval(
        sums, groups if groups is not None else range(len(gains)), lambda drawn: drawn[:, 0] / drawn[:, 1]
    )
    parted = only_first + only_second
    return Difference(
        float(gains.mean()),
        (max(low, -1.0), min(high, 1.0)),
        "pictures" if groups is None else "groups of near-duplicates",
        only_first,
        only_second,
        float(binomtest(only_second, parted).pvalue) if parted else 1.0,
    )


_FILE = "predictions.parquet"


class ComparisonError(UserError):
    """Two runs that can't be compared."""


@dataclass(frozen=True)
class Answers:
    """A run's answers on a split, ordered by sha256.

    Attributes:
        name: The run.
        sha256: Of every picture; empty strings where the dataset has none.
        truth: The name of every picture's class.
        right: Whether the run named it, bool of shape (pictures,).
        fingerprint: Of pictures and labels in their order, where metrics.json has one.
    """

    name: str
    sha256: list[str]
    truth: np.ndarray
    right: np.ndarray
    fingerprint: str | None


class Comparison(Settings):
    """What to compare on.

    Attributes:
        split: Which split of both runs' predictions.
        dataset: The dataset folder or Hub id that both were judged on: its groups of near-duplicates widen the
            interval of the difference as they should. Without it every picture counts for itself.
    """

    split: str = "test"
    dataset: str | None = None


def compare(first: Path, second: Path, settings: Comparison) -> str:
    """Compares two judged runs picture by picture.

    Args:
        first: A run, a model folder or an `output_dir` of `evaluate`.
        second: Likewise.
        settings: What to compare on.

    Returns:
        Both accuracies with their intervals, their difference with its own, and what it is worth, in words.

    Raises:
        ComparisonError: They were judged on different pictures, or on other labels of these.
        PredictionsError: One was not judged on this split, or its predictions can't be read.
        DatasetError: The dataset can't be used.
    """
    split = settings.split
    one, other = answers_of(first, split), answers_of(second, split)
    check_same_pictures(one, other, split)
    groups = groups_in(settings.dataset, split, one.sha256) if settings.dataset else None
    return report(one, other, paired_difference(one.right, other.right, groups), split)


def answers_of(run: Path, split: str) -> Answers:
    """Returns a run's answers, from the folder itself or from its model folder.

    Raises:
        PredictionsError: It was not judged on this split.
    """
    folder = next((place for place in (run, run / "model") if (place / _FILE).is_file()), None)
    if folder is None:
        raise PredictionsError(f"{run} has no {_FILE}: judge it first, with python -m train evaluate")
    predictions = read_split(folder / _FILE, split)
    names = np.array(predictions.sha256)
    # Datasets without the column keep their order, and are known by their fingerprint.
    order = np.argsort(names, kind="stable")
    return Answers(
        str(run),
        names[order].tolist(),
        np.array(predictions.label_names)[predictions.labels[order]],
        (predictions.logits.argmax(1) == predictions.labels)[order],
        read_metrics(folder).get(split, {}).get("fingerprint"),
    )


def groups_in(dataset: str, split: str, sha256: list[str]) -> list[str]:
    """Returns the group of near-duplicates that each picture has in a split.

    Raises:
        DatasetError: There is no such dataset or split.
        ComparisonError: It knows no groups, or not these pictures.
    """
    rows = load_images(dataset, validation=0).split(split)
    groups = groups_of(rows)
    if groups is None or "sha256" not in rows.column_names:
        raise ComparisonError(f"{dataset} has no columns group and sha256: leave dataset= away")
    of_picture = dict(zip(rows["sha256"], groups, strict=True))
    if strangers := len(set(sha256) - of_picture.keys()):
        raise ComparisonError(
            f"{strangers} of {len(sha256)} pictures are not in {split} of {dataset}: give the dataset of both runs"
        )
    return [of_picture[name] for name in sha256]


def check_same_pictures(first: Answers, second: Answers, split: str) -> None:
    """Makes sure that both runs answered the same questions.

    Raises:
        ComparisonError: Other pictures, or other labels of these.
    """
    both = f"{first.name} and {second.name}"
    named = any(first.sha256) or any(second.sha256)
    if first.sha256 != second.sha256 or not (named or first.fingerprint == second.fingerprint):
        shared = f", {len(set(first.sha256) & set(second.sha256))} in common" if named else ""
        raise ComparisonError(
            f"{both} were judged on different pictures of {split} ({len(first.sha256)} and {len(second.sha256)}"
            f"{shared}): evaluate both on the same dataset"
        )
    if differing := int((first.truth != second.truth).sum()):
        raise ComparisonError(
            f"{both} were judged by different labels of {differing} of {len(first.truth)} pictures of {split}: "
            "evaluate both on the same dataset"
        )


def report(first: Answers, second: Answers, difference: Difference, split: str) -> str:
    """Returns the comparison in words."""
    width = max(len(first.name), len(second.name), len("difference"))
    column = len(f"{split} accuracy")
    lines = [f"{'':{width}}  {split} accuracy   95 % interval"]
    for run in (first, second):
        low, high = wilson_interval(int(run.right.sum()), len(run.right))
        lines.append(f"{run.name:{width}}  {run.right.mean():{column}.1%}   {low:.1%} – {high:.1%}")
    low, high = difference.interval
    lines.append(f"{'difference':{width}}  {difference.value:+{column}.1%}   {low:+.1%} – {high:+.1%}")
    lines.append(
        f"{len(first.right)} pictures; the difference's interval is bootstrapped over {difference.over}. "
        f"Only the first is right on {difference.only_first}, only the second on {difference.only_second}: "
        f"McNemar's exact test, p = {difference.p_value:.3g}"
    )
    lines.append(difference.verdict(first.name, second.name))
    return "\n".join(lines)
