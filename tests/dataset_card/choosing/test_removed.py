from pathlib import Path

import pytest

from dataset_card.curate.lists import RemovedError, read_removed

A = "a" * 64


def test_no_file_no_removals(tmp_path: Path) -> None:
    assert not read_removed(tmp_path).lines


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
    with pytest.raises(RemovedError, match=message):
        read_removed(tmp_path)
