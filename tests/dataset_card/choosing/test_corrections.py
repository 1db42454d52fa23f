from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_card.curate.lists import Correction, CorrectionsError, apply_corrections, read_corrections
from dataset_card.reading.images import Photo, inspect_photo

LABELS = ["kathak", "odissi"]
A, B = "a" * 64, "b" * 64


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "corrections.csv"
    path.write_text(text)
    return path


def test_the_last_decision_about_a_picture_counts(tmp_path: Path) -> None:
    text = f"sha256,action,label,when\n{A},delete,,1\n{B},relabel,odissi,2\n{A},keep,,3\n"
    assert read_corrections(_file(tmp_path, text), LABELS) == [
        Correction(A, "keep"),
        Correction(B, "relabel", "odissi"),
    ]


def test_a_label_beside_another_action_means_nothing(tmp_path: Path) -> None:
    assert read_corrections(_file(tmp_path, f"sha256,action,label\n{A},keep,tango\n"), LABELS) == [
        Correction(A, "keep")
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("abc,keep,", "line 2: 'abc' is no sha256 of 64 hex digits"),
        (f"{A},burn,", "line 2: 'burn' is no action: use keep, delete or relabel"),
        (f"{A},relabel,tango", "line 2: 'tango' is none of the classes: use one of kathak, odissi"),
        (f"{A},relabel,", "line 2: '' is none of the classes"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(CorrectionsError, match=message):
        read_corrections(_file(tmp_path, f"sha256,action,label\n{line}\n"), LABELS)


def test_a_decision_holds_for_exact_copies(save_image: Callable[..., Path]) -> None:
    def look(name: str, label: str, seed: int) -> Photo:
        return inspect_photo(save_image(name, seed), label, 1024)

    photos = [
        look("a.png", "kathak", 0),
        look("b.bmp", "odissi", 0),
        look("c.png", "kathak", 1),
        look("d.png", "kathak", 2),
    ]
    corrected = apply_corrections(
        photos,
        [Correction(photos[0].sha256, "keep"), Correction(photos[2].sha256, "relabel", "odissi"),
         Correction(photos[3].sha256, "delete"), Correction(A, "delete")],
    )  # fmt: skip
    assert [(photo.path.name, photo.label) for photo in corrected.photos] == [
        ("a.png", "kathak"), ("b.bmp", "kathak"), ("c.png", "odissi"),
    ]  # fmt: skip
    assert [r.path.name for r in corrected.deleted] == ["d.png"]
    assert corrected.confirmed == {photo.sha256 for photo in photos[:3]}
    assert (corrected.done, corrected.unknown) == (3, [A])
