"""Pushes again and again, with one fault of the server at each step; in a process of its own.

HF_ENDPOINT is read when the clients are imported:

python -m tests.hub.fault_driver dataset|squash|model|space FOLDER NAMESPACE FAULT     prints one JSON line per step
"""

import contextlib
import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import disable_progress_bars, httpx

from hub.publish import PushOptions
from tests.hub.conftest import with_licenses

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "headers": {"Retry-After": "0"}},
    "503": {"status": 503},
    "500": {"status": 500},
    "drop": {"status": "drop"},
    "lose": {"status": "lose"},
    # Of what is uploaded: a byte flipped on the way, and a server that takes it slowly.
    "corrupt": {"status": "corrupt"},
    "slow": {"status": "slow", "delay": 0.05},
}


def steps(log: list[dict[str, Any]]) -> list[str]:
    """Returns a pattern for each kind of request that a push makes, in order, the repository's name left out."""
    kinds = []
    for entry in log:
        path = re.sub(r"\?.*", "", entry["url"])
        path = re.sub(r"^https?://[^/]+", "", path)
        kind = re.sub(r"/[0-9a-f]{16,}(?=/|$)", "/[0-9a-f]+", f"{entry['method']} {path}")
        kind = re.sub(r"(/|%2F)trial-\d+", r"\1trial-\\d+", kind)
        if kind not in kinds:
            kinds.append(kind)
    return kinds


def run(push: Callable[[str], object], repo_id: str) -> tuple[str, str]:
    """Pushes once; returns "" or the error's line, and all that was printed or logged."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            push(repo_id)
    except ValueError as error:
        return str(error), said.getvalue()
    finally:
        logging.getLogger().removeHandler(handler)
    return "", said.getvalue()


def main(kind: str, folder: Path, namespace: str, fault: str) -> None:
    """Runs one fault at every step."""
    disable_progress_bars()
    warnings.simplefilter("ignore")
    repo_type = "dataset" if kind == "squash" else kind

    def prepare(repo_id: str) -> None:
        """What is there before the push under test."""

    if repo_type == "dataset":
        from dataset_card.push import push_dataset

        squash = kind == "squash"

        def push(repo_id: str) -> object:
            return push_dataset(folder, repo_id, PushOptions(public=True, tag="v1", squash=squash, delete_tags=squash))

        if squash:
            unlicensed = with_licenses(folder, Path(os.environ["HF_HOME"]) / "unlicensed", ["unknown"])

            def prepare(repo_id: str) -> None:
                push_dataset(unlicensed, repo_id, PushOptions(tag="v1"))

        needed = {"README.md", "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"}
    elif kind == "model":
        from train.push import push_model

        def push(repo_id: str) -> object:
            return push_model(folder, repo_id, None, None, None, PushOptions(public=True, tag="v1"), lambda model: {})

        needed = {"README.md", "config.json", "model.safetensors"}
    else:
        from train.push import push_space

        def push(repo_id: str) -> object:
            data = {"id": None, "drawings": True}
            return push_space(repo_id, "alice/model", data, has_onnx=True, options=PushOptions(public=True))

        needed = {"README.md", "app.py", "requirements.txt", "model_folder/folder.py"}

    control = httpx.Client(base_url=os.environ["HF_ENDPOINT"], trust_env=False)
    api = HfApi()
    prepare(f"{namespace}/trial-0")
    control.delete("/_log")
    error, _ = run(push, f"{namespace}/trial-0")
    assert error == "", error
    uploads_only = fault in ("corrupt", "slow")
    for number, step in enumerate(steps(control.get("/_log").json()), start=1):
        if uploads_only and not step.startswith("PUT /" + ("" if kind == "model" else f"{repo_type}s/")):
            continue
        repo_id = f"{namespace}/trial-{number}"
        prepare(repo_id)
        control.post("/_faults", json={"next": 1, "match": step, **FAULTS[fault]})
        error, said = run(push, repo_id)
        hit = all(fault["next"] == 0 for fault in control.get("/_faults").json())
        control.delete("/_faults")
        try:
            there = set(api.list_repo_files(repo_id, repo_type=repo_type)) - {".gitattributes"}
        except HfHubHTTPError:
            there = set()
        again, _ = run(push, repo_id)
        commits = api.list_repo_commits(repo_id, repo_type=repo_type)
        answer = {
            "step": step,
            "hit": hit,
            "error": error,
            "said": said,
            "half": bool(there) and not needed <= there,
            "again": again,
            "whole": needed <= set(api.list_repo_files(repo_id, repo_type=repo_type)),
            "commits": sum("files changed" in commit.title for commit in commits),
            "spoiled": kind == "squash" and len(commits) > 1,
            "public": not api.repo_info(repo_id, repo_type=repo_type).private,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
