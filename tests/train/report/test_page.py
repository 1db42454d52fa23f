import io
from pathlib import Path

import numpy as np
from PIL import Image

from model_folder.reference_features import Nearest
from model_folder.reference_pictures import ReferencePicture
from tests.judged import some_rows
from train.report.page import find_neighbours

NEAREST = Nearest(np.array([[0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5]]), np.array([[3, 1, 0, 2], [1, 2, 4, 0]]))


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 20)).save(file, "JPEG")
    return file.getvalue()


def _learned(names: list[str], jpeg: bytes | None) -> list[ReferencePicture]:
    return [ReferencePicture("odissi", name, "cc-by-4.0", "Asha", "https://a.example", jpeg) for name in names]


def test_the_dataset_shows_what_it_has_and_each_is_there_once(dataset_folder: Path) -> None:
    rows, _ = some_rows(dataset_folder)
    found = find_neighbours([0, 1], NEAREST, _learned(rows["sha256"][:5], None), rows)
    assert found.nearest == {0: [(0, 0.1), (1, 0.2), (2, 0.3)], 1: [(1, 0.2), (3, 0.3), (4, 0.4)]}
    assert len(found.pictures) == 5
    assert all(neighbour.image.startswith("data:image/webp;base64,") for neighbour in found.pictures)
    # Whose they are is what the dataset says.
    assert [credit.author for credit in found.credits] == ["Nritya"] * 5
    assert found.credits[0].sha256 == rows["sha256"][3]


def test_without_the_dataset_the_models_own_copies_are_shown(dataset_folder: Path) -> None:
    rows, _ = some_rows(dataset_folder)
    found = find_neighbours([0], NEAREST, _learned(["0" * 64] * 5, _jpeg()), rows)
    first = found.pictures[0]
    assert first.image.startswith("data:image/jpeg;base64,")
    assert (first.label, first.credit, first.url) == ("odissi", "Asha, cc-by-4.0", "https://a.example")
    assert all(credit.may_be_passed_on for credit in found.credits)


def test_what_is_not_at_hand_has_label_and_distance() -> None:
    found = find_neighbours([1], NEAREST, _learned(["0" * 64] * 5, None), None)
    assert [place for place, _ in found.nearest[1]] == [0, 1, 2]
    assert {(neighbour.label, neighbour.image) for neighbour in found.pictures} == {("odissi", "")}
    assert found.credits == []


def test_a_model_without_a_reference_has_none() -> None:
    assert find_neighbours([0], None, [], None).nearest == {}
    assert find_neighbours([0], NEAREST, [], None).nearest == {}
