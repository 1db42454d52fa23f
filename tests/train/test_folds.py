from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.conftest import grouped_pictures
from train.data import load_images
from train.folds import FoldsError, make_folds, make_folds_by, pool, thin
from train.splits import TooFewPicturesError

NAMES = ["kathak", "odissi", "sattriya"]
LABELS, GROUPS = [0, 1, 2] * 20, [f"g{number // 2}" for number in range(60)]
SOURCES = ["commons"] * 20 + ["flickr"] * 31 + ["bing"] * 9


@pytest.mark.parametrize(("groups", "folds"), [(30, 5), (12, 10), (3, 3), (4, 2)])
def test_every_picture_is_held_out_once_and_no_group_parts(groups: int, folds: int) -> None:
    labels, group_of = grouped_pictures(groups)
    dealt = make_folds(labels, group_of, NAMES, folds, seed=8)
    assert len(dealt) == folds
    assert sorted(index for fold in dealt for index in fold.held_out) == list(range(len(labels)))
    for fold in dealt:
        parts = (fold.train, fold.validation, fold.held_out)
        assert sorted(index for part in parts for index in part) == list(range(len(labels)))
        assert sum(len({group_of[index] for index in part}) for part in parts) == len(set(group_of))
        for part in (fold.train, fold.validation):
            assert {labels[index] for index in part} == {0, 1, 2}


def test_the_seed_decides() -> None:
    labels, groups = grouped_pictures(30)
    assert make_folds(labels, groups, NAMES, 5, seed=8) == make_folds(labels, groups, NAMES, 5, seed=8)
    assert make_folds(labels, groups, NAMES, 5, seed=8) != make_folds(labels, groups, NAMES, 5, seed=9)


def test_folds_are_stratified() -> None:
    labels, groups = grouped_pictures(40, largest=1)
    for fold in make_folds(labels, groups, NAMES, 5, seed=8):
        assert [sum(labels[index] == label for index in fold.held_out) for label in range(3)] == [8, 8, 8]


def test_fewer_groups_than_folds() -> None:
    labels, groups = grouped_pictures(4)
    labels, groups = [*labels, 0, 0], [*groups, "0-0", "0-1"]
    with pytest.raises(FoldsError, match=r"folds=5 needs at least 5 different pictures.* kathak has 4, odissi has 4"):
        make_folds(labels, groups, NAMES, 5, seed=8)


def test_one_picture_of_a_class() -> None:
    labels, groups = grouped_pictures(9)
    with pytest.raises(FoldsError, match=r"but tango has 1: add pictures, or lower folds"):
        make_folds([*labels, 3], [*groups, "3-0"], [*NAMES, "tango"], 3, seed=8)


def test_a_class_that_can_not_be_learned_and_validated_too() -> None:
    with pytest.raises(TooFewPicturesError, match="kathak has too few different pictures to learn from"):
        make_folds([0, 0, 1, 1], list("abcd"), ["kathak", "odissi"], 2, seed=8)


class TestFoldsByColumn:
    """One source is left out at a time."""

    def test_each_value_is_held_out_once_and_no_group_parts(self) -> None:
        folds = make_folds_by("source", SOURCES, LABELS, GROUPS, NAMES, seed=8)
        assert [fold.value for fold in folds] == ["bing", "commons", "flickr"]
        for fold in folds:
            learned = [*fold.train, *fold.validation]
            assert {SOURCES[index] for index in fold.held_out} == {fold.value}
            assert fold.held_out == [index for index, source in enumerate(SOURCES) if source == fold.value]
            assert {LABELS[index] for index in fold.train} == {0, 1, 2}
            kept, held_out = ({GROUPS[index] for index in part} for part in (learned, fold.held_out))
            assert not kept & held_out
            # A picture of another source that is like one of these is left out, and nothing else.
            others = {index for index, source in enumerate(SOURCES) if source != fold.value}
            assert others - {*learned} == {index for index in others if GROUPS[index] in held_out}
        assert sum(len(fold.train) + len(fold.validation) for fold in folds) == 2 * 60 - 2

    def test_pictures_without_a_value(self) -> None:
        with pytest.raises(FoldsError, match=r"folds=source: 2 of 60 pictures have no source: fill it in, or remove"):
            make_folds_by("source", ["", "", *SOURCES[2:]], LABELS, GROUPS, NAMES, seed=8)

    @pytest.mark.parametrize(
        ("values", "found"),
        [(["commons"] * 60, r"1 \(commons\)"), ([f"a{n}" for n in range(60)], r"60 \(a0, a1, a10, ")],
    )
    def test_too_few_or_too_many_values(self, values: list[str], found: str) -> None:
        with pytest.raises(
            FoldsError, match=rf"trains a model per author, and there are {found}.*with 2 to 20 values"
        ):
            make_folds_by("author", values, LABELS, GROUPS, NAMES, seed=8)

    def test_two_sources_with_the_same_pictures(self) -> None:
        with pytest.raises(FoldsError, match="without a: every other picture is like one of a's"):
            make_folds_by("source", ["a", "a", "b", "b"], [0, 1, 0, 1], ["g", "h", "g", "h"], NAMES[:2], seed=8)

    def test_a_class_of_one_source(self) -> None:
        labels = [0 if source == "bing" else 1 for source in SOURCES]
        with pytest.raises(FoldsError, match=r"folds=source, without bing: kathak has too few different pictures"):
            make_folds_by("source", SOURCES, labels, GROUPS, NAMES[:2], seed=8)


def test_a_part_of_a_fold_is_a_share_of_every_class_and_within_the_larger_part() -> None:
    labels = [0] * 60 + [1] * 30 + [2] * 20
    groups = [f"g{number // 2}" for number in range(110)]
    [fold, *_] = make_folds(labels, groups, ["a", "b", "c"], 5, 8)
    quarter, half = (thin(fold, fraction, labels, groups, 8) for fraction in (0.25, 0.5))
    assert set(quarter.train) < set(half.train) < set(fold.train)
    assert (half.validation, half.held_out) == (fold.validation, fold.held_out)
    assert thin(fold, 1.0, labels, groups, 8) == fold
    for part, fraction in ((quarter, 0.25), (half, 0.5)):
        for number in range(3):
            of = {groups[index] for index in part.train if labels[index] == number}
            whole = {groups[index] for index in fold.train if labels[index] == number}
            assert len(of) == max(1, round(fraction * len(whole)))
        # Groups stay whole.
        kept = {groups[index] for index in part.train}
        assert part.train == [index for index in fold.train if groups[index] in kept]
    assert len({labels[index] for index in thin(fold, 0.01, labels, groups, 8).train}) == 3


def test_a_picture_without_a_group_is_alone_in_a_pool(dataset_folder: Path) -> None:
    images = load_images(str(dataset_folder))
    splits = {
        name: rows.remove_columns("group").add_column("group", [None, "one", "one", *[None] * (len(rows) - 3)])
        for name, rows in images.splits.items()
    }
    pictures = pool(replace(images, splits=splits))
    count = len(pictures.rows)
    assert len(set(pictures.groups)) == count - 3
    folds = make_folds(pictures.labels, pictures.groups, images.label_names, 3, seed=8)
    assert sorted(index for fold in folds for index in fold.held_out) == list(range(count))
    bare = {name: rows.remove_columns("group") for name, rows in splits.items()}
    assert pool(replace(images, splits=bare)).groups == pictures.sha256
    alone = pool(replace(images, splits={"test": splits["test"]}))
    assert set(alone.splits) == {"test"}
