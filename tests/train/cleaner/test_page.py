from pathlib import Path

import pytest

from tests.conftest import write_doubts
from train.clean import Cleaning, find_doubts
from train.cleaner.page import Cleaner, Rendering
from train.cleaner.review import Review


@pytest.fixture
def cleaner(dataset_folder: Path, tmp_path: Path) -> Cleaner:
    """The page's content, of a run whose models doubt every seventh picture."""
    write_doubts(dataset_folder, tmp_path / "run")
    doubts = find_doubts(tmp_path / "run", Cleaning(dataset=str(dataset_folder)))
    pictures, review = doubts.pictures, Review(doubts.issues, doubts.pictures.groups, doubts.expected)
    rendering = Rendering(pictures, doubts.predictions, review)
    names = pictures.images.label_names
    return Cleaner("Dances", str(dataset_folder), tmp_path / "run", names, review, rendering, doubts.log)


def test_the_most_doubtful_picture_comes_first_and_what_is_decided_about_it_is_on_disk(cleaner: Cleaner) -> None:
    everything = ("all", "all", "all", "undecided")
    current, progress, picture, verdict, *_ = cleaner.go("begin", "", *everything)
    first = cleaner.review.issues[0]
    assert current == first.sha256
    assert "data:image/jpeg;base64," in picture
    assert first.suggested in verdict
    assert "The most doubtful come first." in progress
    after, progress, *_ = cleaner.decide("suggest", "", current, *everything)
    assert after == cleaner.review.issues[1].sha256
    assert f"{first.sha256[:12]}, {first.label}: relabel as {first.suggested}" in progress
    assert cleaner.log.lines()[0].label == first.suggested
    # Another page still shows the first picture as undecided.
    _, progress, *_ = cleaner.decide("delete", "", current, *everything)
    assert "was decided elsewhere meanwhile: nothing was changed." in progress
    assert cleaner.undo(after, *everything)[0] == first.sha256
    assert cleaner.log.lines() == []


def test_an_end_names_the_file_of_decisions(cleaner: Cleaner) -> None:
    end = cleaner.go("begin", "", "all", "all", "all", "decided")
    assert end[0] == ""
    assert str(cleaner.log.path) in end[2]
    assert "these filters leave" in end[2]
