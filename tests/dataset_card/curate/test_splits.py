import random
from collections import Counter

import pytest

from dataset_card.curate.splits import assign_splits
from files.errors import UserError


def _pictures(per_dance: int, group_size: int = 1) -> tuple[list[str], list[str]]:
    labels = [dance for dance in ("kathak", "odissi") for _ in range(per_dance)]
    groups = [f"{dance}-{i // group_size}" for dance in ("kathak", "odissi") for i in range(per_dance)]
    return labels, groups


@pytest.mark.parametrize(("per_dance", "expected"), [(100, (70, 15, 15)), (20, (14, 3, 3)), (3, (1, 1, 1))])
def test_quotas_hold_within_every_dance(per_dance: int, expected: tuple[int, int, int]) -> None:
    labels, groups = _pictures(per_dance)
    counts = Counter(zip(labels, assign_splits(labels, groups, seed=8), strict=True))
    for dance in ("kathak", "odissi"):
        assert tuple(counts[dance, split] for split in ("train", "validation", "test")) == expected


@pytest.mark.parametrize("sizes", [[58, 1, 1], [20, 20, 10, 5, 5], [30] + [1] * 30])
def test_unequal_groups_leave_most_pictures_to_train(sizes: list[int]) -> None:
    groups = [f"{number}" for number, size in enumerate(sizes) for _ in range(size)]
    for seed in range(50):
        splits = assign_splits(["kathak"] * 60, groups, seed)
        assert set(splits) == {"train", "validation", "test"}
        assert splits.count("train") >= min(max(sizes), 36)


def test_groups_never_part() -> None:
    labels, groups = _pictures(60, group_size=4)
    splits = assign_splits(labels, groups, seed=8)
    assert len(set(zip(groups, splits, strict=True))) == len(set(groups))


def test_a_group_across_dances_never_parts() -> None:
    labels, groups = _pictures(20)
    groups[0] = groups[25] = "both"
    splits = assign_splits(labels, groups, seed=8)
    assert splits[0] == splits[25]


def test_neither_order_nor_chance_matters_but_the_seed_does() -> None:
    labels, groups = _pictures(50)
    splits = dict(zip(groups, assign_splits(labels, groups, seed=8), strict=True))
    order = list(range(100))
    random.Random(1).shuffle(order)
    again = assign_splits([labels[i] for i in order], [groups[i] for i in order], seed=8)
    assert dict(zip([groups[i] for i in order], again, strict=True)) == splits
    assert dict(zip(groups, assign_splits(labels, groups, seed=9), strict=True)) != splits


def test_too_few_groups_are_counted_and_named() -> None:
    labels, groups = _pictures(10)
    labels.append("sattriya")
    groups.append("alone")
    with pytest.raises(UserError, match=r"at least 3 different pictures .* but sattriya has 1"):
        assign_splits(labels, groups, seed=8)


@pytest.mark.parametrize("seed", range(20))
def test_growth_never_moves_a_picture_from_test(seed: int) -> None:
    rng = random.Random(seed)
    labels, groups = _pictures(30, group_size=2)
    splits = assign_splits(labels, groups, seed)
    for _ in range(3):
        # Half of the new pictures join a group, some join two groups into one.
        new = [(rng.choice(("kathak", "odissi")), f"new-{seed}-{rng.random()}") for _ in range(20)]
        labels = labels + [label for label, _ in new]
        groups = groups + [
            rng.choice([g for g in groups if g.startswith(label)]) if rng.random() < 0.5 else f"{label}-{name}"
            for label, name in new
        ]
        one, other = rng.sample(sorted({g for g in groups if g.startswith("kathak")}), 2)
        groups = [one if group == other else group for group in groups]
        before = [*splits, *[None] * 20]
        splits = assign_splits(labels, groups, seed, before)
        assert len(set(zip(groups, splits, strict=True))) == len(set(groups))
        for old, now in zip(before, splits, strict=True):
            assert (
                old is None
                or now == old
                or (old, now) in {("train", "test"), ("train", "validation"), ("validation", "test")}
            )
        counts = Counter(splits)
        assert counts["train"] / len(splits) == pytest.approx(0.7, abs=0.1)


def test_what_was_assigned_stays_whatever_the_seed_says() -> None:
    labels, groups = _pictures(20)
    previous = assign_splits(labels, groups, seed=1)
    assert assign_splits(labels, groups, seed=2, previous=previous) == previous


def test_a_new_class_beside_old_ones_fills_every_split() -> None:
    labels, groups = _pictures(20)
    previous = [*assign_splits(labels[:20], groups[:20], seed=8), *[None] * 20]
    splits = assign_splits(labels, groups, seed=8, previous=previous)
    assert splits[:20] == previous[:20]
    assert Counter(splits[20:]) == {"train": 14, "validation": 3, "test": 3}


def test_groups_that_all_join_into_test_are_an_error() -> None:
    previous = ["train", "validation", "test", "test", "test"]
    with pytest.raises(UserError, match=r"join what kathak had in several splits, and none is left for train"):
        assign_splits(["kathak"] * 5, ["a", "b", "a", "c", "d"], seed=8, previous=previous)
