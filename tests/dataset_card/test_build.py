import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Image, load_dataset
from huggingface_hub import DatasetCard
from PIL import Image as PilImage

from dataset_card.build import build
from dataset_card.write.card import size_category
from files.errors import UserError
from tests.dataset_card.conftest import write_lines

Cli = Callable[..., tuple[int, str, str]]

DANCES = [
    "bharatanatyam", "kathak", "kathakali", "kuchipudi", "manipuri", "mohiniyattam", "odissi", "sattriya",
]  # fmt: skip


def test_the_folder_reads_back_as_a_dataset(dataset_folder: Path) -> None:
    dances = load_dataset(str(dataset_folder))
    assert list(dances) == ["train", "validation", "test"]
    features = dances["train"].features
    assert list(features) == [
        "image", "label", "sha256", "group", "license", "license_url", "title", "author", "author_url", "source",
        "source_url", "retrieved_at", "sha1",
    ]  # fmt: skip
    assert isinstance(features["image"], Image)
    assert features["label"] == ClassLabel(names=DANCES)
    assert sum(len(rows) for rows in dances.values()) == 64
    for rows in dances.values():
        assert set(rows["label"]) == set(range(8))
    row = dances["train"][0]
    assert row["image"].mode == "RGB"
    assert (row["license"], row["author"]) == ("cc0-1.0", "Nritya")


def test_it_streams(dataset_folder: Path) -> None:
    stream = load_dataset(str(dataset_folder), split="test", streaming=True)
    assert stream.features["label"].names == DANCES
    assert next(iter(stream))["image"].size[0] >= 32


def test_no_group_is_on_two_sides(dataset_folder: Path) -> None:
    dances = load_dataset(str(dataset_folder))
    groups = [set(rows["group"]) for rows in dances.values()]
    assert all(groups)
    assert len(set.union(*groups)) == sum(map(len, groups))


def test_the_card_counts_and_calls_drawings_drawings(dataset_folder: Path) -> None:
    card = DatasetCard.load(dataset_folder / "README.md")
    assert card.data.license == "cc0-1.0"
    assert card.data.task_categories == ["image-classification"]
    assert "drawings" in card.data.tags
    assert card.data.configs[0]["data_files"][1] == {"split": "validation", "path": "data/validation-*"}
    assert "These are drawings, not photographs" in card.text
    rows = [line for line in card.text.splitlines() if line.startswith("| odissi |")]
    assert rows == ["| odissi | 6 | 1 | 1 | 8 |"]
    assert (dataset_folder / "figures" / "contact_sheet.jpg").stat().st_size > 10_000


def test_the_snippet_of_the_card_runs(dataset_folder: Path) -> None:
    text = DatasetCard.load(dataset_folder / "README.md").text
    snippet = text.split("```python\n")[1].split("```")[0]
    exec(snippet.replace("PATH_OR_HUB_ID", str(dataset_folder)), {})


def test_same_pictures_same_bytes(photos: Path, dataset_folder: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed"
    for number, file in enumerate(sorted(photos.rglob("*.jpg"), reverse=True)):
        (renamed / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, renamed / file.parent.name / f"{number}.jpg")
    build(renamed, tmp_path / "again", seed=8)
    parts = sorted(dataset_folder.glob("data/*.parquet"))
    assert len(parts) == 3
    for part in parts:
        again, first = pq.read_table(tmp_path / "again" / "data" / part.name), pq.read_table(part)
        # Provenance went with the file names; the pictures and their order did not.
        for column in ("image", "label", "sha256", "group"):
            assert again[column] == first[column]


def test_unusable_files_are_listed_with_a_reason(photos: Path, tmp_path: Path) -> None:
    ugly = shutil.copytree(photos, tmp_path / "ugly")
    first = sorted(ugly.glob("odissi/*.jpg"))[0]
    (ugly / "odissi" / "empty.jpg").touch()
    (ugly / "odissi" / "notes.txt").write_text("not a picture")
    (ugly / "odissi" / "cut.jpg").write_bytes(first.read_bytes()[:3000])
    shutil.copy(first, ugly / "odissi" / "again.jpg")
    (ugly / "odissi" / ".DS_Store").write_text("hidden")
    report = build(ugly, tmp_path / "out", seed=8)
    with (tmp_path / "out" / "rejected.csv").open() as file:
        lines = {line["file"]: line["reason"] for line in csv.DictReader(file)}
    again = {"odissi/again.jpg", first.relative_to(ugly).as_posix()} & set(lines)
    assert len(again) == 1
    assert {file: lines[file] for file in lines if file not in again} == {
        "odissi/cut.jpg": "damaged or truncated",
        "odissi/empty.jpg": "empty file",
        "odissi/notes.txt": "not an image",
    }
    assert len(report.curated.rows) == 64
    assert "| damaged or truncated | 1 |" in (tmp_path / "out" / "README.md").read_text()


def test_an_earlier_dataset_is_replaced_and_nothing_is_left_behind(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "out", seed=8)
    (tmp_path / "out" / "data" / "stale.parquet").touch()
    # It does not tell a dataset folder from others.
    (tmp_path / "out" / "rejected.csv").unlink()
    build(photos, tmp_path / "out", seed=9)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "LICENSE.md", "README.md", "classes.json", "data", "figures", "rejected.csv", "splits.csv",
    ]  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.scan.parquet", "out"]


def test_a_rebuilt_folder_is_not_read_from_the_cache_of_the_former(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "out", seed=8)
    before = load_dataset(str(tmp_path / "out"), split="test")["sha256"]
    relabelled = shutil.copytree(photos, tmp_path / "relabelled")
    moved = next(iter(sorted((relabelled / "odissi").iterdir())))
    moved.rename(relabelled / "kathak" / "moved.jpg")
    build(relabelled, tmp_path / "out", seed=8)
    after = load_dataset(str(tmp_path / "out"))
    labels = [label for rows in after.values() for label in rows["label"]]
    assert (labels.count(1), labels.count(6)) == (9, 7)
    assert len(before) == 8


def test_a_licence_that_changed_is_read_anew(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "out", seed=8)
    assert set(load_dataset(str(tmp_path / "out"), split="test")["license"]) == {"cc0-1.0"}
    withdrawn = shutil.copytree(photos, tmp_path / "withdrawn")
    (withdrawn / "provenance.jsonl").unlink()
    build(withdrawn, tmp_path / "out", seed=8)
    assert set(load_dataset(str(tmp_path / "out"), split="test")["license"]) == {"unknown"}


def test_copies_that_look_the_same_stay_on_one_side(photos: Path, tmp_path: Path) -> None:
    doubled = shutil.copytree(photos, tmp_path / "doubled")
    for file in sorted(photos.rglob("*.jpg")):
        with PilImage.open(file) as image:
            image.resize((image.width // 2, image.height // 2)).save(doubled / file.parent.name / f"small-{file.name}")
    build(doubled, tmp_path / "out", seed=8)
    side: dict[str, set[str]] = {}
    for split, rows in load_dataset(str(tmp_path / "out")).items():
        for group in rows["group"]:
            side.setdefault(group, set()).add(split)
    assert len(side) <= 64
    assert all(len(splits) == 1 for splits in side.values())
    text = (tmp_path / "out" / "README.md").read_text()
    assert "64 groups, the largest of 2; 64 of them hold 128 near-duplicates" in text


def test_files_in_no_class_folder_and_odd_names_are_listed(photos: Path, tmp_path: Path) -> None:
    ugly = shutil.copytree(photos, tmp_path / "ugly")
    shutil.copy(next(iter(photos.glob("odissi/*.jpg"))), ugly / "loose.jpg")
    (ugly / "odissi" / os.fsdecode(b"caf\xe9.jpg")).touch()
    build(ugly, tmp_path / "out", seed=8)
    with (tmp_path / "out" / "rejected.csv").open(encoding="utf-8") as file:
        lines = {line["file"]: line["reason"] for line in csv.DictReader(file)}
    assert lines == {"loose.jpg": "in no class folder", "odissi/caf\\udce9.jpg": "empty file"}


def test_a_failure_leaves_the_earlier_dataset(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(photos, tmp_path / "out", seed=8)
    before = (tmp_path / "out" / "README.md").read_bytes()
    monkeypatch.setattr("dataset_card.build.write_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(photos, tmp_path / "out", seed=9)
    assert (tmp_path / "out" / "README.md").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.scan.parquet", "out"]


@pytest.mark.parametrize("name", [".DS_Store", ".gitattributes", ".cache/huggingface/download/a.lock", "Thumbs.db"])
def test_what_systems_and_the_hubs_client_leave_hinders_no_build(pile: Path, tmp_path: Path, name: str) -> None:
    build(pile, tmp_path / "out")
    (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "out" / name).touch()
    build(pile, tmp_path / "out")


def test_a_clone_with_its_history_is_not_replaced(pile: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    build(pile, tmp_path / "out")
    (tmp_path / "out" / ".git").mkdir()
    assert "holds more than this command makes" in refused("dataset_card", "build", pile, "--out", tmp_path / "out")


def test_provenance_that_names_no_file_is_told(pile: Path, tmp_path: Path) -> None:
    write_lines(pile / "provenance.jsonl", [{"file": f"{label}/0.jpg"} for label in ("kathak", "katak", "odisi")])
    notes = build(pile, tmp_path / "out").notes
    assert notes == ["2 lines of provenance.jsonl name no file: katak/0.jpg, odisi/0.jpg"]


def test_what_is_saved_anew_is_told(pile: Path, save_image: Callable[..., Path], tmp_path: Path, cli: Cli) -> None:
    save_image("photos/kathak/large.png", 99, size=(1500, 700))
    _, out, _ = cli("dataset_card", "build", pile, "--out", tmp_path / "out")
    assert (
        "note: 1 PNG files were saved anew as JPEG (larger than 1024 pixels, transparent, or not plain RGB); "
        "--format keep saves them without loss"
    ) in out
    card = " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert (
        "1 pictures were saved anew (larger, turned, with metadata, or not plain RGB), as JPEG of quality 92" in card
    )
    _, out, _ = cli("dataset_card", "build", pile, "--out", tmp_path / "out", "--format", "keep")
    assert "saved anew" not in out
    kinds = {row["image"].format for row in load_dataset(str(tmp_path / "out"), split="train")} | {"PNG"}
    assert kinds == {"JPEG", "PNG"}


def test_small_pictures_make_a_dataset_when_asked(save_image: Callable[..., Path], tmp_path: Path) -> None:
    for seed in range(10):
        save_image(f"photos/{seed % 2}/{seed}.png", seed, size=(28, 28))
    with pytest.raises(UserError, match=r"no usable picture in 0, 1 .*too small"):
        build(tmp_path / "photos", tmp_path / "out")
    assert len(build(tmp_path / "photos", tmp_path / "out", min_side=28).curated.rows) == 10


def test_long_and_thin_pictures_are_not_published(pile: Path, save_image: Callable[..., Path], tmp_path: Path) -> None:
    save_image("photos/kathak/thin.jpg", 99, size=(3000, 40))
    rejected = build(pile, tmp_path / "out").curated.rejected
    assert list(rejected["detail"]) == ["3000 x 40 pixels, after scaling to 1024 a side under 32"]


def test_the_card_tells_datasets_what_is_inside(pile: Path, tmp_path: Path) -> None:
    build(pile, tmp_path / "out")
    card = DatasetCard.load(tmp_path / "out" / "README.md").data
    assert [(split["name"], split["num_examples"]) for split in card.dataset_info["splits"]] == [
        ("train", 14), ("validation", 4), ("test", 2),
    ]  # fmt: skip
    assert (card.language, card.annotations_creators, card.source_datasets) == (["en"], None, ["original"])
    assert load_dataset(str(tmp_path / "out"))["train"].features["label"].names == ["kathak", "odissi"]


@pytest.mark.parametrize(("count", "size"), [(999, "n<1K"), (1000, "1K<n<10K"), (2_000_000, "1M<n<10M")])
def test_the_hubs_words_for_sizes(count: int, size: str) -> None:
    assert size_category(count) == size


class TestBadInput:
    def test_a_path_that_datasets_takes_for_a_pattern(self, refused: Callable[..., str], pile: Path) -> None:
        for name in ("dances [v2]", "dances*", "[a]/dances"):
            message = refused("dataset_card", "build", pile, "--out", pile.parent / name)
            assert "use a folder whose path has none of * ? [ ::" in message
            assert not (pile.parent / name).exists()

    def test_missing_folder(self, refused: Callable[..., str], tmp_path: Path) -> None:
        message = refused("dataset_card", "build", tmp_path / "nowhere", "--out", tmp_path / "out")
        assert "nowhere is not a folder: give one that has a sub-folder of pictures per class" in message

    def test_no_sub_folders(self, refused: Callable[..., str], save_image: Callable[..., Path]) -> None:
        photos = save_image("photos/a.png").parent
        message = refused("dataset_card", "build", photos, "--out", photos.parent / "out")
        assert "has no sub-folders: put the pictures of each class into a sub-folder" in message

    def test_one_class(self, refused: Callable[..., str], save_image: Callable[..., Path]) -> None:
        photos = save_image("photos/kathak/a.png").parents[1]
        message = refused("dataset_card", "build", photos, "--out", photos.parent / "out")
        assert "one sub-folder only (kathak): a classifier needs two classes or more" in message

    def test_a_class_with_a_single_picture(self, refused: Callable[..., str], save_image: Callable[..., Path]) -> None:
        for seed in range(5):
            save_image(f"photos/kathak/{seed}.png", seed)
        photos = save_image("photos/odissi/a.png", seed=9).parents[1]
        message = refused("dataset_card", "build", photos, "--out", photos.parent / "out")
        assert (
            "odissi has 1: add pictures, remove the class, or leave such classes out with --min-per-class" in message
        )
        assert not (photos.parent / "out").exists()

    def test_a_class_without_a_usable_picture(
        self, refused: Callable[..., str], save_image: Callable[..., Path]
    ) -> None:
        photos = save_image("photos/kathak/a.png").parents[1]
        (photos / "odissi").mkdir()
        (photos / "odissi" / "a.jpg").touch()
        message = refused("dataset_card", "build", photos, "--out", photos.parent / "out")
        assert "no usable picture in odissi (a.jpg: empty file)" in message

    @pytest.mark.parametrize("out", ["photos/out", "photos", "."])
    def test_folders_that_lie_in_each_other(
        self, refused: Callable[..., str], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
    ) -> None:
        shutil.copytree(photos, tmp_path / "photos")
        monkeypatch.chdir(tmp_path)
        assert "lie one inside the other" in refused("dataset_card", "build", "photos", "--out", out)
        assert len(list((tmp_path / "photos").rglob("*.jpg"))) == 64

    def test_photographs_inside_an_earlier_dataset(
        self, refused: Callable[..., str], photos: Path, tmp_path: Path
    ) -> None:
        build(photos, tmp_path / "project", seed=8)
        shutil.copytree(photos, tmp_path / "project" / "photos")
        for inside in (tmp_path / "project" / "photos", photos):
            refused("dataset_card", "build", inside, "--out", tmp_path / "project")
        assert len(list((tmp_path / "project" / "photos").rglob("*.jpg"))) == 64

    @pytest.mark.parametrize(
        ("out", "why"),
        [
            ("file/out", "file is a file, and not a folder: choose another path"),
            ("/proc/nowhere/out", "can't be written"),
        ],
    )
    def test_a_place_that_can_not_be_written(
        self, refused: Callable[..., str], photos: Path, tmp_path: Path, out: str, why: str
    ) -> None:
        (tmp_path / "file").touch()
        message = refused("dataset_card", "build", photos, "--out", tmp_path / out)
        assert why in message

    def test_an_output_folder_with_something_else(
        self, refused: Callable[..., str], photos: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "thesis.txt").write_text("years of work")
        message = refused("dataset_card", "build", photos, "--out", tmp_path)
        assert "holds more than this command makes: choose another or remove it" in message
        assert (tmp_path / "thesis.txt").read_text() == "years of work"
