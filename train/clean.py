"""The story of `train clean`: doubtful labels of train and validation are listed, and shown to a person to decide."""

import csv
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files.errors import UserError
from train.cleaner.decisions import CorrectionsError, DecisionLog
from train.cleaner.label_issues import LabelIssue, expected_issues, rank_label_issues, write_label_issues
from train.cleaner.review import Review
from train.data import LabelledImages, load_images
from train.folds import Pool, pool
from train.predictions import OutOfFold, Predictions, read_out_of_fold
from train.recipe import Settings
from train.run_folder import RunFolder

_SHOWN = 10
# Files of a dataset folder that name pictures which are not, or no longer, among its rows.
_REMEMBERED = ("splits.csv", "rejected.csv")


class CleaningError(UserError):
    """A run without out-of-fold predictions, or with some that are not of this dataset."""


class Cleaning(Settings):
    """What to clean.

    Attributes:
        dataset: Dataset folder or Hub id.
        image_column: Name of its image column; by default `image`, or the only one there is.
        label_column: Name of its label column; by default `label`, or the only one of class labels.
        corrections: The file that decisions go to; default: corrections.csv in the run's folder.
    """

    dataset: str
    image_column: str | None = None
    label_column: str | None = None
    corrections: Path | None = None


@dataclass(frozen=True)
class Doubts:
    """What is known about the labels of a dataset.

    Attributes:
        pictures: Train and validation.
        predictions: What models that had not learned from them say, in the order of `pictures`.
        issues: All of them, the most doubtful first.
        expected: How many labels are wrong by cleanlab's estimate.
        log: What people have decided.
    """

    pictures: Pool
    predictions: Predictions
    issues: list[LabelIssue]
    expected: int
    log: DecisionLog


def find_doubts(folder: Path, settings: Cleaning) -> Doubts:
    """Ranks train and validation by out-of-fold predictions and writes `label_issues.csv`; test has no part in it.

    Args:
        folder: What `cross-validate` wrote to.
        settings: Which dataset, and where decisions are kept.

    Raises:
        UserError: There are no such predictions (says which command makes them), they don't fit the dataset, or the
            decisions are not about it.
    """
    run = RunFolder(folder)
    if not run.out_of_fold.exists():
        recipe = str(run.recipe) if run.recipe.exists() else "RECIPE"
        raise CleaningError(
            f"{folder} has no out-of-fold predictions: make them with {_cross_validate(recipe, folder, settings)}"
        )
    answers = read_out_of_fold(run.out_of_fold)
    images = load_images(
        settings.dataset, image_column=settings.image_column, label_column=settings.label_column, validation=0
    )
    log = DecisionLog(settings.corrections or run.corrections, images.label_names)
    check_known(log, images)
    pictures = pool(images)
    predictions = in_order(
        answers, pictures, f"make them anew with {_cross_validate('RECIPE', Path('NEW_RUN'), settings)}"
    )
    issues = rank_label_issues(predictions, pictures.splits)
    write_label_issues(run.label_issues, issues)
    return Doubts(pictures, predictions, issues, expected_issues(predictions), log)


def in_order(answers: OutOfFold, pictures: Pool, advice: str) -> Predictions:
    """Returns the predictions of a pool's pictures, in its order.

    Raises:
        CleaningError: They are of other pictures, labels or splits; says how many, and ends with `advice`.
    """
    given, name = answers.predictions, pictures.images.name
    if given.label_names != pictures.images.label_names:
        raise CleaningError(
            f"the out-of-fold predictions are about {', '.join(given.label_names)}, and {name} has "
            f"{', '.join(pictures.images.label_names)}: {advice}"
        )
    row_of = {
        (sha256, split): row for row, (sha256, split) in enumerate(zip(given.sha256, answers.splits, strict=True))
    }
    keys = list(zip(pictures.sha256, pictures.splits, strict=True))
    missing = sum(key not in row_of for key in keys)
    gone = len(row_of.keys() - set(keys))
    labels = np.array(pictures.labels)
    changed = sum(
        key in row_of and given.labels[row_of[key]] != label for key, label in zip(keys, labels, strict=True)
    )
    if missing or gone or changed:
        raise CleaningError(
            f"the out-of-fold predictions are not of {name} as it is now ({missing} of its {len(keys)} pictures have "
            f"none, {changed} have another label there, {gone} are gone): {advice}"
        )
    order = [row_of[key] for key in keys]
    return Predictions(pictures.sha256, labels, given.logits[order], given.label_names)


def check_known(log: DecisionLog, images: LabelledImages) -> None:
    """Makes sure that decisions are about this dataset, whose folder also remembers pictures that have left it.

    Raises:
        CorrectionsError: Names the first picture that is unknown.
    """
    decided = log.current()
    known = {sha256 for rows in images.splits.values() if "sha256" in rows.column_names for sha256 in rows["sha256"]}
    if not decided or not known:
        return
    for name in _REMEMBERED:
        if (file := Path(images.name) / name).is_file():
            with file.open(newline="", encoding="utf-8") as lines:
                known |= {line["sha256"] for line in csv.DictReader(lines)}
    if unknown := [sha256 for sha256 in decided if sha256 not in known]:
        raise CorrectionsError(
            f"{log.path} decides about {len(unknown)} pictures that {images.name} does not know ({unknown[0][:12]}"
            f"{', ...' * (len(unknown) > 1)}): remove their lines, or choose another file with corrections=FILE"
        )


def open_cleaner(folder: Path, settings: Cleaning, doubts: Doubts) -> None:
    """Shows the pictures in the browser until Ctrl-C.

    Raises:
        CleaningError: The port that GRADIO_SERVER_PORT asks for is taken.
    """
    # Not before it is needed: without a browser nobody should wait for it.
    from train.cleaner.page import Cleaner, Showing, serve

    pictures = doubts.pictures
    review = Review(doubts.issues, pictures.groups, doubts.expected)
    images = pictures.images
    cleaner = Cleaner(
        title=images.title,
        dataset=settings.dataset,
        run=folder,
        label_names=images.label_names,
        review=review,
        showing=Showing(pictures, doubts.predictions, review),
        log=doubts.log,
    )
    serve(cleaner)


def summary(doubts: Doubts, path: Path) -> str:
    """Returns what `clean` prints: the most doubtful labels."""
    worst: Sequence[LabelIssue] = doubts.issues[:_SHOWN]
    width = max(map(len, [*doubts.predictions.label_names, "suggested"]))
    lines = [f"{'sha256':12}  {'split':10}  {'label':{width}}  {'suggested':{width}}  score"]
    lines += [f"{i.sha256[:12]}  {i.split:10}  {i.label:{width}}  {i.suggested:{width}}  {i.score:.3f}" for i in worst]
    lines.append(f"{path}: {len(doubts.issues)} pictures of train and validation, the most doubtful label first")
    agree = np.mean([issue.label == issue.suggested for issue in doubts.issues])
    lines.append(
        f"By cleanlab's estimate {doubts.expected} labels are wrong. It is as good as the models, which give "
        f"{agree:.1%} of the pictures the label that they have."
    )
    return "\n".join(lines)


def _cross_validate(recipe: str, folder: Path, settings: Cleaning) -> str:
    return shlex.join(
        ["python", "-m", "train", "cross-validate", recipe, f"dataset={settings.dataset}", f"output_dir={folder}"]
    )
