from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from tests.train.conftest import grouped_pictures
from train.data import load_images
from train.splits import DatasetError, TooFewPicturesError, hold_out

NAMES = ClassLabel(names=["kathak", "odissi"])


def _save(folder: Path, columns: dict[str, tuple[Any, Any]], splits: tuple[str, ...] = ("train",)) -> str:
    """Writes parquet files; `columns` gives the feature and the values of each."""
    rows = Dataset.from_dict(
        {name: values for name, (_, values) in columns.items()},
        features=Features({name: feature for name, (feature, _) in columns.items()}),
    )
    folder.mkdir(exist_ok=True)
    for split in splits:
        rows.to_parquet(folder / f"{split}.parquet")
    if splits != ("train",):
        # As the Hub's own files have it: `datasets` would guess from the files' names.
        files = "".join(f"\n  - split: {split}\n    path: {split}.parquet" for split in splits)
        (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:{files}\n---\n")
    return str(folder)


def _images(count: int = 4) -> tuple[Any, Any]:
    return Image(), [np.full((40, 40, 3), number, np.uint8) for number in range(count)]


LABELS = NAMES, [0, 1, 0, 1]
TEXT = Value("string"), ["odissi", "kathak", "odissi", None]


def test_columns_are_found_by_their_type(tmp_path: Path) -> None:
    images = load_images(_save(tmp_path, {"img": _images(), "dance": LABELS}), validation=0)
    assert images.label_names == ["kathak", "odissi"]
    assert images.split("train")[1]["label"] == 1
    assert images.split("train").features["image"] == Image(decode=False)
    assert not images.drawings


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {"text": TEXT, "label": LABELS},
            {},
            r"one image column, or image_column=NAME: it has text \(string\)",
        ),
        ({"image": _images(), "name": TEXT}, {}, r"or label_column=NAME: it has image \(Image\), name \(string\)"),
        ({"image": _images(), "a": LABELS, "b": LABELS}, {}, r"label_column=NAME: it has image \(Image\), a \(Class"),
        ({"image": _images(), "only": (ClassLabel(names=["a"]), [0] * 4)}, {}, r"one class only \(a\)"),
        ({"image": _images(), "label": LABELS}, {"image_column": "label"}, "image_column=label is no image column of"),
        ({"image": _images(), "label": LABELS}, {"label_column": "dance"}, "label_column=dance is no column of class"),
        (
            {"image": _images(), "age": (Value("float32"), [1.0] * 4)},
            {"label_column": "age"},
            r"label_column=age is no column of class labels, text or integers of .*: it has image \(Image\), age",
        ),
    ],
)
def test_columns_that_are_missing_are_named(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, str], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        load_images(_save(tmp_path, columns), validation=0, **options)


def test_columns_may_be_named(tmp_path: Path) -> None:
    columns = {"image": _images(), "crop": _images(), "label": LABELS, "dance": (NAMES, [1, 1, 0, 0])}
    name = _save(tmp_path, columns)
    assert load_images(name, validation=0).split("train")["label"] == [0, 1, 0, 1]
    rows = load_images(name, image_column="crop", label_column="dance", validation=0).split("train")
    assert rows["label"] == [1, 1, 0, 0]
    assert sorted(rows.column_names) == ["image", "label"]


def test_text_and_whole_numbers_become_class_labels(tmp_path: Path) -> None:
    columns = {"image": _images(), "dance": TEXT, "year": (Value("int32"), [2001, 10, 9, 10])}
    name = _save(tmp_path, columns, ("train", "test"))
    images = load_images(name, label_column="year", validation=0)
    assert images.label_names == ["9", "10", "2001"]
    assert images.split("test")["label"] == [2, 1, 0, 1]
    with pytest.raises(DatasetError, match=r"1 of 4 rows of .*, train, have no label: remove them"):
        load_images(name, label_column="dance", validation=0).split("train")


def test_a_column_of_too_many_values_is_no_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.splits._MOST_CLASSES", 3)
    columns = {"image": _images(), "id": (Value("string"), list("abcd"))}
    with pytest.raises(DatasetError, match=r"label_column=id of .* has 4 different values, more than 3: choose"):
        load_images(_save(tmp_path, columns), label_column="id", validation=0)


@pytest.mark.parametrize(
    ("splits", "options", "names"),
    [
        (("train", "valid", "test"), {}, ["train", "validation", "test"]),
        (("training", "dev"), {}, ["train", "validation"]),
        (("train", "validation", "val"), {}, ["train", "validation", "val"]),
        (("test",), {"validation": 0.25}, ["train", "validation"]),
        (("everything",), {"validation": 0.25}, ["train", "validation"]),
        (("test",), {"validation": 0}, ["test"]),
    ],
)
def test_splits_get_their_usual_names(
    tmp_path: Path, splits: tuple[str, ...], options: dict[str, float], names: list[str]
) -> None:
    assert list(load_images(_save(tmp_path, {"image": _images(), "label": LABELS}, splits), **options).splits) == names


def _splits(folder: Path, save_image: Callable[..., Path], *files: str) -> dict[str, list[str]]:
    """Loads a folder of photographs; gives the class of each picture by split."""
    for number, file in enumerate(files):
        save_image(f"dances/{file}", seed=number)
    images = load_images(str(folder / "dances"), validation=0)
    return {name: [images.label_names[label] for label in rows["label"]] for name, rows in images.splits.items()}


def test_a_folder_of_photographs_by_class(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    # For `datasets`, "train" or "dev" in a name decides what is loaded at all.
    files = ["kathak/1.jpg", "kathak/my-train-ride.JPG", "odissi/latest-dev/3.tiff", "odissi/4.webp", "cover.png"]
    (tmp_path / "dances" / "odissi" / ".thumbnails").mkdir(parents=True)
    (tmp_path / "dances" / "odissi" / ".thumbnails" / "1.jpg").touch()
    (tmp_path / "dances" / "notes.csv").write_text("a,b\n1,2\n")
    assert _splits(tmp_path, save_image, *files) == {"train": ["kathak", "kathak", "odissi", "odissi"]}


def test_a_folder_of_photographs_by_split_and_class(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    files = ["Train/kathak/1.jpg", "Train/odissi/2.jpg", "val/kathak/3.jpg", "val/odissi/4.jpg", "test/odissi/5.jpg"]
    splits = {"train": ["kathak", "odissi"], "validation": ["kathak", "odissi"], "test": ["odissi"]}
    assert _splits(tmp_path, save_image, *files) == splits
    with pytest.raises(DatasetError, match=r"folders of splits \(Train, test, val\) beside others \(extra\): move"):
        _splits(tmp_path, save_image, "extra/kathak/1.jpg")


def test_classes_may_be_called_like_splits(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    assert _splits(tmp_path, save_image, "test/1.jpg", "train/2.jpg") == {"train": ["test", "train"]}


def test_photographs_in_no_folder_of_a_class(tmp_path: Path, save_image: Callable[..., Path]) -> None:
    with pytest.raises(DatasetError, match=r"has photographs in no folder of a class: sort them"):
        _splits(tmp_path, save_image, "1.jpg", "2.jpg")


@pytest.mark.parametrize(("per_class", "largest", "share"), [(40, 1, 0.15), (100, 5, 0.15), (2, 3, 0.5), (6, 4, 0.2)])
def test_whole_groups_of_every_class_are_held_out(per_class: int, largest: int, share: float) -> None:
    labels, groups = grouped_pictures(per_class, largest)
    kept, held_out = hold_out(labels, groups, list("abc"), share, seed=8)
    assert sorted(kept + held_out) == list(range(len(labels)))
    assert not {groups[index] for index in kept} & {groups[index] for index in held_out}
    sizes = Counter(labels)
    held_sizes = Counter(labels[index] for index in held_out)
    for label in range(3):
        assert 0 < held_sizes[label] < sizes[label]
        assert abs(held_sizes[label] - share * sizes[label]) <= largest / 2 + 0.5
    assert (kept, held_out) == hold_out(labels, groups, list("abc"), share, seed=8)
    assert per_class == 2 or (kept, held_out) != hold_out(labels, groups, list("abc"), share, seed=9)


def test_a_class_of_large_groups_is_held_out_all_the_same() -> None:
    labels, groups = [0] * 20 + [1] * 20, ["a"] * 10 + ["b"] * 10 + [f"{number}" for number in range(20)]
    _, held_out = hold_out(labels, groups, ["kathak", "odissi"], 0.1, seed=8)
    assert Counter(labels[index] for index in held_out) == {0: 10, 1: 2}


def test_a_class_of_one_group_is_named() -> None:
    with pytest.raises(TooFewPicturesError, match=r"^odissi has too few different pictures to learn from"):
        hold_out([0, 0, 1, 1], ["a", "b", "c", "c"], ["kathak", "odissi"], 0.5, seed=8)
