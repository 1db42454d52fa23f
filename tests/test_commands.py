"""What the command lines say of themselves, and what they answer to a slip."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from train.__main__ import _loading

COMMANDS = [
    ("dataset_card", "sample"),
    ("dataset_card", "collect"),
    ("dataset_card", "build"),
    ("train", "lr-find"),
    ("train", "fit"),
    ("train", "cross-validate"),
    ("train", "evaluate"),
    ("train", "predict"),
    ("train", "clean"),
    ("train", "static"),
    ("train", "push"),
]


@pytest.mark.parametrize(("package", "command"), COMMANDS)
def test_help_has_an_example(cli: Callable[..., tuple[int, str, str]], package: str, command: str) -> None:
    code, out, _ = cli(package, command, "--help")
    assert code == 0
    assert re.search(rf"Example: python -m {package} {command} \S+", out)


@pytest.mark.parametrize(("package", "command"), COMMANDS)
def test_a_missing_argument_is_a_mistake(cli: Callable[..., tuple[int, str, str]], package: str, command: str) -> None:
    code, _, err = cli(package, command)
    assert code == 2
    assert "Missing argument" in err


def test_the_parts_never_import_each_other_and_the_dataset_part_no_torch() -> None:
    allowed = {"dataset_card": set(), "train": {"torch"}}
    for package, may in allowed.items():
        modules = [p.relative_to(ROOT).with_suffix("") for p in sorted((ROOT / package).rglob("*.py"))]
        names = [".".join(module.parts) for module in modules if module.name not in ("__init__", "__main__")]
        assert len(names) > 10
        watched = "{'torch', 'train', 'dataset_card', 'app'}"
        code = f"import {', '.join(names)}, sys; print(sorted({watched} & set(sys.modules)))"
        answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == str(sorted({package, *may}))


def test_a_command_ends_with_the_next(
    cli: Callable[..., tuple[int, str, str]], dataset_folder: Path, run_folder: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    code, out, err = cli("train", "evaluate", run / "model", f"dataset={dataset_folder}", "reuse_predictions=true")
    assert code == 0, err
    again = f"{run / 'recipe.yaml'} output_dir={run} dataset={dataset_folder}"
    assert out.endswith(f"Next: python -m train cross-validate {again}\n")


def test_a_terminal_reads_what_takes_so_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with _loading():
        time.sleep(1.2)
    with _loading():
        pass
    assert capsys.readouterr().err == "loading PyTorch and datasets ...\n"
