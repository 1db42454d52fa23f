import multiprocessing
import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dataset_card.lists import read_corrections
from tests.conftest import wait_for
from train.cleaner.decisions import CorrectionsError, Decision, DecisionLog

# Forked from a process that has no threads.
CONTEXT = multiprocessing.get_context("forkserver")
NAMES = ["kathak", "kathakali", 'a "quoted", one']


def _sha(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def log(tmp_path: Path) -> DecisionLog:
    return DecisionLog(tmp_path / "corrections.csv", NAMES)


def test_build_reads_what_was_decided(log: DecisionLog) -> None:
    assert log.lines() == []
    for number, (action, label) in enumerate([("keep", ""), ("delete", ""), ("relabel", NAMES[2])]):
        assert log.decide(Decision(_sha(number), action, label), None)
    again = Decision(_sha(1), "relabel", "kathakali")
    assert log.decide(again, Decision(_sha(1), "delete"))
    assert log.path.read_text().splitlines()[0] == "sha256,action,label"
    read = {line.sha256: (line.action, line.label) for line in read_corrections(log.path, NAMES)}
    assert read == {
        _sha(0): ("keep", ""),
        _sha(1): ("relabel", "kathakali"),
        _sha(2): ("relabel", NAMES[2]),
    }
    assert read == {sha256: (d.action, d.label) for sha256, d in log.current().items()}


def test_who_saw_something_else_changes_nothing(log: DecisionLog) -> None:
    log.decide(Decision(_sha(1), "delete"), None)
    before = log.path.read_bytes()
    assert not log.decide(Decision(_sha(1), "keep"), None)
    assert log.path.read_bytes() == before


def test_undo_brings_back_what_counted_before(log: DecisionLog) -> None:
    log.decide(Decision(_sha(1), "delete"), None)
    log.decide(Decision(_sha(2), "keep"), None)
    log.decide(Decision(_sha(1), "relabel", "kathak"), Decision(_sha(1), "delete"))
    assert log.undo() == Decision(_sha(1), "relabel", "kathak")
    assert log.current() == {_sha(1): Decision(_sha(1), "delete"), _sha(2): Decision(_sha(2), "keep")}
    assert log.undo() == Decision(_sha(2), "keep")
    assert log.undo() == Decision(_sha(1), "delete")
    assert log.undo() is None
    assert log.path.read_text() == "sha256,action,label\n"
    log.decide(Decision(_sha(3), "keep"), None)
    assert list(log.current()) == [_sha(3)]


@pytest.mark.parametrize(
    "cut", [f"{_sha(2)},del", f'{_sha(2)},relabel,"kathak', _sha(2)[:30], "\0" * 40, f'{_sha(2)},relabel,"']
)
def test_a_line_that_was_cut_short_was_never_decided(log: DecisionLog, cut: str) -> None:
    log.decide(Decision(_sha(1), "delete"), None)
    with log.path.open("a") as file:
        file.write(cut)
    again = DecisionLog(log.path, NAMES)
    assert list(again.current()) == [_sha(1)]
    again.decide(Decision(_sha(2), "keep"), None)
    assert log.path.read_text() == f"sha256,action,label\n{_sha(1)},delete,\n{_sha(2)},keep,\n"


def test_a_last_line_that_somebody_typed_counts(log: DecisionLog) -> None:
    log.path.write_text(f"sha256,action,label\r\n{_sha(1)},relabel,kathak")
    log.decide(Decision(_sha(2), "keep"), None)
    assert list(log.current().values()) == [Decision(_sha(1), "relabel", "kathak"), Decision(_sha(2), "keep")]
    assert len(read_corrections(log.path, NAMES)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{_sha(1)},relabel,tango\n", r"line 2: 'tango' is none of the classes: use one of kathak, kathakali"),
        ("abc,keep,\n", r"line 2: 'abc' is no sha256 of 64 hex digits"),
        (f"{_sha(1)},keep,\n\n{_sha(1)},burn,\n", r"line 4: 'burn' is no action: use keep, delete or relabel"),
        (f'{_sha(1)},"keep,\n\n', "can't be read"),
    ],
)
def test_what_can_not_be_meant(log: DecisionLog, content: str, message: str) -> None:
    log.path.write_text(f"sha256,action,label\n{content}")
    with pytest.raises(CorrectionsError, match=message):
        DecisionLog(log.path, NAMES)


@pytest.mark.parametrize("head", ["sha256;action;label\n", "sha256,action,label,why\n", "file,label\n"])
def test_a_file_of_another_make_is_not_added_to(log: DecisionLog, head: str) -> None:
    log.path.write_text(head)
    with pytest.raises(CorrectionsError, match=r"begins with .* so that no line can be added"):
        DecisionLog(log.path, NAMES)
    assert log.path.read_text() == head


def _write(path: Path, first: int, count: int) -> None:
    log = DecisionLog(path, NAMES)
    for number in range(first, first + count):
        assert log.decide(Decision(_sha(number), "relabel", "kathakali"), None)


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    writers = [CONTEXT.Process(target=_write, args=(path, first, 60)) for first in (0, 1000)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(DecisionLog(path, NAMES).lines()) == 120
    assert path.read_text().count("sha256") == 1


def _write_and_say(path: Path, first: int, answers: Connection) -> None:
    log = DecisionLog(path, NAMES)
    for number in range(first, 10_000):
        log.decide(Decision(_sha(number), "delete"), None)
        answers.send_bytes(b".")


def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    path, chance, answered = tmp_path / "corrections.csv", random.Random(8), 0
    for _ in range(5):
        reading, writing = CONTEXT.Pipe(duplex=False)
        before = len(DecisionLog(path, NAMES).lines())
        writer = CONTEXT.Process(target=_write_and_say, args=(path, before, writing))
        writer.start()
        writing.close()
        wait_for(lambda before=before: len(DecisionLog(path, NAMES).lines()) > before, 20)
        time.sleep(chance.uniform(0, 0.05))
        writer.kill()
        writer.join()
        answered = before
        with suppress(EOFError):
            while reading.recv_bytes():
                answered += 1
        found = len(DecisionLog(path, NAMES).lines())
        # The last one may have been written and not answered any more.
        assert answered <= found <= answered + 1
    assert answered > 5


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_decides_nothing(tiny_disk: Path, tmp_path: Path) -> None:
    log = DecisionLog(tiny_disk / "corrections.csv", NAMES)
    log.path.write_bytes(b"sha256,action,label\n" + b"".join(f"{_sha(n)},delete,\n".encode() for n in range(55)))
    with pytest.raises(OSError, match="No space left on device"):
        log.decide(Decision(_sha(100), "delete"), None)
    assert len(log.lines()) == 55
    assert log.path.read_text().endswith(",delete,\n")
    log.undo()
    log.decide(Decision(_sha(999), "keep"), None)
