"""A build that is killed, disturbed or run otherwise: what is there is the old folder or the new one, whole."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from dataset_card.build import build
from dataset_card.write import parquet
from dataset_card.write.parquet import Format
from pictures.decoding import decode
from tests.conftest import ROOT
from tests.dataset_card.conftest import splits_of


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_neither_names_nor_threads_change_a_byte(pile: Path, tmp_path: Path) -> None:
    build(pile, tmp_path / "one" / "dances", seed=8, num_proc=1)
    other = tmp_path / "other"
    for number, file in enumerate(sorted(pile.rglob("*.jpg"), reverse=True)):
        (other / file.parent.name / "deeper").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, other / file.parent.name / "deeper" / f"{number}.jpg")
    build(other, tmp_path / "two" / "dances", seed=8, num_proc=7)
    one, two = _content(tmp_path / "one" / "dances"), _content(tmp_path / "two" / "dances")
    assert len(one) == 10
    assert one == two


@pytest.mark.parametrize("format_", ["jpeg", "keep"])
def test_a_second_build_decodes_nothing_and_gives_the_same_bytes(
    pile: Path, save_image: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: Format
) -> None:
    save_image("photos/kathak/large.png", 99, size=(1500, 700))
    for file in pile.glob("*/*"):
        os.utime(file, (1e9, 1e9))
    build(pile, tmp_path / "out" / "dances", format=format_)
    list_ = tmp_path / "corrections.csv"
    splits = splits_of(tmp_path / "out" / "dances")
    list_.write_text(f"sha256,action,label\n{min(name for name in splits if splits[name] == 'train')},delete,\n")
    # From scratch, but for the splits, which a later build keeps.
    shutil.copytree(tmp_path / "out", tmp_path / "scratch", ignore=shutil.ignore_patterns(".*"))
    for shard in (tmp_path / "scratch" / "dances" / "data").iterdir():
        table = pq.read_table(shard)
        pq.write_table(
            table.replace_schema_metadata({**table.schema.metadata, parquet.ENCODING_KEY: b"another"}), shard
        )
    build(pile, tmp_path / "scratch" / "dances", corrections=list_, format=format_)
    decoded = []
    for module in ("dataset_card.scan", "dataset_card.write.parquet"):
        monkeypatch.setattr(f"{module}.decode", lambda *a, **k: decoded.append(a) or decode(*a, **k))
    monkeypatch.setattr("dataset_card.build.write_contact_sheet", lambda *_: None)
    build(pile, tmp_path / "out" / "dances", corrections=list_, format=format_)
    assert decoded == []
    again, scratch = _content(tmp_path / "out" / "dances"), _content(tmp_path / "scratch" / "dances")
    scratch.pop("figures/contact_sheet.jpg")
    assert again == scratch


def test_more_than_one_shard_reads_back(pile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(pile, tmp_path / "whole", seed=8)
    largest = max(file.stat().st_size for file in pile.rglob("*.jpg"))
    monkeypatch.setattr(parquet, "SHARD_BYTES", 3 * largest)
    build(pile, tmp_path / "shards", seed=8)
    shards = sorted(path.name for path in (tmp_path / "shards" / "data").iterdir())
    assert shards[0] == "test-00000-of-00001.parquet"
    trains = [name for name in shards if name.startswith("train")]
    assert trains == [f"train-{n:05d}-of-{len(trains):05d}.parquet" for n in range(len(trains))]
    assert len(trains) >= 3
    for shard in trains:
        table = pq.read_table(tmp_path / "shards" / "data" / shard)
        assert sum(len(image["bytes"]) for image in table["image"].to_pylist()) <= 3 * largest
    whole, divided = load_dataset(str(tmp_path / "whole")), load_dataset(str(tmp_path / "shards"))
    for split in ("train", "validation", "test"):
        assert whole[split]["sha256"] == divided[split]["sha256"]
        assert whole[split][0]["image"].tobytes() == divided[split][0]["image"].tobytes()


def test_a_large_picture_is_scaled_to_the_side_asked_for(
    pile: Path, save_image: Callable[..., Path], tmp_path: Path
) -> None:
    save_image("photos/kathak/large.png", 99, size=(1500, 700))
    build(pile, tmp_path / "out", seed=8, max_side=200)
    sizes = {row["image"].size for rows in load_dataset(str(tmp_path / "out")).values() for row in rows}
    assert sizes == {(96, 80), (200, 93)}


def test_killed_at_any_moment_it_leaves_the_old_folder_or_none(pile: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.dataset_card.build_driver", str(pile), str(out)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert driver.stdin is not None
    assert driver.stdout is not None

    def run(seconds: str) -> tuple[int, float]:
        print(seconds, file=driver.stdin, flush=True)
        status, took = driver.stdout.readline().split()
        return int(status), float(took)

    assert run("-")[0] == 0
    status, seconds = run("-")
    old = _content(out)
    (pile / "kathak" / "0.jpg").unlink()
    rng = random.Random(8)
    killed = 0
    for _ in range(20):
        status, _ = run(f"{rng.random() * seconds}")
        killed += status == -signal.SIGKILL
        if out.exists():
            found = _content(out)
            assert found == old or (found.keys() == old.keys() and len(splits_of(out)) == 19)
    assert killed >= 10
    assert run("-")[0] == 0
    assert len(splits_of(out)) == 19
    # Nothing of the killed ones is left.
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.scan.parquet", "out", "photos"]
    driver.stdin.close()
    assert driver.wait(20) == 0
    driver.stdout.close()
