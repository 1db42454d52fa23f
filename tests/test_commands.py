"""What the command lines say of themselves, and what they answer to a slip."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import ROOT

COMMANDS = [
    ("dataset_card", "sample"),
    ("dataset_card", "collect"),
    ("dataset_card", "build"),
    ("train", "lr-find"),
    ("train", "fit"),
    ("train", "cross-validate"),
    ("train", "evaluate"),
    ("train", "clean"),
    ("train", "static"),
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
