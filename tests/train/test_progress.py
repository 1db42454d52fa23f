import io
import sys
import time
from collections.abc import Iterator

import pytest

from train.progress import progress


def _slowly(count: int) -> Iterator[int]:
    for number in range(count):
        time.sleep(0.6)
        yield number


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_file_gets_one_line_when_it_took_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(_slowly(2), "Predicting", "batches")) == [0, 1]
    assert capsys.readouterr().err == "Predicting: 2 batches in 1 s\n"
    assert list(progress(range(9), "Predicting", "batches")) == list(range(9))
    assert list(progress(_slowly(2), "Predicting", "batches", hidden=True)) == [0, 1]
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress(_slowly(3), "Predicting", "batches")) == [0, 1, 2]
    assert "Predicting: " in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")
    assert "\n" not in terminal.getvalue()
