"""The parquet files of a dataset folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, Value
from tqdm import tqdm

from dataset_card.images import Photo, published_bytes
from dataset_card.provenance import Provenance

SHARD_BYTES = 500_000_000
# Small enough that streaming a few pictures does not fetch a whole shard.
_ROWS_PER_GROUP = 100


@dataclass(frozen=True)
class Row:
    """One picture of the dataset: what was read, its near-duplicate group, where it comes from."""

    photo: Photo
    group: str
    provenance: Provenance


def dataset_features(label_names: list[str]) -> Features:
    """Returns the columns of every dataset folder, with the class names written down, never inferred."""
    return Features(
        {
            "image": Image(),
            "label": ClassLabel(names=label_names),
            "sha256": Value("string"),
            "group": Value("string"),
            "license": Value("string"),
            "author": Value("string"),
            "source_url": Value("string"),
        }
    )


def write_split(folder: Path, split: str, rows: list[Row], label_names: list[str], max_side: int) -> list[Path]:
    """Writes `data/<split>-<i>-of-<n>.parquet` below `folder`, in shards of at most about 500 MB.

    Args:
        folder: The dataset folder.
        split: Such as "train".
        rows: The pictures, in the order they are written.
        label_names: Class names, in the order of their numbers.
        max_side: Longest side of a published picture in pixels.

    Returns:
        The files written.
    """
    schema = dataset_features(label_names).arrow_schema
    data = folder / "data"
    data.mkdir(exist_ok=True)
    parts: list[Path] = []
    writer: pq.ParquetWriter | None = None
    size = 0
    batch: list[dict[str, Any]] = []
    for number, row in enumerate(tqdm(rows, desc=f"Writing {split}", unit="picture")):
        batch.append(_record(row, label_names, max_side))
        size += len(batch[-1]["image"]["bytes"])
        if writer is None:
            parts.append(data / f"{split}-{len(parts):05d}.part")
            writer = pq.ParquetWriter(parts[-1], schema, write_page_index=True)
        full, last = size >= SHARD_BYTES, number == len(rows) - 1
        if len(batch) == _ROWS_PER_GROUP or full or last:
            writer.write_table(pa.Table.from_pylist(batch, schema))
            batch = []
        if full or last:
            writer.close()
            writer, size = None, 0
    names = [data / f"{split}-{number:05d}-of-{len(parts):05d}.parquet" for number in range(len(parts))]
    for part, name in zip(parts, names, strict=True):
        part.rename(name)
    return names


def _record(row: Row, label_names: list[str], max_side: int) -> dict[str, Any]:
    content = published_bytes(row.photo, max_side)
    return {
        # The bytes themselves: `Image` given a path would store the path only.
        "image": {"bytes": content, "path": f"{row.photo.sha256[:16]}.{_extension(content)}"},
        "label": label_names.index(row.photo.label),
        "sha256": row.photo.sha256,
        "group": row.group,
        "license": row.provenance.license,
        "author": row.provenance.author,
        "source_url": row.provenance.source_url,
    }


def _extension(content: bytes) -> str:
    if content.startswith(b"\x89PNG"):
        return "png"
    return "webp" if content[8:12] == b"WEBP" else "jpg"
