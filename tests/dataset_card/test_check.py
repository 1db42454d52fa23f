import io
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_card.build import build
from dataset_card.check import CheckReport, check, table
from dataset_card.checks.card import read_class_table
from dataset_card.licenses import why_not_publish
from dataset_card.write.card import size_category
from tests.conftest import ROOT, restamp

Rows = list[dict[str, Any]]
Cli = Callable[..., tuple[int, str, str]]


def _draw(photos: Path, classes: list[str], count: int = 8, size: tuple[int, int] = (240, 200)) -> Path:
    """Fills a folder with pictures of random blocks, all different, whose licence asks for nothing."""
    seeds = itertools.count()
    for label in classes:
        (photos / label).mkdir(parents=True)
        for number in range(count):
            blocks = np.random.default_rng(next(seeds)).integers(0, 190, (8, 8, 3), np.uint8)
            picture = Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)
            picture.save(photos / label / f"{label}-{number:03d}.jpg")
    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*.jpg"))]
    (photos / "provenance.jsonl").write_text("".join(f'{{"file": "{n}", "license": "cc0-1.0"}}\n' for n in names))
    return photos


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder of two dances, without a fault."""
    folder = tmp_path_factory.mktemp("pair")
    build(_draw(folder / "photos", ["kathak", "odissi"]), folder / "pair", seed=8)
    return folder / "pair"


@pytest.fixture
def copy(pair: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pair, tmp_path / "pair")


def _ended(dataset: CheckReport | Path, verdict: str = "FOUND") -> set[str]:
    report = dataset if isinstance(dataset, CheckReport) else check(str(dataset))
    return {f"{kind}: {result.name}" for kind, result in report.ended(verdict)}


def _text(report: CheckReport) -> str:
    """Returns what is printed, without line breaks and columns."""
    return " ".join(table(report).split())


def _rewrite(folder: Path, change: Callable[[dict[str, Rows]], object]) -> None:
    """Changes the rows of a dataset folder, by split, and brings its card's word on the content up to date."""
    paths = {path.name.split("-")[0]: path for path in (folder / "data").glob("*.parquet")}
    tables = {split: pq.read_table(path) for split, path in paths.items()}
    rows = {split: table.to_pylist() for split, table in tables.items()}
    change(rows)
    for split, path in paths.items():
        pq.write_table(pa.Table.from_pylist(rows[split], schema=tables[split].schema), path)
    restamp(folder)


def _edit_card(folder: Path, old: str, new: str) -> None:
    card = folder / "README.md"
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new))


def _again(
    row: dict[str, Any], change: Callable[[Image.Image], Image.Image] = lambda image: image, **options: Any
) -> None:
    """Encodes a row's picture anew, changed."""
    target = io.BytesIO()
    with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
        # Without the options, only the changed pixels are kept.
        fresh = change(Image.frombytes("RGB", image.size, image.convert("RGB").tobytes()))
    fresh.save(target, **({"format": "JPEG", "quality": 92} | options))
    row["image"]["bytes"] = target.getvalue()


def _exif(**tags: int) -> Image.Exif:
    exif = Image.Exif()
    for name, value in tags.items():
        exif[{"orientation": 0x0112, "width": 0x0100}[name]] = value
    return exif


def _first(rows: dict[str, Rows], split: str, label: int = 0) -> dict[str, Any]:
    return next(row for row in rows[split] if row["label"] == label)


def _damage(rows: dict[str, Rows]) -> None:
    image = rows["train"][3]["image"]
    image["bytes"] = image["bytes"][: len(image["bytes"]) // 2]


def _lose_the_picture(rows: dict[str, Rows]) -> None:
    rows["train"][3]["image"] = None


def _replace_by_text(rows: dict[str, Rows]) -> None:
    rows["train"][3]["image"]["bytes"] = b"<html>404</html>"


def _enlarge(rows: dict[str, Rows]) -> None:
    """Writes another size into the header of a PNG: such a file is refused before it is decoded."""
    _again(rows["train"][3], format="PNG")
    content = rows["train"][3]["image"]["bytes"]
    header = b"IHDR" + (20_000).to_bytes(4) * 2 + content[24:29]
    rows["train"][3]["image"]["bytes"] = content[:12] + header + zlib.crc32(header).to_bytes(4) + content[33:]


def _turn(rows: dict[str, Rows]) -> None:
    _again(rows["train"][3], exif=_exif(orientation=6))


def _leave_exif(rows: dict[str, Rows]) -> None:
    _again(rows["train"][3], exif=_exif(width=640))


def _append(rows: dict[str, Rows]) -> None:
    rows["train"][3]["image"]["bytes"] += b"a second file"


def _unlabel(rows: dict[str, Rows]) -> None:
    rows["train"][3]["label"] = -1


def _mislabel(rows: dict[str, Rows]) -> None:
    rows["train"][3]["label"] = 2


def _name_twice(rows: dict[str, Rows]) -> None:
    rows["train"][3]["sha256"] = rows["train"][4]["sha256"]


def _name_wrongly(rows: dict[str, Rows]) -> None:
    rows["train"][3]["sha256"] = "kathak-003.jpg"


def _empty_a_class(rows: dict[str, Rows]) -> None:
    for row in rows["test"]:
        row["label"] = 0


def _leak_exactly(rows: dict[str, Rows]) -> None:
    # Other bytes, same pixels.
    _first(rows, "test")["image"] = dict(_first(rows, "train")["image"])
    for split in ("test", "train"):
        _again(_first(rows, split), format="PNG", compress_level=1 if split == "test" else 2)


def _leak(change: Callable[[Image.Image], Image.Image]) -> Callable[[dict[str, Rows]], None]:
    def leak(rows: dict[str, Rows]) -> None:
        _first(rows, "test")["image"] = dict(_first(rows, "train")["image"])
        _again(_first(rows, "test"), change)

    return leak


_leak_scaled = _leak(lambda image: image.resize((image.width // 2, image.height // 2)))
_leak_mirrored = _leak(lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
_leak_cropped = _leak(lambda image: image.crop((24, 20, image.width - 24, image.height - 20)))
_leak_mirrored_crop = _leak(
    lambda image: image.crop((24, 0, image.width, image.height)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
)


def _divide_a_group(rows: dict[str, Rows]) -> None:
    rows["test"][0]["group"] = rows["train"][0]["group"]


def _label_twice(rows: dict[str, Rows]) -> None:
    _first(rows, "train", 1)["image"] = _first(rows, "train", 0)["image"]


def _lose_a_licence(rows: dict[str, Rows]) -> None:
    rows["train"][3]["license"] = "unknown"


def _forbid_changes(rows: dict[str, Rows]) -> None:
    rows["train"][3] |= {"license": "cc-by-nd-4.0", "source_url": "https://example.org/3"}


def _ask_for_a_page(rows: dict[str, Rows]) -> None:
    rows["train"][3] |= {"license": "cc-by-4.0", "author": "Anna", "source_url": ""}


def _ask_for_a_name(rows: dict[str, Rows]) -> None:
    rows["train"][3] |= {"license": "cc-by-4.0", "author": "", "source_url": "https://example.org/3"}


@pytest.mark.parametrize(
    ("plant", "found", "named"),
    [
        (_damage, {"pictures: decoding"}, "train row 3 (SHA): damaged or truncated"),
        (_lose_the_picture, {"pictures: decoding"}, "train row 3 (SHA): no picture"),
        (_replace_by_text, {"pictures: decoding"}, "train row 3 (SHA): not an image"),
        (_enlarge, {"pictures: size"}, "train row 3 (SHA): too large (more than 100,000,000 pixels)"),
        (_turn, {"pictures: orientation", "privacy: metadata"}, "EXIF tag is not read: train row 3 (SHA)"),
        (_leave_exif, {"privacy: metadata"}, "EXIF 1: train row 3 (SHA): EXIF"),
        (_append, {"privacy: metadata"}, "trailing data 1: train row 3 (SHA): trailing data"),
        (_unlabel, {"structure: labels"}, "train row 3 (SHA): no label"),
        (_mislabel, {"structure: labels"}, "train row 3 (SHA): label 2, but there are 2 classes"),
        (_name_twice, {"structure: sha256"}, "= train row 4"),
        (_name_wrongly, {"structure: sha256"}, "train row 3 (SHA) has kathak-003.jpg"),
        (_empty_a_class, {"balance: missing"}, "no odissi in test"),
        (_leak_exactly, {"leaks: same pixels"}, "test row"),
        (_leak_scaled, {"leaks: look-alikes"}, "~ train row"),
        (_leak_mirrored, {"leaks: look-alikes"}, "~ train row"),
        (_leak_cropped, {"leaks: look-alikes"}, "~ train row"),
        (_leak_mirrored_crop, {"leaks: look-alikes"}, "~ train row"),
        (_divide_a_group, {"leaks: groups"}, "train row 0"),
        (_label_twice, {"leaks: two labels"}, "(kathak, odissi)"),
        (_lose_a_licence, {"licences: licence", "licences: in the card"}, "train row 3 (SHA): licence unknown"),
        (_forbid_changes, {"licences: licence", "licences: in the card"}, "train row 3 (SHA): licence cc-by-nd-4.0"),
        (_ask_for_a_name, {"licences: attribution", "licences: in the card"}, "train row 3 (SHA): cc-by-4.0 without"),
        (_ask_for_a_page, {"licences: attribution", "licences: in the card"}, "train row 3 (SHA): cc-by-4.0 without"),
    ],
)  # fmt: skip
def test_a_fault_in_the_data_is_found_and_nothing_else(
    copy: Path, plant: Callable[[dict[str, Rows]], None], found: set[str], named: str
) -> None:
    _rewrite(copy, plant)
    report = check(str(copy))
    assert _ended(report) == found
    sha256 = pq.read_table(next(copy.glob("data/train-*")))["sha256"][3].as_py()
    assert named.replace("SHA", sha256[:12]) in _text(report)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("size_categories:\n- n<1K", "size_categories: 10K<n<100K", {"card: size"}),
        ("num_examples: 12", "num_examples: 13", {"card: counts"}),
        ("'1': odissi", "'1': kathakali", {"card: class names"}),
        ("'0': kathak\n          '1': odissi", "'0': odissi\n          '1': kathak", {"card: class names"}),
        # What `dataset_info` says is not read from our Markdown again.
        ("| kathak | 6 |", "| kathak | 7 |", set()),
        ("figures/contact_sheet.jpg", "figures/sheet.jpg", {"card: links"}),
        ("license: cc0-1.0", "license: mit", {"licences: in the card"}),
        ("license: cc0-1.0", "license: [cc0-1.0, mit]", {"licences: in the card"}),
        ("path: data/validation-*", "path: data/valid-*", {"card: data files"}),
        ("path: data/test-*", "path: data/test.parquet", {"card: data files"}),
    ],
)
def test_a_fault_in_the_card_is_found_and_nothing_else(copy: Path, old: str, new: str, found: set[str]) -> None:
    _edit_card(copy, old, new)
    assert _ended(copy) == found


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("| kathak | 6 |", "| kathak | 7 |", "counts: kathak, train: 7, but there are 6"),
        ("| **16** |\n", "| **17** |\n", "counts: all, all: 17, but there are 16"),
        ("| kathak |", "| kathakali |", "class names: kathak in the data only; kathakali in the card only"),
        ("num_examples: 12", "num_examples: 13", "counts: all, train: 13, but there are 12"),
    ],
)
def test_the_table_of_classes_of_other_cards_is_compared(copy: Path, old: str, new: str, found: str) -> None:
    _edit_card(copy, "- nritya\n", "- dance\n")
    _edit_card(copy, old, new)
    results = check(str(copy)).ended("FOUND")
    assert [f"{result.name}: {result.what.partition(': ')[2]}" for _, result in results] == [found]


def test_classes_that_are_called_like_a_total(tmp_path: Path) -> None:
    build(_draw(tmp_path / "photos", ["total", "all", "Sum"]), tmp_path / "dataset")
    assert _ended(tmp_path / "dataset") == set()
    # Nor are they totals in a card of another make.
    _edit_card(tmp_path / "dataset", "- nritya\n", "")
    assert "card: counts" not in _ended(tmp_path / "dataset")


def test_small_pictures_are_a_note(tmp_path: Path) -> None:
    build(_draw(tmp_path / "photos", ["kathak", "odissi"], size=(40, 28)), tmp_path / "dataset", min_side=28)
    report = check(str(tmp_path / "dataset"))
    assert _ended(report) == set()
    assert _ended(report, "NOTE") == {"pictures: small", "balance: few"}
    assert re.search(
        r"under 32 pixels: train row 0 \(\w{12}\) 40 x 28; .* the demo refuses such pictures", _text(report)
    )


@pytest.mark.parametrize(
    ("license", "author", "source_url"),
    [
        ("cc0-1.0", "", ""),
        ("cc-by-4.0", "A. Rao", "https://example.org/3"),
        ("cc-by-4.0", "", "https://example.org/3"),
        ("cc-by-4.0", "A. Rao", ""),
        ("cc-by-4.0", " ", "https://example.org/3"),
        ("cc-by-4.0", "A. Rao", "\t"),
        ("cc-by-4.0", None, None),
        ("CC BY-SA 3.0 de", "", ""),
        ("cc-by-nc-4.0", "A. Rao", "https://example.org/3"),
        ("cc-by-nd-4.0", "A. Rao", "https://example.org/3"),
        ("gfdl", "", ""),
        ("public-domain", "", ""),
        ("no-known-restrictions", "A. Rao", "https://example.org/3"),
        ("unknown", "A. Rao", "https://example.org/3"),
        ("all rights reserved", "", ""),
        ("", "A. Rao", "https://example.org/3"),
        (None, None, None),
    ],
)
def test_what_push_refuses_is_found(
    pair: Path, tmp_path: Path, license: str | None, author: str | None, source_url: str | None
) -> None:
    rows = pq.read_table(next(pair.glob("data/test-*"))).slice(0, 1).to_pylist()
    row = rows[0] | {"license": license, "author": author, "source_url": source_url}
    columns = {
        name: pa.array([value], None if name == "image" else pa.string())
        for name, value in row.items()
        if name != "label"
    }
    pq.write_table(pa.table(columns), tmp_path / "test.parquet")
    licences = check(str(tmp_path)).results["licences"]
    found = [result.what for result in licences if result.verdict == "FOUND"]
    why = why_not_publish(license or "", author or "", source_url or "")
    assert len(found) == (why is not None)
    assert not why or found[0].endswith(f": {why}")


def test_data_that_changed_after_the_card_was_written(copy: Path) -> None:
    _edit_card(copy, "description: content ", "description: content 0123456789abcdef #")
    assert _ended(copy) == {"card: content"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "there is no README.md"),
        ("# Dances\n", "does not begin with a block of YAML"),
        ("---\nlicense: [\n---\n# Dances\n", "the YAML of README.md can't be read"),
        ("---\ndataset_info:\n  splits: 3\n---\n# Dances\n", "the YAML of README.md can't be read"),
    ],
)
def test_a_card_that_is_none(copy: Path, content: str | None, fault: str) -> None:
    card = copy / "README.md"
    card.unlink() if content is None else card.write_text(content)
    report = check(str(copy))
    assert _ended(report) == {"card: README.md"}
    assert fault in _text(report)


def test_a_broken_card_is_one_fault(copy: Path) -> None:
    _edit_card(copy, "license: cc0-1.0", "license: [")
    # Without metadata nobody knows whose table this is.
    _edit_card(copy, "| kathak | 6 |", "| kathak | 7 |")
    assert _ended(copy) == {"card: README.md"}


def test_a_split_that_only_the_card_has(copy: Path) -> None:
    # As `push_to_hub` writes it.
    claims = "dataset_info:\n  splits:\n" + "".join(
        f"  - name: {split}\n    num_bytes: 1\n    num_examples: {count}\n"
        for split, count in (("train", 12), ("extra", 99))
    )
    (copy / "README.md").write_text(f"---\nlicense: cc0-1.0\n{claims}---\n")
    report = check(str(copy))
    assert _ended(report) == {"card: counts"}
    assert "all, extra: 99, but there are 0" in _text(report)


def test_class_names_that_only_the_card_has(copy: Path) -> None:
    for path in copy.glob("data/*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    restamp(copy)
    report = check(str(copy))
    assert _ended(report) == set()
    assert "class names ok 2: kathak, odissi" in _text(report)


@pytest.mark.parametrize(
    ("count", "size"),
    [(999, "n<1K"), (1_000, "1K<n<10K"), (999_999, "100K<n<1M"), (1_000_000, "1M<n<10M"), (20_000_000, "10M<n<100M")],
)
def test_sizes_are_those_of_the_hub(count: int, size: str) -> None:
    assert size_category(count) == size


def test_a_split_that_is_not_there(copy: Path) -> None:
    next(copy.glob("data/validation-*")).unlink()
    (copy / "README.md").write_text("---\nlicense: cc0-1.0\n---\n")
    assert _ended(copy) == set()
    assert "structure: splits" in _ended(copy, "NOTE")
    next(copy.glob("data/test-*")).unlink()
    assert _ended(copy) == {"structure: splits"}


def test_harmless_oddities_are_notes(copy: Path) -> None:
    def change(rows: dict[str, Rows]) -> None:
        _again(rows["train"][0], lambda image: image.convert("L"))
        _again(rows["train"][1], format="BMP")
        _again(rows["train"][2], icc_profile=b"how colours are meant")
        rows["train"][4]["image"] = rows["train"][3]["image"]
        rows["train"][4]["label"] = rows["train"][3]["label"] = 0

    _rewrite(copy, change)
    (copy / "README.md").write_text("---\nlicense: cc0-1.0\n---\n")
    report = check(str(copy))
    assert _ended(report) == set()
    assert _ended(report, "NOTE") == {
        "pictures: mode",
        "privacy: containers",
        "privacy: metadata",
        "leaks: copies",
        "balance: few",
    }


def test_a_dataset_without_a_fault(cli: Cli, dataset_folder: Path) -> None:
    code, out, _ = cli("dataset_card", "check", dataset_folder)
    assert code == 0
    assert out.splitlines()[-1] == f"{dataset_folder}: 64 pictures, 0 found, 1 noted"
    assert "balance, few: add pictures before you trust a number per class" in out
    assert max(map(len, out.splitlines()[:-1])) <= 119


def test_faults_end_with_exit_code_1_and_say_what_to_do(cli: Cli, copy: Path) -> None:
    _rewrite(copy, _leak_scaled)
    code, out, err = cli("dataset_card", "check", copy)
    assert code == 1
    assert re.search(
        r"look-alikes FOUND 1 pictures .* copies included: test row \d \(\w{12}\) ~ train row", " ".join(out.split())
    )
    assert "FOUND   leaks, look-alikes: leave these out of one of the two splits" in out
    assert "Checking pictures: 100%" in err


def test_nothing_is_written(pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    check(str(pair))
    assert not list(tmp_path.rglob("*.arrow"))


@pytest.mark.parametrize("label", ["label", "labels", "Dance"])
def test_parquet_of_other_makes(pair: Path, tmp_path: Path, label: str) -> None:
    for split in ("train", "test"):
        rows = pq.read_table(next(pair.glob(f"data/{split}-*"))).to_pylist()
        names = [("kathak", "odissi")[row["label"]] for row in rows]
        (tmp_path / "other" / "data").mkdir(parents=True, exist_ok=True)
        other = pa.table({"img": [row["image"]["bytes"] for row in rows], label: names})
        pq.write_table(other, tmp_path / "other" / "data" / f"{split}.parquet")
    report = check(str(tmp_path / "other"))
    assert _ended(report) == {"licences: column", "card: README.md"}
    assert _ended(report, "NOTE") == {
        "structure: splits",
        "structure: column types",
        "structure: more columns",
        "balance: few",
    }


def test_folders_of_pictures(pair: Path, tmp_path: Path) -> None:
    for split, numbers in (("train", range(5)), ("test", range(4, 8))):
        for dance in ("kathak", "odissi"):
            (tmp_path / "folders" / split / dance).mkdir(parents=True)
            for number in numbers:
                shutil.copy(
                    pair.parent / "photos" / dance / f"{dance}-{number:03d}.jpg", tmp_path / "folders" / split / dance
                )
    (tmp_path / "folders" / "test" / "odissi" / "odissi-007.jpg").write_text("not a picture")
    report = check(str(tmp_path / "folders"))
    assert _ended(report) == {"pictures: decoding", "leaks: same pixels", "licences: column", "card: README.md"}
    assert "(kathak/kathak-004.jpg) = train row 4 (kathak/kathak-004.jpg)" in _text(report)
    assert "(odissi/odissi-007.jpg): not an image" in _text(report)


def test_pictures_without_labels(pair: Path, tmp_path: Path) -> None:
    (tmp_path / "unlabelled").mkdir()
    for split in ("train", "validation", "test"):
        rows = pq.read_table(next(pair.glob(f"data/{split}-*")), columns=["image", "sha256"])
        pq.write_table(rows.replace_schema_metadata(None), tmp_path / "unlabelled" / f"{split}.parquet")
    assert "structure: label column" in _ended(tmp_path / "unlabelled")


def test_one_of_several_configurations(copy: Path, refused: Callable[..., str]) -> None:
    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {name}\n  data_files:\n  - split: {split}\n    path: data/{split}-*\n"
        for name, split in (("much", "train"), ("little", "test"))
    )
    (copy / "README.md").write_text(card + "---\n")
    assert "pick one among the available configs: ['much', 'little']" in refused("dataset_card", "check", copy)
    assert check(str(copy), "little").pictures == 2
    assert "'other' not found" in refused("dataset_card", "check", copy, "--config", "other")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "| Label | test | total |\n|---|--:|---|\n| `a` | 1,200 | 7 |\n| **all** | **3** | x |\n",
            {("a", "test"): 1200, ("a", ""): 7, ("", "test"): 3, ("", ""): None},
        ),
        ("| class | test |\n|---|--:|\n| total | 2 |\n| **total** | 3 |\n", {("total", "test"): 2, ("", "test"): 3}),
        ("| reason | files |\n|---|--:|\n| damaged | 1 |\n", None),
        ("| class | accuracy |\n|---|--:|\n| a | 1 |\n", None),
        ("no table", None),
    ],
)
def test_the_table_of_classes_is_told_from_others(
    text: str, expected: dict[tuple[str, str], int | None] | None
) -> None:
    assert read_class_table(text, ["train", "test"], ["a", "total"]) == expected


class TestNoDataset:
    def test_an_empty_folder(self, refused: Callable[..., str], tmp_path: Path) -> None:
        assert "can't be read as a dataset" in refused("dataset_card", "check", tmp_path)

    def test_a_missing_folder(self, refused: Callable[..., str], tmp_path: Path) -> None:
        message = refused("dataset_card", "check", tmp_path / "gone")
        assert "is neither a folder nor a Hub id (user/name): give a dataset" in message

    def test_no_pictures(self, refused: Callable[..., str], tmp_path: Path) -> None:
        pq.write_table(pa.table({"text": ["a"], "label": [0]}), tmp_path / "train.parquet")
        assert "is no dataset of pictures: its columns are text, label" in refused("dataset_card", "check", tmp_path)

    @pytest.mark.parametrize(("kept", "then"), [(3000, 0), (4, 3000)])
    def test_a_damaged_file(self, refused: Callable[..., str], copy: Path, kept: int, then: int) -> None:
        path = next(copy.glob("data/train-*"))
        content = path.read_bytes()
        path.write_bytes(content[:kept] + (b"\xff" * then + content[kept + then :] if then else b""))
        assert "can't be read as a dataset" in refused("dataset_card", "check", copy)

    def test_a_card_whose_files_are_gone(self, refused: Callable[..., str], copy: Path) -> None:
        shutil.rmtree(copy / "data")
        assert "but none of them exists: fix `configs` in README.md" in refused("dataset_card", "check", copy)

    def test_a_hub_out_of_reach(self, refused: Callable[..., str]) -> None:
        assert "HF_HUB_OFFLINE is set" in refused("dataset_card", "check", "alice/dances")

    def test_a_path_that_is_a_pattern(self, refused: Callable[..., str], pair: Path, tmp_path: Path) -> None:
        shutil.copytree(pair, tmp_path / "dances [v2]")
        assert "has [ in its path, which `datasets` takes for a pattern" in refused(
            "dataset_card", "check", tmp_path / "dances [v2]"
        )


def test_a_local_folder_is_never_looked_up_on_the_hub(
    pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    shutil.copytree(pair, tmp_path / "alice" / "dances")
    for split, dance in itertools.product(("train", "test"), ("kathak", "odissi")):
        shutil.copytree(pair.parent / "photos" / dance, tmp_path / "alice" / "pictures" / split / dance)
    shutil.copytree(tmp_path / "alice" / "pictures", tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    # What HF_HUB_OFFLINE and HF_ENDPOINT set, which are read at import.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    with socket.create_server(("127.0.0.1", 0)) as hub:
        for module in ("huggingface_hub.constants.ENDPOINT", "datasets.config.HF_ENDPOINT"):
            monkeypatch.setattr(module, f"http://127.0.0.1:{hub.getsockname()[1]}")
        assert [check(name).pictures for name in ("alice/dances", "alice/pictures", "pictures")] == [16, 32, 32]
        hub.setblocking(False)
        with pytest.raises(BlockingIOError, match="unavailable"):
            hub.accept()
    # Any other name is looked up, at a port that is closed by now.
    assert "the connection to the Hub broke" in refused("dataset_card", "check", "alice/others")


def test_a_cache_that_can_not_be_written_names_itself(copy: Path, tmp_path: Path) -> None:
    # Read by the Hub's clients at import: a process of its own.
    (tmp_path / "file").touch()
    answer = subprocess.run(
        [sys.executable, "-m", "dataset_card", "check", copy],
        cwd=ROOT,
        env={**os.environ, "HF_HOME": str(tmp_path / "file")},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    said = f"{tmp_path / 'file'} is a file, and not a folder: choose another path (HF_HOME says where)"
    assert answer.stderr.splitlines()[-1] == f"error: reading {copy}: {said}"
