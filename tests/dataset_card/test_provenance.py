from pathlib import Path

import pytest

from dataset_card.provenance import (
    Provenance,
    append_provenance,
    match_provenance,
    read_provenance,
    write_provenance,
)
from files.errors import UserError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    known = Provenance("odissi/b.jpg", "commons", "https://x", author="Ravi", license="cc-by-4.0")
    records = [known, Provenance("kathak/a.jpg")]
    write_provenance(tmp_path, records)
    assert read_provenance(tmp_path) == {record.file: record for record in records}
    assert read_provenance(tmp_path)["kathak/a.jpg"].license == "unknown"


def test_no_file_no_provenance(tmp_path: Path) -> None:
    assert read_provenance(tmp_path) == {}


def test_fields_of_others_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "provenance.jsonl").write_text('{"file": "a.jpg", "camera": "X", "author": null}\n\n')
    assert read_provenance(tmp_path) == {"a.jpg": Provenance("a.jpg")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON"),
        ('{"file": "a", "x": ' + 5000 * "1" + "}", "line 1: not JSON"),
        (100_000 * "[", "line 1: not JSON"),
        ("[]", 'expected an object with "file"'),
        ('{"file": null}', 'expected an object with "file"'),
        ('{"file": 3}', "file must be text"),
        (r'{"file": "a", "title": "\ud83d"}', "title must be text"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "provenance.jsonl").write_text(line)
    with pytest.raises(UserError, match=message):
        read_provenance(tmp_path)


def test_text_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "provenance.jsonl").write_bytes('{"file": "é.jpg"}'.encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_provenance(tmp_path)


def test_no_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "provenance.jsonl").mkdir()
    with pytest.raises(UserError, match=r"provenance.jsonl can't be read .Is a directory"):
        read_provenance(tmp_path)


def test_the_last_word_counts(tmp_path: Path) -> None:
    append_provenance(tmp_path, Provenance("a.jpg", license="unknown"))
    append_provenance(tmp_path, Provenance("b.jpg"))
    append_provenance(tmp_path, Provenance("a.jpg", license="cc0-1.0"))
    assert read_provenance(tmp_path)["a.jpg"].license == "cc0-1.0"


@pytest.mark.parametrize(("left", "files"), [('{"file": "a.j', ["b.jpg"]), ('{"file": "a.jpg"}', ["a.jpg", "b.jpg"])])
def test_a_line_without_an_end_is_finished_or_removed(tmp_path: Path, left: str, files: list[str]) -> None:
    (tmp_path / "provenance.jsonl").write_text(left)
    append_provenance(tmp_path, Provenance("b.jpg"))
    assert list(read_provenance(tmp_path)) == files


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("kathak/Cafe\u0301.jpg", "kathak/Caf\u00e9.jpg"),
        ("kathak/Caf\u00e9.jpg", "kathak/Cafe\u0301.jpg"),
        ("kathak\\tour\\a.jpg", "kathak/tour/a.jpg"),
        ("./kathak//a.jpg", "kathak/a.jpg"),
    ],
)
def test_a_path_is_matched_as_another_system_spells_it(written: str, found: str) -> None:
    matched, unmatched = match_provenance([found], {written: Provenance(written, author="Ravi")})
    assert [record.author for record in matched] == ["Ravi"]
    assert unmatched == []


def test_a_file_whose_own_name_is_written_is_not_taken_for_another() -> None:
    records = {name: Provenance(name, author=name) for name in ("k/a\\b.jpg", "k/a/b.jpg")}
    matched, unmatched = match_provenance(list(records), records)
    assert [record.author for record in matched] == list(records)
    assert unmatched == []


def test_lines_that_match_no_file_are_returned(tmp_path: Path) -> None:
    lines = '{"file": "kathak/a.jpg", "author": "Ravi"}\n{"file": "katak/b.jpg", "author": "Uma"}\n'
    (tmp_path / "provenance.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    matched, unmatched = match_provenance(["kathak/a.jpg", "kathak/b.jpg"], read_provenance(tmp_path))
    assert [record.author for record in matched] == ["Ravi", ""]
    assert [record.license for record in matched] == ["unknown", "unknown"]
    assert unmatched == ["katak/b.jpg"]
