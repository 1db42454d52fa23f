"""Every fault of the server at every step of a push: waited for, or one clear line, and the same command finishes."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.hub.fault_driver import FAULTS
from tests.minihub.fixture import start_hub

STEPS = {"whoami", "create", "preupload", "commit/main", "settings"}
# A Space is small text: nothing of it is stored apart, and nothing is tagged.
MORE_STEPS = {"objects/batch", "PUT ", "refs", "tag/"}
# The repository is there already, with a shard and a tag that nobody must see.
SQUASH_STEPS = STEPS - {"create"} | MORE_STEPS | {"super-squash", "DELETE ", "lfs-files", "lfs-files/batch"}


def _drive(kind: str, folder: Path, fault: str, root: Path) -> list[dict]:
    with start_hub(root / f"{kind}-{fault}") as hub:
        answer = subprocess.run(
            [sys.executable, "-m", "tests.hub.fault_driver", kind, str(folder), hub.user, fault],
            cwd=ROOT,
            env=hub.environment(),
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, answer.stderr
        assert hub.token not in answer.stdout + answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.mark.parametrize("kind", ["dataset", "squash", "model", "space"])
def test_each_fault_at_each_step(kind: str, dataset_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    folder = dataset_folder if kind in ("dataset", "squash") else model_folder
    expected = {"space": STEPS, "squash": SQUASH_STEPS}.get(kind, STEPS | MORE_STEPS)
    # Most of the time is waiting, as the clients do before they try again.
    with ThreadPoolExecutor(len(FAULTS)) as pool:
        reports = dict(zip(FAULTS, pool.map(lambda fault: _drive(kind, folder, fault, tmp_path), FAULTS), strict=True))
    for fault, steps in reports.items():
        if fault in ("corrupt", "slow"):
            assert bool(steps) == (kind != "space")
        else:
            assert {step for step in expected if not any(step in report["step"] for report in steps)} == set()
        for report in steps:
            where = f"{fault} at {report['step']}"
            assert report["hit"], where
            if fault in ("429", "503", "slow"):
                assert report["error"] == "", where
            if report["error"]:
                assert "run the same command again" in report["error"], where
                assert "\n" not in report["error"], where
            assert not report["half"], where
            assert report["again"] == "", where
            assert report["whole"], where
            assert report["public"], where
            assert not report["spoiled"], where
            assert report["commits"] == 1, where
