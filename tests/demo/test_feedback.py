import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_card.build import build
from dataset_card.lists import read_corrections
from dataset_card.provenance import read_provenance
from demo.feedback import COLUMNS, Feedback, FeedbackError, FullError, Subject, open_feedback
from demo.reading.upload import UnreadableError
from tests.conftest import ROOT

NAMES = ["kathak", "odissi", "sattriya"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "feedback"


@pytest.fixture
def feedback(folder: Path) -> Feedback:
    return Feedback(folder, NAMES, "a model")


def _upload(tmp_path: Path, seed: int = 0) -> Path:
    """A photograph of a phone: turned, with a place, a time, a comment."""
    blocks = np.random.default_rng(seed).integers(0, 255, (12, 9, 3), np.uint8)
    image = Image.fromarray(blocks).resize((900, 1200), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    path = tmp_path / f"upload-{seed}.jpg"
    image.save(path, exif=exif, comment=b"secret")
    return path


def _lines(feedback: Feedback) -> list[dict[str, str]]:
    with feedback.corrections.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_line_is_about_the_uploaded_file_which_is_not_kept(feedback: Feedback, tmp_path: Path) -> None:
    path = _upload(tmp_path)
    feedback.keep(Subject(path, "kathak", 0.934), "odissi")
    (line,) = _lines(feedback)
    assert list(line) == list(COLUMNS)
    assert line["sha256"] == _sha256(path)
    assert (line["action"], line["label"], line["predicted"]) == ("relabel", "odissi", "kathak")
    assert (line["probability"], line["model"]) == ("0.9340", "a model")
    assert line["date"].endswith("+00:00")
    assert [file for file in feedback.folder.rglob("*") if file.suffix in (".jpg", ".jsonl")] == []


def test_yes_says_what_it_is_for_a_dataset_may_have_it_under_another_label(feedback: Feedback, tmp_path: Path) -> None:
    feedback.keep(Subject(_upload(tmp_path), "kathak", 0.9), "kathak")
    (line,) = _lines(feedback)
    assert (line["action"], line["label"]) == ("relabel", "kathak")


@pytest.mark.parametrize(("said", "action"), [("kathak", "keep"), ("odissi", "relabel")])
def test_a_kept_picture_is_upright_and_holds_nothing_else(
    feedback: Feedback, tmp_path: Path, said: str, action: str
) -> None:
    feedback.keep(Subject(_upload(tmp_path), "kathak", 0.9), said, with_picture=True)
    (line,) = _lines(feedback)
    kept = feedback.photos / said / f"{line['sha256']}.jpg"
    assert _sha256(kept) == line["sha256"]
    assert (line["action"], line["label"]) == (action, said)
    content = kept.read_bytes()
    assert b"secret" not in content
    assert b"Exif" not in content
    with Image.open(io.BytesIO(content)) as image:
        # It lay on its side, and was larger than a dataset's pictures are.
        assert image.size == (1024, 768)
        assert not image.info.keys() - {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    (origin,) = read_provenance(feedback.photos).values()
    assert (origin.file, origin.source, origin.license) == (f"{said}/{kept.name}", "feedback", "unknown")
    assert origin.retrieved_at == line["date"]
    assert list(feedback.folder.glob(".*.draft")) == []


def test_who_speaks_last_decides_where_a_picture_lies(feedback: Feedback, tmp_path: Path) -> None:
    subject = Subject(_upload(tmp_path), "kathak", 0.9)
    for said in ("odissi", "kathak", "kathak"):
        feedback.keep(subject, said, with_picture=True)
        assert [path.parent.name for path in feedback.photos.glob("*/*.jpg")] == [said]
    assert [line["action"] for line in _lines(feedback)] == ["relabel", "keep", "keep"]
    assert len((feedback.photos / "provenance.jsonl").read_text().splitlines()) == 2


def test_the_folder_is_a_dataset_to_be(feedback: Feedback, tmp_path: Path) -> None:
    """What was kept builds as it is, and the lines find their pictures."""
    for seed in range(15):
        said = NAMES[seed % 3]
        predicted = said if seed % 2 else "kathak"
        feedback.keep(Subject(_upload(tmp_path, seed), predicted, 0.8), said, with_picture=seed != 14)
    report = build(feedback.photos, tmp_path / "dances", seed=8, corrections=feedback.corrections)
    assert report
    corrections = read_corrections(feedback.corrections, NAMES)
    assert len(corrections) == 15
    import datasets

    rows = datasets.load_dataset(str(tmp_path / "dances"))
    found = {row["sha256"]: split.features["label"].int2str(row["label"]) for split in rows.values() for row in split}
    said = {line["sha256"]: line["label"] for line in _lines(feedback)}
    assert len(found) == 14
    assert found.items() <= said.items()
    assert {row["license"] for split in rows.values() for row in split} == {"unknown"}


def test_a_line_finds_its_picture_in_a_dataset(feedback: Feedback, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for seed in range(12):
        path = _upload(tmp_path, seed)
        place = photos / NAMES[seed % 3] / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    # It lies among kathak; the model says odissi, and somebody who knows agrees with the model.
    feedback.keep(Subject(tmp_path / "upload-0.jpg", "odissi", 0.9), "odissi")
    build(photos, tmp_path / "dances", seed=8, corrections=feedback.corrections)
    import datasets

    rows = datasets.load_dataset(str(tmp_path / "dances"))
    counts = [split.features["label"].int2str(label) for split in rows.values() for label in split["label"]]
    assert {name: counts.count(name) for name in NAMES} == {"kathak": 3, "odissi": 5, "sattriya": 4}


def test_many_threads_and_processes_lose_nothing(feedback: Feedback, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from demo.feedback import Feedback, Subject\n"
        f"feedback = Feedback(Path(sys.argv[1]), {NAMES!r}, 'another')\n"
        "for _ in range(20): feedback.keep(Subject(Path(sys.argv[2]), 'kathak', 0.5), 'odissi')\n"
    )
    path = _upload(tmp_path, 99)
    others = [subprocess.Popen([sys.executable, "-c", program, feedback.folder, path], cwd=ROOT) for _ in range(2)]
    uploads = [_upload(tmp_path, seed) for seed in range(4)]

    def speak(path: Path) -> None:
        for _ in range(5):
            feedback.keep(Subject(path, "kathak", 0.5), "kathak", with_picture=True)

    threads = [threading.Thread(target=speak, args=[path]) for path in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(60) for other in others] == [0, 0]
    lines = _lines(feedback)
    assert len(lines) == 60
    assert all(None not in line.values() and None not in line for line in lines)
    assert len(list(feedback.photos.glob("kathak/*.jpg"))) == 4
    assert len(read_provenance(feedback.photos)) == 4


@pytest.mark.parametrize("torn", ['"abc","rel', '"' + "a" * 64 + '","relabel",', '"' + "a" * 64 + '","relabel","odi'])
def test_a_line_that_a_killed_process_left_is_taken_away(feedback: Feedback, tmp_path: Path, torn: str) -> None:
    subject = Subject(_upload(tmp_path), "kathak", 0.9)
    feedback.keep(subject, "odissi")
    before = feedback.corrections.read_bytes()
    feedback.corrections.write_bytes(before + torn.encode())
    feedback.keep(subject, "kathak")
    assert feedback.corrections.read_bytes().startswith(before + b'"')
    assert [line["label"] for line in _lines(feedback)] == ["odissi", "kathak"]


def test_a_line_that_somebody_typed_without_an_end_stays(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    typed = f"sha256,action,label\n{'a' * 64},delete,"
    (folder / "corrections.csv").write_text(typed)
    feedback = Feedback(folder, NAMES, "a model")
    feedback.keep(Subject(_upload(tmp_path), "kathak", 0.9), "odissi")
    assert feedback.corrections.read_text().startswith(typed + "\n")
    assert [c.action for c in read_corrections(feedback.corrections, NAMES)] == ["delete", "relabel"]


def test_a_full_folder_takes_no_more(folder: Path, tmp_path: Path) -> None:
    feedback = Feedback(folder, NAMES, "a model", limit=100_000)
    subject = Subject(_upload(tmp_path), "kathak", 0.9)
    (folder / "others").write_bytes(bytes(99_000))
    feedback.keep(subject, "odissi")
    with pytest.raises(FullError, match="No space left"):
        feedback.keep(subject, "odissi", with_picture=True)
    (folder / "others").write_bytes(bytes(100_000))
    with pytest.raises(FullError, match="No space left"):
        feedback.keep(subject, "odissi")
    assert len(_lines(feedback)) == 1
    assert list(feedback.photos.rglob("*.jpg")) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_leaves_what_was_there(tiny_disk: Path, tmp_path: Path) -> None:
    feedback = Feedback(tiny_disk / "feedback", NAMES, "a model")
    subject = Subject(_upload(tmp_path), "kathak", 0.9)
    feedback.keep(subject, "odissi")
    with pytest.raises(FullError, match="No space left"):
        feedback.keep(subject, "odissi", with_picture=True)
    assert len(_lines(feedback)) == 1
    assert list(feedback.folder.rglob("*.jpg")) == []
    assert list(feedback.folder.rglob("*.draft")) == []

    def fill() -> None:
        for _ in range(1000):
            feedback.keep(subject, "odissi")

    with pytest.raises(FullError, match="No space left"):
        fill()
    assert feedback.corrections.read_bytes().endswith(b"\n")
    # Each line is whole, and all are about one picture.
    assert len(read_corrections(feedback.corrections, NAMES)) == 1


def test_a_picture_that_is_gone_is_not_kept(feedback: Feedback, tmp_path: Path) -> None:
    subject = Subject(tmp_path / "gone.jpg", "kathak", 0.9)
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        feedback.keep(subject, "kathak")
    with pytest.raises(UnreadableError, match=r"read|here"):
        feedback.keep(subject, "kathak", with_picture=True)
    assert _lines(feedback) == []


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\\b", "x\0", 'a"b'])
def test_a_class_that_can_be_no_folder_keeps_no_pictures(folder: Path, tmp_path: Path, name: str) -> None:
    feedback = Feedback(folder, ["kathak", name], "a model")
    assert not feedback.takes_pictures
    feedback.keep(Subject(_upload(tmp_path), "kathak", 0.9), name, with_picture=True)
    (line,) = _lines(feedback)
    assert line["label"] == name
    assert sorted(path.name for path in tmp_path.rglob("*.jpg")) == ["upload-0.jpg"]


def test_it_is_off_unless_a_place_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("FEEDBACK_DIR", raising=False)
    assert open_feedback(NAMES, "a model") is None
    monkeypatch.setenv("FEEDBACK_DIR", str(folder))
    feedback = open_feedback(NAMES, "a model")
    assert feedback is not None
    assert feedback.takes_pictures
    assert feedback.corrections.read_text() == ",".join(COLUMNS) + "\n"


def test_a_place_that_can_not_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedbackError, match=r"FEEDBACK_DIR=.*file can't be written to \(.+\)"):
        Feedback(tmp_path / "file", NAMES, "a model")


def test_provenance_is_json_lines(feedback: Feedback, tmp_path: Path) -> None:
    feedback.keep(Subject(_upload(tmp_path), "kathak", 0.9), "kathak", with_picture=True)
    path = feedback.photos / "provenance.jsonl"
    path.write_text(path.read_text() + '{"file": "torn')
    feedback.keep(Subject(_upload(tmp_path, 1), "kathak", 0.9), "kathak", with_picture=True)
    assert [json.loads(line)["source"] for line in path.read_text().splitlines()] == ["feedback", "feedback"]
