"""The story of `train clean`: doubtful labels of train and validation are listed, and a person decides about them."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files.errors import UserError
from train.cleaner.decisions import CorrectionsError, DecisionLog
from train.cleaner.label_issues import LabelIssue, expected_issues, rank_label_issues, write_label_issues
from train.cleaner.review import Review
from train.data import LabelledImages, load_images
from train.folds import Pool, pool
from train.predictions import FOLDS, NotJudgedError, Predictions, fit_to, read_predictions
from train.recipe import Settings, cross_validate_command
from train.run_folder import RunFolder

_LISTED = 10
# Files of a dataset folder that name pictures which are not, or no longer, among its rows.
_REMEMBERED = ("splits.csv", "rejected.csv")


class CleaningError(UserError):
    """A run without out-of-fold predictions, or with some on other classes."""


class Cleaning(Settings):
    """What to clean.

    Attributes:
        dataset: Dataset folder or Hub id.
        corrections: The file that decisions go to; default: corrections.csv in the run's folder.
        image_column: Name of its image column; by default `image`, or the only one there is.
        label_column: Name of its label column; by default `label`, or the only one of class labels.
    """

    dataset: str
    corrections: Path | None = None
    image_column: str | None = None
    label_column: str | None = None


@dataclass(frozen=True)
class Doubts:
    """What is known about the labels of a dataset.

    Attributes:
        pictures: Train and validation.
        predictions: Out-of-fold answers, in the order of `pictures`.
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
    recipe = run.recipe if run.recipe.exists() else None
    try:
        predictions = read_predictions(run.out_of_fold, FOLDS)
    except NotJudgedError:
        command = cross_validate_command(recipe, folder, settings.dataset)
        raise CleaningError(f"{folder} has no out-of-fold predictions: make them with {command}") from None
    images = load_images(
        settings.dataset, image_column=settings.image_column, label_column=settings.label_column, validation=0
    )
    log = DecisionLog(settings.corrections or run.corrections, images.label_names)
    check_known(log, images)
    pictures = pool(images)
    command = cross_validate_command(recipe, Path("NEW_RUN"), settings.dataset)
    predictions = in_order(predictions, pictures, f"make them anew with {command}")
    issues = rank_label_issues(predictions)
    write_label_issues(run.label_issues, issues)
    return Doubts(pictures, predictions, issues, expected_issues(predictions), log)


def in_order(predictions: Predictions, pictures: Pool, remedy: str) -> Predictions:
    """Returns out-of-fold answers to a pool's pictures, in its order.

    Raises:
        CleaningError: They are about other classes; ends with `remedy`.
        PredictionsError: They are of other pictures or labels; says how many.
    """
    names, images = predictions.label_names, pictures.images
    if names != images.label_names:
        raise CleaningError(
            f"the out-of-fold predictions are about {', '.join(names)}, and {images.name} has "
            f"{', '.join(images.label_names)}: {remedy}"
        )
    return fit_to(
        predictions,
        pictures.sha256,
        [names[label] for label in pictures.labels],
        f"the out-of-fold predictions and {images.name} as it is now",
        remedy,
        pictures.splits,
        pictures.groups,
    )


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
            f"{', ...' * (len(unknown) > 1)}): choose another file with corrections=FILE"
        )


def open_cleaner(folder: Path, settings: Cleaning, doubts: Doubts) -> None:
    """Shows the pictures in the browser until Ctrl-C.

    Raises:
        CleaningError: The port that GRADIO_SERVER_PORT asks for is taken.
    """
    # Not before it is needed: without a browser nobody should wait for it.
    from train.cleaner.page import Cleaner, Rendering, serve

    pictures = doubts.pictures
    review = Review(doubts.issues, pictures.groups, doubts.expected)
    cleaner = Cleaner(
        title=pictures.images.title,
        dataset=settings.dataset,
        run=folder,
        label_names=pictures.images.label_names,
        review=review,
        rendering=Rendering(pictures, doubts.predictions, review),
        log=doubts.log,
    )
    serve(cleaner)


def summary(doubts: Doubts, path: Path) -> str:
    """Returns what `clean` prints: the most doubtful labels."""
    width = max(map(len, [*doubts.predictions.label_names, "suggested"]))
    lines = [f"{'sha256':12}  {'split':10}  {'label':{width}}  {'suggested':{width}}  score"]
    lines += [
        f"{issue.sha256[:12]}  {issue.split:10}  {issue.label:{width}}  {issue.suggested:{width}}  {issue.score:.3f}"
        for issue in doubts.issues[:_LISTED]
    ]
    lines.append(f"{path}: {len(doubts.issues)} pictures of train and validation, the most doubtful label first")
    lines.append(
        f"By cleanlab's estimate {doubts.expected} labels are wrong. It is as good as the models, which give "
        f"{np.mean(doubts.predictions.right):.1%} of the pictures the label that they have."
    )
    return "\n".join(lines)
