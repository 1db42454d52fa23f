from pathlib import Path

import pytest

from dataset_card.lists import (
    Correction,
    Removed,
    read_corrections,
    read_removed,
    read_spreadsheet,
    write_removed,
)
from files.errors import UserError

LABELS = ["kathak", "odissi"]
A, B = "a" * 64, "b" * 64


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "corrections.csv"
    path.write_text(text)
    return path


def test_the_last_decision_about_a_picture_counts(tmp_path: Path) -> None:
    text = f"sha256,action,label,when\n{A},delete,,1\n{B},relabel,odissi,2\n{A},keep,,3\n"
    assert read_corrections(_file(tmp_path, text), LABELS) == [
        Correction(A, "keep"),
        Correction(B, "relabel", "odissi"),
    ]


def test_a_label_beside_another_action_means_nothing(tmp_path: Path) -> None:
    assert read_corrections(_file(tmp_path, f"sha256,action,label\n{A},keep,tango\n"), LABELS) == [
        Correction(A, "keep")
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("abc,keep,", "line 2: 'abc' is no sha256 of 64 hex digits"),
        (f"{A},burn,", "line 2: 'burn' is no action: use keep, delete or relabel"),
        (f"{A},relabel,tango", "line 2: 'tango' is none of the classes: use one of kathak, odissi"),
        (f"{A},relabel,", "line 2: '' is none of the classes"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_corrections(_file(tmp_path, f"sha256,action,label\n{line}\n"), LABELS)


def test_no_file_no_removals(tmp_path: Path) -> None:
    assert read_removed(tmp_path) == Removed()


def test_pictures_are_named_by_hash_or_page(tmp_path: Path) -> None:
    (tmp_path / "removed.csv").write_text(
        f"sha256,source_url,reason,date\n{A},,asked by the dancer,2026-11-01\n,https://x/1,,2026-11-02\n"
    )
    removed = read_removed(tmp_path)
    assert removed.sha256s == {A}
    assert removed.pages == {"https://x/1"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("abc,,,", "line 2: 'abc' is no sha256 of 64 hex digits"),
        (",,because,", "line 2: names neither a sha256 nor a source_url"),
    ],
)
def test_a_line_that_removes_nothing_stops_the_build(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "removed.csv").write_text(f"sha256,source_url,reason,date\n{line}\n")
    with pytest.raises(UserError, match=message):
        read_removed(tmp_path)


PLAIN = f"sha256,action,label,note\n{A},delete,,\n{B},relabel,odissi,late\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode("utf-8-sig"),
        PLAIN.replace(",", ";").encode(),
        f"sep=;\r\n{PLAIN}".replace(",", ";").encode("utf-8-sig"),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace(A, A.upper()).replace("delete", "Delete").encode(),
        PLAIN.replace("sha256", "SHA256").replace(",label,", ", Label ,").encode(),
        f"{PLAIN},,,\n\n".encode(),
        PLAIN.replace(f"{A},delete,,", f'"{A}","delete","","two\nlines, with ""quotes"""').encode(),
        PLAIN.replace("delete,,", "delete").encode(),
    ],
)
def test_however_a_spreadsheet_saves_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "corrections.csv").write_bytes(content)
    assert read_corrections(tmp_path / "corrections.csv", ["odissi"]) == [
        Correction(A, "delete"),
        Correction(B, "relabel", "odissi"),
    ]


def test_a_takedown_list_is_read_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "removed.csv").write_bytes(f"SHA256;Source_URL;Reason\r\n{A.upper()};;\r\n".encode("utf-8-sig"))
    assert read_removed(tmp_path).sha256s == {A}


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('a,b\n\n1,"two\nlines"\n3,4\n')
    assert [number for number, _ in read_spreadsheet(tmp_path / "list.csv", ["a"])] == [4, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hash,action,label\n", "list.csv has no column sha256 on top: give a CSV file with sha256, action"),
        (b"", "list.csv has no column sha256, action on top"),
        (b'sha256,action\n1,"delete\n2,delete\n', "list.csv can't be read .unexpected end of data.: give"),
        (b"sha256,action\n\xe9,delete\n", "list.csv can't be read .*utf-8"),
    ],
)
def test_what_can_not_be_read_is_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(read_spreadsheet(tmp_path / "list.csv", ["sha256", "action"]))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"list.csv can't be read .*No such file.*: give a CSV file with sha256"):
        list(read_spreadsheet(tmp_path / "list.csv", ["sha256"]))


def test_hashes_alone_are_published(tmp_path: Path) -> None:
    removed = Removed(frozenset({A}), frozenset({"https://x/anna"}), ((A, "2026-11-01"),))
    write_removed(tmp_path, removed, [B])
    assert (tmp_path / "removed.csv").read_text().splitlines() == ["sha256,date", f"{A},2026-11-01", f"{B},"]
    # Whoever builds on it reads what was written.
    assert read_removed(tmp_path).sha256s == {A, B}
