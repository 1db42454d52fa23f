from pathlib import Path

import pytest

from dataset_card.provenance import Provenance, ProvenanceError, read_provenance, write_provenance


def test_what_is_written_is_read(tmp_path: Path) -> None:
    records = [Provenance("odissi/b.jpg", "commons", "https://x", "Ravi", "cc-by-4.0"), Provenance("kathak/a.jpg")]
    write_provenance(tmp_path, records)
    assert read_provenance(tmp_path) == {record.file: record for record in records}
    assert read_provenance(tmp_path)["kathak/a.jpg"].license == "unknown"


def test_no_file_no_provenance(tmp_path: Path) -> None:
    assert read_provenance(tmp_path) == {}


def test_fields_of_others_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "provenance.jsonl").write_text('{"file": "a.jpg", "sha1": "00", "author": null}\n\n')
    assert read_provenance(tmp_path) == {"a.jpg": Provenance("a.jpg")}


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "line 1: not JSON"), ("[]", 'expected an object with "file"'), ('{"file": 3}', "file must be text")],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "provenance.jsonl").write_text(line)
    with pytest.raises(ProvenanceError, match=message):
        read_provenance(tmp_path)
