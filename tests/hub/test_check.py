import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.hub.conftest import push, run
from tests.minihub.fixture import RunningHub


@pytest.fixture(scope="module")
def checked(hub: RunningHub, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a private dataset: v1 is without a fault, main has a card with two."""
    push(hub, "dataset_card", dataset_folder, "alice/checked", "--tag", "v1")
    faulty = shutil.copytree(dataset_folder, tmp_path_factory.mktemp("faulty") / "dances")
    card = (faulty / "README.md").read_text()
    card = card.replace("num_examples: 48", "num_examples: 480").replace(
        "figures/contact_sheet.jpg", "figures/sheet.jpg"
    )
    (faulty / "README.md").write_text(card)
    push(hub, "dataset_card", faulty, "alice/checked")
    return "alice/checked"


def _check(hub: RunningHub, *words: str, **identity: Any) -> subprocess.CompletedProcess[str]:
    return run(hub, "-m", "dataset_card", "check", *words, **identity)


def _refused(hub: RunningHub, *words: str, **identity: Any) -> str:
    answer = _check(hub, *words, **identity)
    assert answer.returncode == 2, answer.stderr
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    return answer.stderr


def test_a_revision_without_a_fault_is_read_without_being_kept(hub: RunningHub, checked: str, tmp_path: Path) -> None:
    answer = _check(hub, f"{checked}@v1", home=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.splitlines()[-1] == "alice/checked@v1: 64 pictures, 0 found, 1 noted"
    assert "content            ok" in answer.stdout
    kept = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 20_000]
    assert not kept


def test_faults_of_the_main_branch(hub: RunningHub, checked: str) -> None:
    answer = _check(hub, checked)
    assert answer.returncode == 1, answer.stderr
    assert "all, train: 480, but there are 48" in answer.stdout
    assert "pictures in the card that are not there: figures/sheet.jpg" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "alice/checked: 64 pictures, 2 found, 1 noted"


def test_what_the_hub_does_not_give(hub: RunningHub, checked: str) -> None:
    nowhere = "there is no such repository, or the token may not see it"
    assert nowhere in _refused(hub, checked, token=None)
    assert nowhere in _refused(hub, "alice/nowhere")
    assert "it has no such revision" in _refused(hub, f"{checked}@v9")


def test_a_repository_without_pictures(hub: RunningHub) -> None:
    code = """
from huggingface_hub import HfApi
HfApi().create_repo("alice/empty", repo_type="dataset")
"""
    assert run(hub, "-c", code).returncode == 0
    assert "alice/empty can't be read as a dataset" in _refused(hub, "alice/empty")


def test_a_file_that_the_hub_refuses(hub: RunningHub, checked: str) -> None:
    hub.faults([{"match": "train-00000-of-00001.parquet", "status": 403, "next": 50}])
    message = _refused(hub, f"{checked}@v1")
    hub.clear_faults()
    assert "reading alice/checked@v1: " in message


def test_a_hub_that_is_not_there(hub: RunningHub, checked: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "dataset_card", "check", checked],
        cwd=ROOT,
        env=hub.environment() | {"HF_ENDPOINT": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 2
    assert "error: reading alice/checked: the connection to the Hub broke" in answer.stderr
