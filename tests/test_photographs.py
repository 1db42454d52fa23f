"""`make photographs` over an open web and a Hub on loopback, as whoever has the network runs it."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from tests.conftest import ROOT, wait_for
from tests.hub.conftest import ask
from tests.minihub.fixture import RunningHub, start_hub
from tests.openweb.commons import Commons, File
from tests.openweb.server import OpenWeb

PER_DANCE = 12
FIT = (
    "architecture=test_resnet image_size=64 batch_size=8 freeze_epochs=2 epochs=1 min_steps=0 num_workers=0"
    " mixed_precision=no"
)
# What is installed is there: it runs the tests.
MAKE = ["make", "-o", ".venv/runtime", "-o", ".venv/dev", "photographs"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    """A Hub that has timm's weights by their usual name."""
    weights = tmp_path / "model.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    with start_hub(tmp_path / "hub", users="hf_alice=alice:write:timm,hf_alice_read=alice:read") as hub:
        ask(
            hub,
            "from huggingface_hub import HfApi\n"
            "HfApi().create_repo('timm/test_resnet.r160_in1k')\n"
            f"HfApi().upload_file(path_or_fileobj={str(weights)!r}, path_in_repo='model.safetensors', "
            "repo_id='timm/test_resnet.r160_in1k')",
        )
        yield hub


@pytest.fixture
def web() -> Iterator[OpenWeb]:
    """Wikimedia Commons, with one picture of each dance that must not be published."""
    files = [
        File(f"{dance} {number}.jpg", 1000 * dance_number + number, license=license, date=f"2019-01-{1 + number:02d}")
        for dance_number, dance in enumerate(("Kathak", "Odissi"), 1)
        for number, license in enumerate(["CC BY-SA 4.0", "CC0"] * 6 + ["CC BY-NC 4.0"])
    ]
    members = {dance: [f.name for f in files if f.name.startswith(dance)] for dance in ("Kathak", "Odissi")}
    with OpenWeb().running() as web:
        Commons(files, members).put_on(web)
        yield web


def _make(folder: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    variables = [
        f"WEB={folder}",
        f"PER_DANCE={PER_DANCE}",
        "DANCES=kathak odissi",
        f"FIT={FIT}",
        "CLEAN=--no-browser",
        "FOLDS=2",
    ]
    return subprocess.run([*MAKE, *variables, *words], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_from_the_open_web_to_what_others_load(tmp_path: Path, hub: RunningHub, web: OpenWeb) -> None:
    folder, environment = tmp_path / "web", {**hub.environment(), **web.environment(), "OMP_NUM_THREADS": "1"}
    del environment["NRITYA_CONTACT"]

    # Killed while it collects, it goes on and fetches nothing twice.
    web.delay = 0.1
    words = [f"WEB={folder}", f"PER_DANCE={PER_DANCE}", "DANCES=kathak odissi", "CONTACT=me@example.org"]
    process = subprocess.Popen(
        [*MAKE, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
    )
    wait_for(lambda: len(list(folder.glob("photos/kathak/*.jpg"))) > 2 or process.poll() is not None, 60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    there = {path.name for path in folder.glob("photos/kathak/*.jpg")}
    assert 2 < len(there) < PER_DANCE
    web.delay = 0
    fetched = web.media()
    answer = _make(folder, environment, "CONTACT=me@example.org")
    assert answer.returncode == 0, answer.stderr
    again = Counter(web.media()[len(fetched) :])
    assert max(again.values()) == 1
    # A file that was on its way may be asked for again, one that had arrived may not.
    number_of = {int(re.findall(r"\d+", name)[0]) % 1000 for name in there}
    assert not {int(re.findall(r"_(\d+)\.jpg", path)[0]) for path in again if "Kathak" in path} & number_of
    assert all("me@example.org" in request.headers["User-Agent"] for request in web.requests)

    assert "test_resnet from hub weights" in answer.stdout
    assert "test accuracy" in answer.stdout
    assert "each judged by a model that never saw it" in answer.stdout
    assert "label_issues.csv: 20 pictures of train and validation" in answer.stdout
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {"dances/README.md", "run/model/metrics.json", "run/predictions.parquet", "run/label_issues.csv"} <= files

    # What it says to run is run, and loads back.
    commands = [line.split() for line in answer.stdout.splitlines() if line.startswith("  python -m ")]
    assert len(commands) == 2
    for _, *words in commands:
        pushed = subprocess.run(
            [sys.executable, *(word.replace("YOU/", "alice/") for word in words)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert pushed.returncode == 0, shlex.join(words) + pushed.stderr
        assert "(public)" in pushed.stdout
    rows = json.loads(
        ask(
            hub,
            "import json, datasets\ndances = datasets.load_dataset('alice/dances')\n"
            "print(json.dumps([[r['license'], r['author'], r['source_url']] for s in dances.values() for r in s]))",
        ).splitlines()[-1]
    )
    assert Counter(license for license, _, _ in rows) == {"cc-by-sa-4.0": 12, "cc0-1.0": 12}
    assert {author for _, author, _ in rows} == {"Mira"}
    assert all(url.startswith("https://commons.wikimedia.org/wiki/File:") for _, _, url in rows)
    labels = ask(
        hub,
        "import timm\nfrom transformers import AutoModelForImageClassification as Auto\n"
        "print(timm.create_model('hf-hub:alice/dances-model', pretrained=True).pretrained_cfg['label_names'])\n"
        "print(Auto.from_pretrained('alice/dances-model').config.id2label)",
    )
    assert "['kathak', 'odissi']" in labels
    assert "{0: 'kathak', 1: 'odissi'}" in labels

    # A second time everything is there: nothing is fetched and nothing trained.
    requests = len(web.requests)
    answer = _make(folder, environment)
    assert answer.returncode == 0, answer.stderr
    assert len(web.requests) == requests
    assert "to learn from" not in answer.stdout
    assert "To publish both" in answer.stdout


def test_without_a_network_one_line_says_so_at_once(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "NRITYA_COMMONS_API": f"{nowhere}/w/api.php",
        "NRITYA_WIKIDATA_API": f"{nowhere}/wikidata/api.php",
        "NO_PROXY": "127.0.0.1",
    }
    answer = _make(tmp_path / "web", environment, "CONTACT=me@example.org")
    assert answer.returncode == 2
    (line,) = [line for line in answer.stderr.splitlines() if "error: " in line]
    assert "127.0.0.1 can't be reached" in line
    assert "check the network" in line
    assert "Traceback" not in answer.stderr


def test_somebody_has_to_be_there_to_write_to(tmp_path: Path) -> None:
    answer = _make(tmp_path / "web", dict(os.environ))
    assert answer.returncode == 2
    first, _ = answer.stderr.splitlines()
    assert first == "error: servers want to know whom to write to: make photographs CONTACT=you@example.org"
    assert not (tmp_path / "web").exists()
