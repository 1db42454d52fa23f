from pathlib import Path

import pytest

from dataset_card.curate.lists import Correction, read_corrections
from dataset_card.curate.lists import read_removed
from dataset_card.curate.lists import SpreadsheetError, read_spreadsheet

A, B = "a" * 64, "b" * 64
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
    with pytest.raises(SpreadsheetError, match=message):
        list(read_spreadsheet(tmp_path / "list.csv", ["sha256", "action"]))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        SpreadsheetError, match=r"list.csv can't be read .*No such file.*: give a CSV file with sha256"
    ):
        list(read_spreadsheet(tmp_path / "list.csv", ["sha256"]))
