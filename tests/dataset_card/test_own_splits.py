import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import load_dataset
from PIL import Image

from dataset_card.check import check
from dataset_card.curate.splits import parse_ratios
from files.errors import UserError
from tests.dataset_card.conftest import read_rows, splits_of, write_lines

Cli = Callable[..., tuple[int, str, str]]
Refused = Callable[..., str]


def _counts(dataset: Path) -> Counter[tuple[str, str]]:
    return Counter((row["label"], row["split"]) for row in read_rows(dataset))


def _leaks(dataset: Path) -> set[str]:
    return {result.name for result in check(str(dataset)).results["leaks"] if result.verdict == "FOUND"}


@pytest.fixture
def split_pile(save_image: Callable[..., Path], tmp_path: Path) -> Path:
    """Two classes in folders of splits: 12 pictures of each in train, four in valid, four in test."""
    seed = 0
    for split, count in (("train", 12), ("valid", 4), ("test", 4)):
        for label in ("kathak", "odissi"):
            for number in range(count):
                save_image(f"photos/{split}/{label}/{number}.jpg", seed := seed + 1)
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0.7,0.2,0.2", r"these sum to 1\.1, not to 1"),
        ("0.7,0.3", r"these are not 3 numbers from 0 to 1"),
        ("80,10,10", r"these are not 3 numbers from 0 to 1"),
        ("nan,0.5,0.5", r"these are not 3 numbers from 0 to 1"),
        ("most,some,few", r"these are no numbers"),
        ("0.8,0,0.2", r"train and validation can't be empty"),
    ],
)
def test_ratios_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(UserError, match=f"--ratios {text}: {why}.*such as 0.7,0.15,0.15"):
        parse_ratios(text)


def test_ratios_are_shares() -> None:
    assert parse_ratios("0.33,0.33,0.34") == {"train": 0.33, "validation": 0.33, "test": 0.34}
    assert parse_ratios("0.85,0.15,0") == {"train": 0.85, "validation": 0.15}


def test_a_dataset_without_a_test_split(pile: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "out"
    code, said, _ = cli("dataset_card", "build", pile, "--out", out, "--ratios", "0.8,0.2,0")
    assert code == 0
    assert "there is no test split" in said
    assert _counts(out) == {
        (label, split): count for label in ("kathak", "odissi") for split, count in (("train", 8), ("validation", 2))
    }
    assert list(load_dataset(str(out))) == ["train", "validation"]
    card = (out / "README.md").read_text()
    assert "80 % train, 20 % validation within every class" in card
    assert "**There is no test split.**" in card
    assert "leaves every picture\nof validation in validation" in card
    splits = check(str(out)).results["structure"][0]
    assert (splits.verdict, splits.what) == ("NOTE", "train 16, validation 4: no test")
    assert "judge models by cross-validation" in splits.advice


def test_a_later_build_keeps_to_the_ratios(pile: Path, tmp_path: Path, cli: Cli, refused: Refused) -> None:
    out = tmp_path / "out"
    assert cli("dataset_card", "build", pile, "--out", out, "--ratios", "0.8,0.2,0")[0] == 0
    before = splits_of(out)
    assert cli("dataset_card", "build", pile, "--out", out)[0] == 0
    assert splits_of(out) == before
    elsewhere = tmp_path / "elsewhere"
    assert cli("dataset_card", "build", pile, "--out", elsewhere, "--keep-splits", out)[0] == 0
    assert splits_of(elsewhere) == before
    # Told otherwise, it draws a test split from what is new; here nothing is, and every class needs one.
    assert cli("dataset_card", "build", pile, "--out", out, "--ratios", "0.7,0.15,0.15")[0] == 0
    assert set(splits_of(out).values()) == {"train", "validation", "test"}
    said = refused("dataset_card", "build", pile, "--out", out, "--ratios", "0.8,0.2,0")
    assert "the earlier dataset has a test split, and --ratios leaves none" in said
    assert cli("dataset_card", "build", pile, "--out", out, "--ratios", "0.8,0.2,0", "--seed", "9")[0] == 0
    assert set(splits_of(out).values()) == {"train", "validation"}


def test_folders_say_the_splits(split_pile: Path, tmp_path: Path, cli: Cli) -> None:
    # Any usual spelling, and provenance by the path below PHOTOS.
    (split_pile / "test" / "kathak").rename(split_pile / "test" / "Kathak dance")
    write_lines(
        split_pile / "provenance.jsonl",
        [
            {
                "file": "test/odissi/0.jpg",
                "license": "cc0-1.0",
                "author": "A. Person",
                "source_url": "https://a.example",
            }
        ],
    )
    out = tmp_path / "out"
    code, said, _ = cli("dataset_card", "build", split_pile, "--out", out, "--splits", "folders")
    assert code == 0
    assert " leak: " not in said
    assert _counts(out) == {
        (label, split): count
        for label in ("kathak", "odissi")
        for split, count in (("train", 12), ("validation", 4), ("test", 4))
    }
    assert {row["split"] for row in read_rows(out) if row["author"] == "A. Person"} == {"test"}
    card = (out / "README.md").read_text()
    assert "As the pictures came: whoever gave them had split them." in card
    assert "| train – test | 0 | 0 | 0 |" in card
    assert _leaks(out) == set()


def test_validation_is_drawn_where_no_folder_gives_it(split_pile: Path, tmp_path: Path, cli: Cli) -> None:
    shutil.rmtree(split_pile / "valid")
    out = tmp_path / "out"
    assert cli("dataset_card", "build", split_pile, "--out", out, "--splits", "folders")[0] == 0
    assert _counts(out) == {
        (label, split): count
        for label in ("kathak", "odissi")
        for split, count in (("train", 10), ("validation", 2), ("test", 4))
    }
    assert "but for validation, which was drawn from their train" in (out / "README.md").read_text()


def test_leaks_between_given_splits_are_reported_and_left_out(split_pile: Path, tmp_path: Path, cli: Cli) -> None:
    shutil.copy(split_pile / "test" / "kathak" / "0.jpg", split_pile / "train" / "kathak" / "copy.jpg")
    with Image.open(split_pile / "test" / "odissi" / "1.jpg") as picture:
        picture.resize((192, 160)).save(split_pile / "valid" / "odissi" / "larger.jpg")
    out = tmp_path / "out"
    build = ("dataset_card", "build", split_pile, "--out", out, "--splits", "folders")
    code, said, _ = cli(*build)
    assert code == 0
    assert "train and test leak: 1 pictures of train are in test, too, 1 look like one there" in said
    assert "validation and test leak: 0 pictures of validation are in test, too, 1 look like one there" in said
    assert "| train – test | 1 | 1 | 0 |" in (out / "README.md").read_text()
    assert len(read_rows(out)) == 42
    assert _leaks(out) == {"same pixels", "look-alikes", "groups"}

    code, said, _ = cli(*build, "--move-leaks")
    assert code == 0
    assert " leak: " not in said
    assert "left out, shared with another split: 2" in said
    with (out / "rejected.csv").open() as file:
        gone = {line["file"]: line["detail"] for line in csv.DictReader(file)}
    assert gone == {
        "train/kathak/copy.jpg": "in train, its group is in test, too",
        "valid/odissi/larger.jpg": "in validation, its group is in test, too",
    }
    assert Counter(row["split"] for row in read_rows(out)) == {"train": 24, "validation": 8, "test": 8}
    assert _leaks(out) == set()


def test_a_class_that_one_split_alone_has(split_pile: Path, tmp_path: Path, refused: Refused) -> None:
    shutil.copytree(split_pile / "test" / "odissi", split_pile / "test" / "sattriya")
    said = refused("dataset_card", "build", split_pile, "--out", tmp_path / "out", "--splits", "folders")
    assert "every split needs usable pictures of every class, but sattriya is in test only" in said
    # Pictures that are none do not help.
    for split in ("train", "valid"):
        (split_pile / split / "sattriya").mkdir()
        (split_pile / split / "sattriya" / "empty.jpg").touch()
    for file in (split_pile / "test" / "sattriya").iterdir():
        file.write_bytes(b"")
    shutil.copy(split_pile / "train" / "odissi" / "0.jpg", split_pile / "train" / "sattriya" / "0.jpg")
    (split_pile / "train" / "odissi" / "0.jpg").unlink()
    said = refused("dataset_card", "build", split_pile, "--out", tmp_path / "out", "--splits", "folders")
    assert "sattriya is in train only" in said
    assert not (tmp_path / "out").exists()


def test_folders_that_are_no_splits(split_pile: Path, pile: Path, tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "out"
    # `pile` and `split_pile` lie in one folder.
    said = refused("dataset_card", "build", pile, "--out", out, "--splits", "folders")
    assert "has the sub-folder kathak, which is no split: with --splits folders they are called train" in said
    for label in ("kathak", "odissi"):
        shutil.rmtree(pile / label)
    said = refused("dataset_card", "build", split_pile, "--out", out)
    assert "has the sub-folders test, train, valid, which are splits, not classes: add --splits folders" in said
    shutil.copytree(split_pile / "valid", split_pile / "val")
    said = refused("dataset_card", "build", split_pile, "--out", out, "--splits", "folders")
    assert "val and valid mean the same split: join them" in said
    for split in ("train", "val"):
        shutil.rmtree(split_pile / split)
    said = refused("dataset_card", "build", split_pile, "--out", out, "--splits", "folders")
    assert "has no sub-folder train" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--splits", "folders", "--ratios", "0.7,0.15,0.15"), "leave --ratios away"),
        (("--splits", "folders", "--keep-splits", "user/dances"), "leave --keep-splits away"),
        (("--move-leaks",), "--move-leaks is for splits that folders give"),
    ],
)
def test_options_that_do_not_go_together(
    words: tuple[str, ...], why: str, pile: Path, tmp_path: Path, refused: Refused
) -> None:
    assert why in refused("dataset_card", "build", pile, "--out", tmp_path / "out", *words)
