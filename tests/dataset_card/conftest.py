"""A small pile of pictures, cheap to build from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def pile(save_image: Callable[..., Path], tmp_path: Path) -> Path:
    """Ten pictures each of kathak and odissi, all different."""
    for number, label in enumerate(("kathak", "odissi")):
        for seed in range(10):
            save_image(f"photos/{label}/{seed}.jpg", 100 * number + seed)
    return tmp_path / "photos"


def read_rows(dataset: Path) -> list[dict[str, Any]]:
    """Returns every row but its image, with its split; the label is the class's name."""
    rows = []
    for file in sorted(dataset.glob("data/*.parquet")):
        table = pq.read_table(file)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        for row in table.drop_columns(["image"]).to_pylist():
            label = features["label"]["names"][row["label"]]
            rows.append({**row, "label": label, "split": file.name.split("-")[0]})
    return rows


def splits_of(dataset: Path) -> dict[str, str]:
    """Returns the split of every picture by its SHA-256."""
    return {row["sha256"]: row["split"] for row in read_rows(dataset)}


def write_lines(path: Path, lines: list[dict[str, str]]) -> None:
    """Writes provenance, a JSON object per line."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
