"""A Hub on loopback, and the commands run against it as their users run them."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.minihub.fixture import RunningHub, start_hub

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with start_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="session")
def xet_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with start_hub(tmp_path_factory.mktemp("xet-hub"), xet=True) as hub:
        yield hub


def run(hub: RunningHub, *words: object, **identity: Any) -> subprocess.CompletedProcess[str]:
    """Runs `python WORDS...` as a user of the Hub; checks that no token is ever said."""
    answer = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=hub.environment(**identity),
        capture_output=True,
        text=True,
        timeout=120,
    )
    for token in (hub.token, hub.read_token, hub.other_token, "hf_nobody"):
        assert token not in answer.stdout + answer.stderr
    return answer


def push(hub: RunningHub, package: str, *words: object, **identity: Any) -> str:
    """Runs `python -m PACKAGE push ...`, which must work, and returns its last line."""
    answer = run(hub, "-m", package, "push", *words, **identity)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip().splitlines()[-1]


def refused(hub: RunningHub, package: str, *words: object, **identity: Any) -> str:
    """Runs `python -m PACKAGE push ...`, which must end with one clear line and exit code 2; returns it."""
    answer = run(hub, "-m", package, "push", *words, **identity)
    assert answer.returncode == 2, answer.stderr
    lines = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    return lines[0]


def ask(hub: RunningHub, code: str, **identity: Any) -> str:
    """Runs Python code with the unmodified clients in a process of its own; returns what it prints."""
    answer = run(hub, "-c", code, **identity)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


STATE = """
import json
from huggingface_hub import HfApi
api, of = HfApi(), {"repo_id": "REPO", "repo_type": "TYPE"}
refs = api.list_repo_refs(**of)
print(json.dumps({
    "private": api.repo_info(**of).private,
    "files": sorted(set(api.list_repo_files(**of)) - {".gitattributes"}),
    "titles": [commit.title for commit in api.list_repo_commits(**of)],
    "commits": [commit.commit_id for commit in api.list_repo_commits(**of)],
    "refs": {"branches": [ref.name for ref in refs.branches], "tags": [ref.name for ref in refs.tags]},
}))
"""


def state_of(hub: RunningHub, repo_id: str, repo_type: str = "dataset") -> dict[str, Any]:
    """Returns what the Hub says of a repository: visibility, files, commits, branches and tags."""
    return json.loads(ask(hub, STATE.replace("REPO", repo_id).replace("TYPE", repo_type)))


def with_licenses(dataset_folder: Path, folder: Path, licenses: list[str]) -> Path:
    """Copies a dataset folder, the first pictures of its test split under other licences, without authors."""
    shutil.copytree(dataset_folder, folder)
    path = folder / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    blank = [""] * len(licenses)
    for name, values in (("license", licenses), ("author", blank), ("source_url", blank)):
        column = table.schema.get_field_index(name)
        rest = table[name].to_pylist()[len(licenses) :]
        table = table.set_column(column, table.schema.field(column), pa.array([*values, *rest], pa.string()))
    pq.write_table(table, path)
    return folder


@pytest.fixture(scope="session")
def pushed_model(hub: RunningHub, model_folder: Path) -> str:
    """The id of a private model on the Hub."""
    push(hub, "train", model_folder, "alice/dances-model")
    return "alice/dances-model"
