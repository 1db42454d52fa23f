"""What people say about their pictures decides what becomes of them: provenance, corrections, takedowns, splits."""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from dataset_card.build import build
from files.errors import UserError
from tests.dataset_card.conftest import read_rows, splits_of, write_lines

Cli = Callable[..., tuple[int, str, str]]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rejected(dataset: Path) -> dict[str, dict[str, str]]:
    with (dataset / "rejected.csv").open(encoding="utf-8") as file:
        return {line["file"]: line for line in csv.DictReader(file)}


class TestNames:
    def test_spellings_become_one_label_and_strangers_keep_their_name(self, cli: Cli, pile: Path) -> None:
        (pile / "kathak").rename(pile / "Katthak dance")
        shutil.copytree(pile / "odissi", pile / "Cats")
        for number, file in enumerate(sorted((pile / "Cats").iterdir())):
            Image.effect_noise((80, 80), 60 + 9 * number).convert("RGB").save(file)
        code, out, _ = cli("dataset_card", "build", pile, "--out", pile.parent / "out")
        assert code == 0
        assert {row["label"] for row in read_rows(pile.parent / "out")} == {"Cats", "kathak", "odissi"}
        assert "note: Katthak dance is taken as kathak" in out
        assert "note: no dance that is known here, kept as named: Cats" in out
        text = (pile.parent / "out" / "README.md").read_text()
        assert "| Kathak | कथक | northern India |" in text
        assert "| Cats | 7 |" in text

    def test_two_spellings_are_one_class(self, refused: Callable[..., str], pile: Path) -> None:
        (pile / "odissi").rename(pile / "Kathak dancers")
        message = refused("dataset_card", "build", pile, "--out", pile.parent / "out")
        assert "all sub-folders are kathak: a classifier needs two classes" in message


class TestProvenance:
    def test_it_goes_into_every_row_and_onto_the_card(self, pile: Path) -> None:
        lines = [
            {"file": f"{label}/{n}.jpg", "source": "commons", "source_url": f"https://commons/{label}/{n}",
             "title": f"A *dance* [{n}]", "author": "Ravi", "author_url": "https://commons/Ravi",
             "license": "CC BY-SA 2.0", "license_url": "https://creativecommons.org/licenses/by-sa/2.0/in/",
             "retrieved_at": "2026-11-24T10:00:00Z", "sha1": "00ff"}
            for label in ("kathak", "odissi") for n in range(10)
        ]  # fmt: skip
        lines[0] |= {"license": "CC0", "license_url": "", "author": "Uma"}
        write_lines(pile / "provenance.jsonl", lines)
        build(pile, pile.parent / "out", seed=8)
        rows = read_rows(pile.parent / "out")
        row = next(row for row in rows if row["source_url"] == "https://commons/odissi/3")
        assert (row["license"], row["license_url"]) == (
            "cc-by-sa-2.0",
            "https://creativecommons.org/licenses/by-sa/2.0/in/",
        )
        assert (row["author"], row["author_url"], row["title"]) == ("Ravi", "https://commons/Ravi", "A *dance* [3]")
        assert (row["source"], row["retrieved_at"], row["sha1"]) == ("commons", "2026-11-24T10:00:00Z", "00ff")
        cc0 = next(row for row in rows if row["author"] == "Uma")
        assert (cc0["license"], cc0["license_url"]) == (
            "cc0-1.0",
            "https://creativecommons.org/publicdomain/zero/1.0/",
        )

        card = DatasetCard.load(pile.parent / "out" / "README.md")
        # CC BY-SA 2.0 is not on the Hub's list.
        assert card.data.license == ["cc0-1.0", "other"]
        assert (card.data.license_name, card.data.license_link) == ("cc-by-sa-2.0", "LICENSE.md")
        assert "2 named authors" in card.text
        licenses = (pile.parent / "out" / "LICENSE.md").read_text()
        assert (
            r"- “A \*dance\* \[3\]” by [Ravi](https://commons/Ravi), [CC BY-SA 2.0]"
            "(https://creativecommons.org/licenses/by-sa/2.0/in/), [commons](https://commons/odissi/3)\n"
        ) in licenses
        # CC0 asks for nothing.
        assert licenses.count("\n- ") == 19

    def test_one_photographers_event_never_parts(self, pile: Path) -> None:
        lines = [
            {"file": f"{label}/{n}.jpg", "author": "Ravi", "event": f"day {n // 5}"}
            for label in ("kathak", "odissi") for n in range(8)
        ]  # fmt: skip
        write_lines(pile / "provenance.jsonl", lines)
        build(pile, pile.parent / "out", seed=8)
        rows = {row["sha256"]: row for row in read_rows(pile.parent / "out")}
        for label in ("kathak", "odissi"):
            sides = [rows[_sha256(pile / label / f"{n}.jpg")] for n in range(10)]
            assert len({(row["group"], row["split"]) for row in sides[:5]}) == 1
            assert len({(row["group"], row["split"]) for row in sides[5:8]}) == 1
            assert len({row["group"] for row in sides}) == 4
        assert "events joined 12 more" in (pile.parent / "out" / "README.md").read_text()

    def test_near_duplicates_of_one_event_are_one_group(self, pile: Path) -> None:
        for number in (0, 1):
            with Image.open(pile / "kathak" / f"{number}.jpg") as image:
                image.resize((64, 54)).save(pile / "kathak" / f"small-{number}.png")
        write_lines(
            pile / "provenance.jsonl",
            [{"file": f"kathak/{number}.jpg", "author": "Ravi", "event": "one"} for number in (0, 1)],
        )
        build(pile, pile.parent / "out", seed=8)
        card = " ".join((pile.parent / "out" / "README.md").read_text().split())
        assert "19 groups, the largest of 4; 1 of them holds 4 near-duplicates between them, and events" in card

    def test_what_must_not_be_published_is_dropped_on_demand(self, cli: Cli, pile: Path) -> None:
        lines = [
            {"file": f"{label}/{n}.jpg", "author": "Ravi" if n else "",
             "source_url": "" if n == 2 else f"https://commons/{label}/{n}",
             "license": "cc-by-nd-4.0" if n == 1 else "cc-by-4.0"}
            for label in ("kathak", "odissi") for n in range(9)
        ]  # fmt: skip
        write_lines(pile / "provenance.jsonl", lines)
        code, out, _ = cli("dataset_card", "build", pile, "--out", pile.parent / "out", "--only-redistributable")
        assert code == 0
        assert "left out, must not be published: 8" in out
        assert {row["license"] for row in read_rows(pile.parent / "out")} == {"cc-by-4.0"}
        rejected = _rejected(pile.parent / "out")
        assert {rejected[f"kathak/{n}.jpg"]["detail"] for n in (0, 1, 2, 9)} == {
            "cc-by-4.0 without an author to name", "licence cc-by-nd-4.0", "cc-by-4.0 without a source_url to link to",
            "licence unknown",
        }  # fmt: skip

    def test_why_a_class_is_empty_is_what_holds_for_most(self, refused: Callable[..., str], pile: Path) -> None:
        (pile / "kathak" / "0.jpg").write_bytes(b"")
        words = ("dataset_card", "build", pile, "--out", pile.parent / "out", "--only-redistributable")
        assert "no usable picture in kathak, odissi (1.jpg: must not be published)" in refused(*words)


class TestCorrections:
    def test_they_are_replayed_and_what_finds_no_picture_is_said(self, cli: Cli, pile: Path) -> None:
        a, b, c = (pile / "kathak" / f"{n}.jpg" for n in range(3))
        # Another file with the same pixels.
        with Image.open(b) as image:
            image.save(pile / "kathak" / "copy-of-b.png")
        list_ = pile.parent / "corrections.csv"
        list_.write_text(
            f"sha256,action,label\n{_sha256(a)},delete,\n{_sha256(b)},relabel,odissi\n{_sha256(c)},keep,\n"
            f"{'f' * 64},delete,\n"
        )
        words = ("dataset_card", "build", pile, "--out", pile.parent / "out", "--corrections", list_)
        code, out, _ = cli(*words)
        assert code == 0
        assert "corrections replayed: 3" in out
        assert f"note: 1 corrections name pictures that are not here ({'f' * 12}): they changed nothing" in out
        labels = {row["sha256"]: row["label"] for row in read_rows(pile.parent / "out")}
        assert _sha256(a) not in labels
        assert labels[_sha256(c)] == "kathak"
        assert sorted(labels.values()).count("odissi") == 11
        assert _rejected(pile.parent / "out")["kathak/0.jpg"]["reason"] == "deleted by a correction"

    def test_a_conflict_is_listed_for_a_person_and_settled_by_one(self, pile: Path) -> None:
        with Image.open(pile / "kathak" / "0.jpg") as image:
            image.resize((64, 54)).save(pile / "odissi" / "small.png")
        build(pile, pile.parent / "out", seed=8)
        listed = {
            line["sha256"]: line["detail"]
            for line in _rejected(pile.parent / "out").values()
            if line["reason"] == "same picture under several labels"
        }
        kathak, odissi = _sha256(pile / "kathak" / "0.jpg"), _sha256(pile / "odissi" / "small.png")
        assert listed == {kathak: "kathak, odissi", odissi: "kathak, odissi"}
        list_ = pile.parent / "corrections.csv"
        list_.write_text(f"sha256,action,label\n{odissi},relabel,kathak\n")
        build(pile, pile.parent / "out", seed=8, corrections=list_)
        rows = {row["sha256"]: row for row in read_rows(pile.parent / "out")}
        assert rows[kathak]["label"] == rows[odissi]["label"] == "kathak"
        assert rows[kathak]["group"] == rows[odissi]["group"]

    def test_an_unknown_label_stops_the_build(self, refused: Callable[..., str], pile: Path) -> None:
        list_ = pile.parent / "corrections.csv"
        list_.write_text(f"sha256,action,label\n{'f' * 64},relabel,tango\n")
        message = refused("dataset_card", "build", pile, "--out", pile.parent / "out", "--corrections", list_)
        assert "corrections.csv, line 2: 'tango' is none of the classes: use one of kathak, odissi" in message


class TestLabels:
    """Classes that somebody taught on the page without a server, and saved."""

    def _saved(self, folder: Path, classes: dict[str, list[Path]]) -> Path:
        listed = [
            {"name": name, "pictures": [{"sha256": _sha256(file), "features": [0.5]} for file in files]}
            for name, files in classes.items()
        ]
        model = {"name": "a model", "sha256": "0" * 64}
        path = folder / "classes.json"
        path.write_text(json.dumps({"format": "nritya-classes", "version": 1, "model": model, "classes": listed}))
        return path

    def test_a_heap_becomes_a_dataset_of_what_was_taught(self, cli: Cli, pile: Path, tmp_path: Path) -> None:
        heap = tmp_path / "heap"
        (heap / "more").mkdir(parents=True)
        files: dict[str, list[Path]] = {"Katthak": [], "Warli": []}
        for name, label in zip(files, ("kathak", "odissi"), strict=True):
            for number in range(10):
                # Names and places say nothing.
                place = heap / ("more" if number % 2 else ".") / f"IMG_{len(name)}{number}.jpg"
                files[name].append(Path(shutil.copy(pile / label / f"{number}.jpg", place)))
        os.mkfifo(heap / "pipe")
        list_ = self._saved(tmp_path, {"Katthak": files["Katthak"][:8], "Warli": files["Warli"][:6]})
        files["Warli"][0].unlink()
        code, out, _ = cli("dataset_card", "build", heap, "--out", tmp_path / "out", "--labels", list_)
        assert code == 0
        assert "note: Katthak is taken as kathak" in out
        assert f"note: 1 of 14 labelled pictures are not in {heap}" in out
        labels = {row["sha256"]: row["label"] for row in read_rows(tmp_path / "out")}
        expected = {_sha256(file): "kathak" for file in files["Katthak"][:8]}
        assert labels == expected | {_sha256(file): "Warli" for file in files["Warli"][1:6]}
        rejected = _rejected(tmp_path / "out")
        assert {line["reason"] for line in rejected.values()} == {"without a label"}
        assert len(rejected) == 2 + 4 + 1

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "can't be read (Expecting property name"),
            ("[1]", "can't be read (list indices must be"),
            ('{"format": "other"}', "can't be read (its format is 'other'): give the file that the page without"),
            ('{"format": "nritya-classes"}', "can't be read (no 'classes')"),
            (
                '{"format": "nritya-classes", "classes": [{"name": "A", "pictures": [{"sha256": ""}]}]}',
                "a picture of 'A' has no sha256: browsers give one only on pages that came encrypted",
            ),
        ],
    )
    def test_another_file_is_one_line(
        self, refused: Callable[..., str], pile: Path, tmp_path: Path, content: str, message: str
    ) -> None:
        (tmp_path / "classes.json").write_text(content)
        words = ("dataset_card", "build", pile, "--out", tmp_path / "out", "--labels", tmp_path / "classes.json")
        said = refused(*words)
        assert message in said
        assert len(said.splitlines()) == 1

    def test_what_can_not_be_is_said(self, refused: Callable[..., str], pile: Path, tmp_path: Path) -> None:
        words = ("dataset_card", "build", pile, "--out", tmp_path / "out", "--labels")
        one, two = pile / "kathak" / "0.jpg", pile / "odissi" / "0.jpg"
        assert "can't be read ([Errno 2]" in refused(*words, tmp_path / "none.json")
        said = refused(*words, self._saved(tmp_path, {"A": [one], "B": [one]}))
        assert f"{_sha256(one)[:12]} is of 'A' and of 'B': keep it in one class" in said
        list_ = self._saved(tmp_path, {"A": [one], "B": [two]})
        two.write_bytes(b"saved anew")
        assert f"{pile} has pictures of A of the 2 labelled classes: a classifier needs two." in refused(*words, list_)
        assert "but not which split" in refused(*words, list_, "--splits", "folders")


class TestTakedown:
    def test_a_picture_its_copies_and_its_page_never_come_back(self, pile: Path) -> None:
        a = pile / "kathak" / "0.jpg"
        with Image.open(a) as image:
            image.resize((64, 54)).save(pile / "kathak" / "small.png")
        small = _sha256(pile / "kathak" / "small.png")
        write_lines(pile / "provenance.jsonl", [{"file": "odissi/5.jpg", "source_url": "https://commons/5"}])
        (pile / "removed.csv").write_text(
            f"sha256,source_url,reason,date\n{_sha256(a)},,the dancer Anna asked,2026-11-20\n,https://commons/5,,2026-11-21\n"
        )
        report = build(pile, pile.parent / "out", seed=8)
        assert len(report.curated.taken_down) == 3
        left = {row["sha256"] for row in read_rows(pile.parent / "out")}
        assert len(left) == 18
        for file in (a, pile / "kathak" / "small.png", pile / "odissi" / "5.jpg"):
            assert _sha256(file) not in left
        # Hashes alone: neither reasons nor addresses nor names of files, which would tell what people asked to hide.
        published = (pile.parent / "out" / "removed.csv").read_text()
        assert published.splitlines() == [
            "sha256,date",
            *sorted([f"{_sha256(a)},2026-11-20", f"{small},", f"{_sha256(pile / 'odissi' / '5.jpg')},"]),
        ]
        assert not _rejected(pile.parent / "out")
        assert "| taken down on request | 3 |" in (pile.parent / "out" / "README.md").read_text()
        # A folder with the list in it is replaced as any other.
        (pile / "removed.csv").unlink()
        build(pile, pile.parent / "out", seed=8)
        assert len(read_rows(pile.parent / "out")) == 21

    def test_a_near_copy_goes_even_when_the_picture_itself_was_deleted(self, pile: Path) -> None:
        a = pile / "kathak" / "0.jpg"
        build(pile, pile.parent / "out", seed=8)
        with Image.open(a) as image:
            image.resize((64, 54)).save(pile / "kathak" / "small.png")
        (pile / "removed.csv").write_text(f"sha256,source_url,reason,date\n{_sha256(a)},,,\n")
        a.unlink()
        # Twice with another seed, which forgets the splits: what has to go stays known.
        for seed in (9, 8, 8):
            assert len(build(pile, pile.parent / "out", seed=seed).curated.taken_down) == 1

    def test_a_page_is_known_in_any_spelling(self, pile: Path) -> None:
        write_lines(pile / "provenance.jsonl", [{"file": "odissi/5.jpg", "source_url": "https://commons/A%C3%A9_b"}])
        (pile / "removed.csv").write_text("sha256,source_url,reason,date\n,https://commons/Aé b,,\n", "utf-8")
        assert len(build(pile, pile.parent / "out", seed=8).curated.taken_down) == 1


class TestSplitsThatStay:
    def test_more_pictures_leave_the_old_ones_where_they_are(
        self, pile: Path, save_image: Callable[..., Path]
    ) -> None:
        out = pile.parent / "out"
        build(pile, out, seed=8)
        before = splits_of(out)
        for seed in range(300, 330):
            save_image(f"photos/kathak/new-{seed}.jpg", seed)
        # A new copy of an old picture, whose own hash may come first.
        tested = next(p for p in sorted((pile / "odissi").iterdir()) if before[_sha256(p)] == "test")
        with Image.open(tested) as image:
            for level in range(4):
                image.save(pile / "odissi" / f"copy-{level}.png", compress_level=level)
        build(pile, out, seed=8)
        after = splits_of(out)
        assert {sha256: after[sha256] for sha256 in before} == before
        assert len(after) == len(before) + 30
        sizes = [list(after.values()).count(split) for split in ("train", "validation", "test")]
        assert sizes == pytest.approx([35, 7.5, 7.5], abs=1)

    def test_what_was_away_or_saved_anew_comes_back_to_its_split(
        self, pile: Path, save_image: Callable[..., Path]
    ) -> None:
        out = pile.parent / "out"
        build(pile, out, seed=8)
        before = splits_of(out)
        content = {file: file.read_bytes() for file in sorted(pile.glob("*/*")) if before[_sha256(file)] != "train"}
        for file in content:
            file.unlink()
        build(pile, out, seed=8)
        # Enough to fill validation and test without the old ones.
        for seed in range(300, 330):
            save_image(f"photos/{('kathak', 'odissi')[seed % 2]}/new-{seed}.jpg", seed)
        build(pile, out, seed=8)
        again = {}
        for number, (file, old) in enumerate(content.items()):
            file.write_bytes(old)
            split = before[_sha256(file)]
            if number % 2:
                with Image.open(file) as image:
                    image.copy().save(file, quality=60)
            again[_sha256(file)] = split
        build(pile, pile.parent / "other", seed=8, keep_splits=str(out))
        build(pile, out, seed=8)
        assert splits_of(out) == splits_of(pile.parent / "other")
        assert {sha256: splits_of(out)[sha256] for sha256 in again} == again

    def test_a_damaged_memory_is_named(self, pile: Path) -> None:
        build(pile, pile.parent / "out", seed=8)
        memory = pile.parent / "out" / "splits.csv"
        for text in (
            "sha256,split\n0,test\n",
            "sha256,perceptual_hash,split\n0,xyz,test\n",
            "sha256,perceptual_hash,split\n0,00,a\n",
        ):
            memory.write_text(text)
            with pytest.raises(UserError, match=r"splits.csv is damaged .* remove its dataset"):
                build(pile, pile.parent / "out", seed=8)

    def test_another_seed_draws_anew_and_another_dataset_may_lead(self, pile: Path) -> None:
        build(pile, pile.parent / "one", seed=8)
        build(pile, pile.parent / "two", seed=9)
        one, two = splits_of(pile.parent / "one"), splits_of(pile.parent / "two")
        assert one != two
        build(pile, pile.parent / "one", seed=9)
        assert splits_of(pile.parent / "one") == two
        build(pile, pile.parent / "three", seed=3, keep_splits=str(pile.parent / "two"))
        assert splits_of(pile.parent / "three") == two

    def test_what_can_not_lead(self, pile: Path, refused: Callable[..., str]) -> None:
        words = ("dataset_card", "build", pile, "--out", pile.parent / "out", "--keep-splits")
        assert "nowhere is neither a folder nor a Hub id" in refused(*words, "nowhere")
        assert "holds no data/*.parquet with a sha256 column" in refused(*words, pile)
        assert not (pile.parent / "out").exists()

    def test_a_damaged_earlier_dataset_is_named(self, pile: Path) -> None:
        build(pile, pile.parent / "out", seed=8)
        shard = pile.parent / "out" / "data" / "train-00000-of-00001.parquet"
        shard.write_bytes(shard.read_bytes()[:-9])
        with pytest.raises(UserError, match=r"train-00000-of-00001.parquet is damaged .* remove its dataset"):
            build(pile, pile.parent / "out", seed=8)
        assert shard.exists()
