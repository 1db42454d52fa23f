"""The story of `train evaluate --compare`: two models on the same pictures, and whether one of them is better."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from files.errors import UserError
from files.paths import command_line
from model_folder.facts import read_metrics
from train.intervals import bootstrap_interval, share_interval
from train.predictions import FOLDS, NotJudgedError, Predictions, fit_to, names_of, read_predictions
from train.recipe import Settings, cross_validate_command

_LEVEL = 0.05
_FILE = "predictions.parquet"


class ComparisonError(UserError):
    """Two runs that can't be compared."""


class Comparison(Settings):
    """What to compare on.

    Attributes:
        split: Which split of both runs' predictions. "folds" compares the answers of two cross-validations: to every
            picture of train and validation, each run's is that of its model that had not learned from it.
        dataset: The dataset folder or Hub id that both were judged on: gives its groups of near-duplicates to
            predictions of an earlier version, which state none. Without groups every picture counts for itself, and
            the intervals are too narrow.
    """

    split: str = "test"
    dataset: str | None = None


@dataclass(frozen=True)
class Difference:
    """How much more often the second model is right than the first.

    Attributes:
        value: Accuracy of the second minus that of the first, -1 to 1.
        interval: Its 95 % interval, bootstrapped over `over`, pair by pair.
        over: "groups of near-duplicates" or "pictures".
        only_first: Pictures that only the first is right on.
        only_second: Pictures that only the second is right on.
        p_value: Of McNemar's exact test (McNemar 1947): how often two models that are equally good would differ at
            least so unevenly.
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


def paired_difference(
    first: np.ndarray, second: np.ndarray, groups: Sequence[object] | np.ndarray | None
) -> Difference:
    """Compares two models picture by picture.

    Args:
        first: Whether the first model is right, bool of shape (pictures,).
        second: The second model, on the same pictures.
        groups: The group of near-duplicates of every picture, or None where every picture counts for itself.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    gains = second.astype(int) - first.astype(int)
    low, high = bootstrap_interval(
        np.stack([gains, np.ones_like(gains)], axis=1),
        groups if groups is not None else range(len(gains)),
        lambda drawn: drawn[:, 0] / drawn[:, 1],
    )
    differing = only_first + only_second
    return Difference(
        float(gains.mean()),
        (max(low, -1.0), min(high, 1.0)),
        "pictures" if groups is None else "groups of near-duplicates",
        only_first,
        only_second,
        float(binomtest(only_second, differing).pvalue) if differing else 1.0,
    )


def compare(first: Path, second: Path, settings: Comparison) -> str:
    """Compares two judged runs picture by picture.

    Args:
        first: A run, a model folder or an `output_dir` of `evaluate`.
        second: Likewise.
        settings: What to compare on.

    Returns:
        Both accuracies with their intervals, their difference with its own, and what it is worth, in words.

    Raises:
        ComparisonError: Their pictures have no names, and can't be shown to be the same.
        PredictionsError: One was not judged on this split, they were judged on other pictures or labels, or the
            predictions can't be read.
        DatasetError: The dataset can't be used.
    """
    split, again = settings.split, "judge both on the same dataset, with python -m train evaluate"
    (place, one), (other_place, other) = answers_of(first, split), answers_of(second, split)
    if not any(one.sha256) and len({_fingerprint(folder, split) for folder in (place, other_place)}) > 1:
        raise ComparisonError(f"{first} and {second} were judged on different pictures of {split}: {again}")
    if settings.dataset:
        one = _with_groups(one, settings.dataset, split, str(first))
    other = fit_to(other, one.sha256, one.label_texts, f"{second} beside {first}, {split}", again)
    groups = one.group_numbers if any(one.groups) else None
    difference = paired_difference(one.right, other.right, groups)
    width, column = max(len(str(first)), len(str(second)), len("difference")), len(f"{split} accuracy")
    lines = [f"{'':{width}}  {split} accuracy   95 % interval"]
    for run, answers in ((first, one), (second, other)):
        low, high = share_interval(answers.right, one.group_numbers)
        lines.append(f"{run!s:{width}}  {answers.right.mean():{column}.1%}   {low:.1%} – {high:.1%}")
    low, high = difference.interval
    lines.append(f"{'difference':{width}}  {difference.value:+{column}.1%}   {low:+.1%} – {high:+.1%}")
    judged = ", each answered by a model of either run that had not learned from it" if split == FOLDS else ""
    lines.append(
        f"{len(one.right)} pictures{judged}; the intervals are over {difference.over}. "
        f"Only the first is right on {difference.only_first}, only the second on {difference.only_second}: "
        f"McNemar's exact test, p = {difference.p_value:.3g}"
    )
    lines.append(difference.verdict(str(first), str(second)))
    better = other_place if difference.value > 0 else place
    if split == FOLDS:
        lines.append(f"Next, on the test split: {_command('evaluate', '--compare', first, second)}")
    elif difference.is_noise and (second / "recipe.yaml").exists():
        command = cross_validate_command(second / "recipe.yaml", second, settings.dataset)
        lines.append(f"Next, to compare on more pictures, with split=folds: {command}, and likewise {first}")
    elif not difference.is_noise and (better / "config.json").exists():
        lines.append(f"Next: {_command('push', better, 'USER/NAME')}")
    return "\n".join(lines)


def answers_of(run: Path, split: str) -> tuple[Path, Predictions]:
    """Returns where a run's answers to a split lie, the folder itself or its model folder, and these.

    Raises:
        NotJudgedError: It was not judged on this split; says what there is.
    """
    command = "cross-validate" if split == FOLDS else "evaluate"
    fault = f"{run} has no {_FILE}: judge it first, with python -m train {command}"
    for folder in (run, run / "model"):
        if (folder / _FILE).is_file():
            try:
                return folder, read_predictions(folder / _FILE, split)
            except NotJudgedError as error:
                fault = str(error)
    raise NotJudgedError(fault)


def _fingerprint(folder: Path, split: str) -> str | None:
    """Returns the fingerprint of the pictures and labels that a run was judged on, where it states one."""
    return read_metrics(folder).get(split, {}).get("fingerprint")


def _with_groups(answers: Predictions, dataset: str, split: str, run: str) -> Predictions:
    """Returns answers with the groups that the dataset they are about has now.

    Raises:
        DatasetError: There is no such dataset or split.
        ComparisonError: It knows no groups.
        PredictionsError: It has not these pictures.
    """
    # Importing them takes longer than everything else.
    from train.data import as_numbered, groups_of, load_images
    from train.folds import pool

    images = load_images(dataset, validation=0)
    if split == FOLDS:
        pictures = pool(images)
        rows, names, groups = pictures.rows, pictures.sha256, pictures.groups
    else:
        rows = as_numbered(images, images.split(split), answers.label_names, run)
        names, groups = names_of(rows), groups_of(rows) or []
    if not groups or not any(names):
        raise ComparisonError(f"{dataset} has no columns group and sha256: leave dataset= away")
    texts = [rows.features["label"].names[label] for label in rows["label"]]
    return fit_to(
        answers, names, texts, f"{dataset}, {split}", "give the dataset that both were judged on", groups=groups
    )


def _command(*words: object) -> str:
    return command_line("python", "-m", "train", *words)
