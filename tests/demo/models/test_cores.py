import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.models.cores import usable_cores
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000\n", 99), ("200000 100000\n", 2), ("150000 100000\n", 2), ("5000 100000\n", 1)]
)
def test_a_containers_limit_counts(tmp_path: Path, text: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path / "cpu.max") == min(cores, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("text", ["", "a lot", "1 2 3"])
def test_what_can_not_be_read_limits_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert usable_cores(tmp_path / "cpu.max") == usable_cores(tmp_path / "none") == len(os.sched_getaffinity(0))


def test_cores_that_are_given_to_others_do_not_count() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from demo.models.cores import usable_cores; print(usable_cores())"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "1\n"
