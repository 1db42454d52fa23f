"""Training from a Hub id: streamed without storing it, and by two processes of which one asks the Hub."""

import json
import re
import shutil
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.hub.conftest import push, run
from tests.minihub.fixture import RunningHub
from tests.train.conftest import load_flat

LAUNCH = [
    "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no",
    "--dynamo_backend=no", "--main_process_port=0",
]  # fmt: skip
FIT = ["train", "fit", "recipes/debug.yaml"]


@pytest.fixture(scope="module")
def sharded_folder(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset, its training split in four shards of four row groups."""
    folder = shutil.copytree(dataset_folder, tmp_path_factory.mktemp("sharded") / "dances")
    [whole] = (folder / "data").glob("train-*.parquet")
    table = pq.read_table(whole)
    whole.unlink()
    for number in range(4):
        shard = folder / "data" / f"train-{number:05d}-of-00004.parquet"
        pq.write_table(table.slice(12 * number, 12), shard, row_group_size=3)
    return folder


@pytest.fixture(scope="module")
def sharded(hub: RunningHub, sharded_folder: Path) -> str:
    """Its id on the Hub."""
    push(hub, "dataset_card", sharded_folder, "alice/sharded")
    return "alice/sharded"


def test_a_stream_is_read_in_pieces_and_never_stored(
    hub: RunningHub, sharded: str, sharded_folder: Path, tmp_path: Path
) -> None:
    hub.clear_log()
    words = [f"dataset={sharded}", f"output_dir={tmp_path / 'run'}", "streaming=true", "epochs=1"]
    answer = run(hub, "-m", *LAUNCH, "-m", *FIT, *words, home=tmp_path / "home")
    assert answer.returncode == 0, answer.stderr
    assert "48 pictures to learn from, 8 to validate, 8 classes" in answer.stdout

    shards = sorted((sharded_folder / "data").glob("train-*.parquet"))
    sizes = {shard.name: shard.stat().st_size for shard in shards}
    asked = [entry for entry in hub.log() if re.search(r"/train-\d+-of-00004.parquet", entry["url"])]
    assert {Path(entry["url"]).name for entry in asked} == set(sizes)
    for entry in asked:
        if entry["method"] == "GET":
            first, last = map(int, re.findall(r"\d+", entry["range"]))
            assert last - first + 1 < sizes[Path(entry["url"]).name]
    stored = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert any(path.name.startswith("validation-") for path in stored)
    assert not any("train" in path.name for path in stored)
    assert sum(path.stat().st_size for path in stored if not path.is_symlink()) < sum(sizes.values()) / 2

    # What a stream does not hold is known all the same.
    config = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert config["training_data"]["pictures"] == 48
    assert sum(config["training_data"]["licenses"].values()) == 48
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert data["train"] == config["training_data"]["fingerprint"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 2


def test_one_process_asks_the_hub(hub: RunningHub, sharded: str, tmp_path: Path) -> None:
    logs = []
    for name, launch in (("one", ["-m"]), ("two", ["-m", *LAUNCH, "-m"])):
        hub.clear_log()
        words = [f"dataset={sharded}", f"output_dir={tmp_path / name}", "epochs=0"]
        answer = run(hub, *launch, *FIT, *words, home=tmp_path / "homes" / name)
        assert answer.returncode == 0, answer.stderr
        logs.append(sorted((entry["method"], re.sub(r"\?.*", "", entry["url"])) for entry in hub.log()))
    assert len(logs[0]) > 5
    assert logs[0] == logs[1]


def test_a_stream_breaks_with_one_line(hub: RunningHub, sharded: str, tmp_path: Path) -> None:
    # Within an epoch: labels (53 requests) and the glimpse at some pictures (8) come before.
    hub.faults([{"next": 100, "status": 404, "match": r"GET .*/train-\d+-of-00004.parquet", "skip": 75}])
    words = [f"dataset={sharded}", f"output_dir={tmp_path / 'run'}", "streaming=true", "epochs=9"]
    answer = run(hub, "-m", *FIT, *words, home=tmp_path / "home")
    hub.clear_faults()
    assert answer.returncode == 2, answer.stderr
    assert answer.stderr.count("error: the stream of pictures broke (") == 1
    assert "then continue with resume_from_checkpoint=true" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_resumed_stream_begins_its_epoch_again(sharded_folder: Path, tmp_path: Path) -> None:
    from train.fit import fit
    from train.recipe import Recipe, load_settings

    # Six batches an epoch: its last step has two.
    words = [
        f"dataset={sharded_folder}", "streaming=true", "freeze_epochs=0", "epochs=2", "gradient_accumulation_steps=4",
        "ema_decay=0.9", "resume_from_checkpoint=true",
    ]  # fmt: skip
    for name in ("straight", "resumed"):
        fit(load_settings(Recipe, ROOT / "recipes" / "debug.yaml", [*words, f"output_dir={tmp_path / name}"]))
        if name == "straight":
            other = shutil.copytree(tmp_path / name, tmp_path / "resumed")
            shutil.rmtree(other / "model")
            (other / "checkpoints" / "stage2-epoch002.pt").unlink()
    files = [tmp_path / name / "checkpoints" / "stage2-epoch002.pt" for name in ("straight", "resumed")]
    one, other = map(load_flat, files)
    assert [name for name, tensor in one.items() if not tensor.equal(other[name])] == []
    records = [json.loads(line) for line in (tmp_path / "resumed" / "metrics.jsonl").read_text().splitlines()]
    assert [record["steps"] for record in records] == [2, 2]


def test_what_is_no_parquet_can_not_be_streamed(photos: Path, tmp_path: Path) -> None:
    from train.data import DatasetError, load_images

    for split in ("train", "validation"):
        shutil.copytree(photos, tmp_path / "images" / split)
    with pytest.raises(DatasetError, match="streaming=true needs parquet shards: leave it out"):
        load_images(str(tmp_path / "images"), streaming=True)
    assert datasets.load_dataset(str(tmp_path / "images"))
