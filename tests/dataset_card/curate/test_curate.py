"""Decisions about a scan table, without a file: conflicts, copies, takedowns, groups, splits that stay."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dataset_card.curate import Curated, Options, curate
from dataset_card.curate.duplicates import HASH_BYTES, SAME_DISTANCE, SPLIT_DISTANCE
from dataset_card.curate.previous import Previous
from dataset_card.curate.splits import DRAWN, SplitPlan
from dataset_card.lists import Correction, Removed
from files.errors import UserError

CLOSE, LOOSE = SAME_DISTANCE - 4, SPLIT_DISTANCE - 4


def sha256(number: int) -> str:
    """Returns a name; smaller numbers come first."""
    return f"{number:016x}" + 48 * "0"


def look(seed: int, flipped: int = 0) -> bytes:
    """Returns hashes that are random, but for the same seed: then so many bits of each differ from `look(seed)`."""
    bits = np.random.default_rng(seed).integers(0, 2, (HASH_BYTES // 32, 256), np.uint8)
    bits[:, :flipped] ^= 1
    return np.packbits(bits, axis=1).tobytes()


def picture(number: int, label: str = "kathak", **values: object) -> dict[str, object]:
    """Returns a row of the scan table; pictures of different numbers look different."""
    row = {
        "file": f"{label}/{number}.jpg", "label": label, "given": "", "reason": "", "detail": "",
        "sha256": sha256(number), "pixels": f"{number}".encode(), "hashes": look(number),
        "width": 100, "height": 100,
        "format": "JPEG", "plain": True, "source": "", "source_url": "", "title": "", "author": "", "author_url": "",
        "license": "unknown", "license_url": "", "event": "", "retrieved_at": "", "sha1": "",
    }  # fmt: skip
    return row | values


def many() -> list[dict[str, object]]:
    """Ten different pictures each of kathak and odissi."""
    return [picture(100 + n, label) for n, label in enumerate(["kathak"] * 10 + ["odissi"] * 10)]


def decide(rows: list[dict[str, object]], **options: object) -> Curated:
    """Curates rows."""
    inputs = {
        "corrections": options.pop("corrections", []),
        "removed": options.pop("removed", Removed()),
        "previous": options.pop("previous", Previous()),
    }
    defaults = {"seed": 8, "plan": DRAWN, "only_redistributable": False, "min_per_class": None, "max_side": 1024}
    labels = sorted({str(row["label"]) for row in rows})
    table = pd.DataFrame(rows).astype({"file": object, "label": object})
    return curate(Path("photos"), table, labels, Options(**(defaults | {"min_side": 32} | options)), **inputs)


def rejected(curated: Curated) -> dict[str, tuple[str, str]]:
    return {row.file: (row.reason, row.detail) for row in curated.rejected.itertuples()}


def test_of_equal_pixels_one_is_kept_whatever_the_order() -> None:
    twins = [picture(1, pixels=b"same"), picture(2, pixels=b"same", hashes=look(1))]
    for rows in (twins, twins[::-1]):
        assert rejected(decide(rows + many())) == {"kathak/2.jpg": ("exact duplicate", "of 1.jpg")}


def test_of_equal_pixels_the_one_that_may_be_published_is_kept() -> None:
    twins = [picture(1, pixels=b"same"), picture(2, pixels=b"same", hashes=look(1), license="cc0-1.0")]
    assert list(rejected(decide(twins + many()))) == ["kathak/1.jpg"]
    # What was in a dataset before keeps its name, and with it its split.
    known = Previous(pd.DataFrame({"split": ["test"], "hashes": [b""]}, index=[twins[0]["sha256"]]))
    assert list(rejected(decide(twins + many(), previous=known))) == ["kathak/2.jpg"]


DISAGREEING = [picture(1), picture(2, "odissi", hashes=look(1, CLOSE)), picture(3, hashes=look(1, CLOSE // 2))]


class TestConflicts:
    def test_direct_neighbours_that_disagree_all_go(self) -> None:
        why = ("same picture under several labels", "kathak, odissi")
        assert rejected(decide(DISAGREEING + many())) == dict.fromkeys(
            ("kathak/1.jpg", "odissi/2.jpg", "kathak/3.jpg"), why
        )

    @pytest.mark.parametrize(
        ("kept", "gone"),
        [((1,), ["odissi/2.jpg"]), ((2,), ["kathak/1.jpg", "kathak/3.jpg"]), ((1, 2), ["kathak/3.jpg"])],
    )
    def test_a_decision_settles_it_and_two_speak_for_themselves(self, kept: tuple[int, ...], gone: list[str]) -> None:
        corrections = [Correction(sha256(number), "keep") for number in kept]
        assert list(rejected(decide(DISAGREEING + many(), corrections=corrections))) == gone

    def test_one_false_link_does_not_throw_out_two_chains(self) -> None:
        # Two chains of one class each, linked by a pair at a distance where unrelated pictures lie.
        kathak = [picture(n, hashes=look(1, 10 * n)) for n in range(3)]
        odissi = [picture(10 + n, "odissi", hashes=look(1, 20 + LOOSE + 10 * n)) for n in range(3)]
        curated = decide(kathak + odissi + many())
        assert rejected(curated) == {}
        groups = curated.rows.set_index("sha256")["group"]
        assert groups[[row["sha256"] for row in kathak + odissi]].nunique() == 1

    def test_equal_hashes_under_two_labels(self) -> None:
        rows = [picture(1), picture(2, "odissi", hashes=look(1))]
        assert len(rejected(decide(rows + many()))) == 2


def test_thousands_of_copies_do_not_multiply() -> None:
    copies = [picture(1000 + n, hashes=look(1)) for n in range(5000)]
    curated = decide(copies + many())
    assert curated.rows["near"].value_counts().max() == 5000


def test_a_correction_holds_for_exact_copies() -> None:
    rows = [picture(1), picture(2, "odissi", pixels=b"1", hashes=look(1)), picture(3), picture(4)]
    corrections = [
        Correction(sha256(1), "keep"), Correction(sha256(3), "relabel", "odissi"),
        Correction(sha256(4), "delete"), Correction("f" * 64, "delete"),
    ]  # fmt: skip
    curated = decide(rows + many(), corrections=corrections)
    labels = curated.rows.set_index("sha256")["label"]
    assert (labels[sha256(1)], labels[sha256(3)]) == ("kathak", "odissi")
    assert rejected(curated) == {
        "odissi/2.jpg": ("exact duplicate", "of 1.jpg"),
        "kathak/4.jpg": ("deleted by a correction", ""),
    }
    assert curated.corrected == 3
    assert curated.notes == [f"1 corrections name pictures that are not here ({'f' * 12}): they changed nothing"]


class TestTakedown:
    def test_direct_neighbours_go_and_chains_stay(self) -> None:
        rows = [picture(n, hashes=look(1, distance)) for n, distance in enumerate((0, CLOSE, CLOSE + LOOSE))]
        curated = decide(rows + many(), removed=Removed(frozenset({rows[0]["sha256"]})))
        assert list(curated.taken_down["file"]) == ["kathak/0.jpg", "kathak/1.jpg"]

    def test_a_picture_that_is_gone_is_known_by_its_hash(self) -> None:
        gone = pd.DataFrame({"split": [""], "hashes": [look(1)[:32]]}, index=["a" * 64])
        rows = [picture(1, hashes=look(1, CLOSE)), *many()]
        curated = decide(rows, removed=Removed(frozenset({"a" * 64})), previous=Previous(gone))
        assert list(curated.taken_down["file"]) == ["kathak/1.jpg"]


class TestGroups:
    def test_near_duplicates_and_events_join_through_each_other(self) -> None:
        event = {"author": "Ravi", "event": "2019"}
        rows = [
            picture(1), picture(2, hashes=look(1, LOOSE), **event), picture(3, **event), picture(4, author="Ravi"),
            picture(5, event="2019"), picture(6, "odissi", **event),
        ]  # fmt: skip
        random.Random(0).shuffle(rows)
        groups = decide(rows + many()).rows.set_index("sha256")["group"]
        assert groups[[sha256(n) for n in (1, 2, 3)]].nunique() == 1
        assert groups[[sha256(n) for n in (1, 4, 5, 6)]].nunique() == 4
        assert groups[sha256(3)] == sha256(1)[:16]


class TestSplitsThatStay:
    def test_what_links_train_and_test_leaves_the_train_side_out(self) -> None:
        rows = many()
        first = decide(rows)
        splits = first.rows.set_index("sha256")["split"]
        train = next(row for row in rows if splits[row["sha256"]] == "train" and row["label"] == "kathak")
        test = next(row for row in rows if splits[row["sha256"]] == "test" and row["label"] == "kathak")
        # Both resemble the newcomer, and not each other.
        between = np.frombuffer(train["hashes"], np.uint8).reshape(-1, 32).copy()
        between[:] = np.frombuffer(test["hashes"], np.uint8).reshape(-1, 32)
        new = picture(1, hashes=between.tobytes())
        linked = np.frombuffer(new["hashes"], np.uint8).copy()
        linked[0] ^= 0xFF
        train["hashes"] = linked.tobytes()
        known = Previous(first.rows.set_index("sha256")[["split", "hashes"]])
        curated = decide([*rows, new], previous=known)
        assert rejected(curated) == {
            train["file"]: ("shared with another split", "was in train, looks like a picture of test")
        }
        after = curated.rows.set_index("sha256")["split"]
        assert after[new["sha256"]] == "test"
        assert (after.drop(new["sha256"]) == splits[after.index.drop(new["sha256"])]).all()
        assert "1 pictures of the earlier dataset look like pictures of a later split" in curated.notes[0]

    def test_a_new_copy_of_what_is_gone_goes_where_that_was(self) -> None:
        rows = many()
        first = decide(rows).rows.set_index("sha256")
        for sha256, row in first.iterrows():
            left = [{**other} for other in rows if other["sha256"] != sha256]
            copy = picture(1, row["label"], hashes=row["hashes"])
            known = Previous(first[["split"]].assign(hashes=[hashes[:32] for hashes in first["hashes"]]))
            assert (
                decide([*left, copy], previous=known).rows.set_index("sha256")["split"][copy["sha256"]] == row["split"]
            )


def test_small_classes_can_be_left_out() -> None:
    rows = [*many(), picture(1, "sattriya"), picture(2, "sattriya"), picture(3, "sattriya", hashes=look(2))]
    with pytest.raises(UserError, match=r"but sattriya has 2: .* leave such classes out with --min-per-class"):
        decide(rows)
    rows = [*many(), picture(1, "sattriya"), picture(2, "sattriya"), picture(3, "sattriya", hashes=look(2))]
    curated = decide(rows, min_per_class=3)
    assert curated.label_names == ["kathak", "odissi"]
    assert set(rejected(curated).values()) == {("class too small", "fewer than 3 different pictures")}
    assert curated.notes == ["classes with fewer than 3 different pictures left out: sattriya 2"]
    with pytest.raises(UserError, match="0 class is left: a classifier needs two or more"):
        decide(many(), min_per_class=50)


@pytest.mark.parametrize(
    ("size", "options", "detail"),
    [
        ((28, 28), {}, "28 x 28 pixels, a side under 32"),
        ((3000, 40), {}, "3000 x 40 pixels, after scaling to 1024 a side under 32"),
        ((28, 28), {"min_side": 28}, None),
        ((3000, 40), {"max_side": 4000}, None),
    ],
)
def test_a_size_is_judged_as_published(size: tuple[int, int], options: dict[str, int], detail: str | None) -> None:
    rows = [picture(1, width=size[0], height=size[1]), *many()]
    assert rejected(decide(rows, **options)) == ({"kathak/1.jpg": ("too small", detail)} if detail else {})


def test_given_splits_keep_a_copy_each_and_their_leaks_are_reported() -> None:
    rows = [
        {**row, "given": split}
        for number, split in enumerate(("train", "validation", "test"))
        for row in [picture(20 * number + n, label) for n, label in enumerate(["kathak"] * 4 + ["odissi"] * 4)]
    ]
    rows.append(picture(99, pixels=b"40", hashes=look(40), given="train"))
    curated = decide([{**row} for row in rows], plan=SplitPlan(given=True))
    assert rejected(curated) == {}
    leak = next(pair for pair in curated.leaks if (pair.left, pair.right) == ("train", "test"))
    assert (leak.exact, leak.near, leak.closest) == (1, 1, 0)
    assert "train and test leak: 1 pictures of train are in test, too" in curated.notes[0]
    curated = decide(rows, plan=SplitPlan(given=True, move_leaks=True))
    assert rejected(curated) == {"kathak/99.jpg": ("shared with another split", "in train, its group is in test, too")}
    assert curated.notes == []
