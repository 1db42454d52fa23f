"""The parquet files of a dataset folder."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, Value
from tqdm import tqdm

from dataset_card.choosing.former import RATIOS_KEY, SEED_KEY
from dataset_card.choosing.splits import SPLITS
from dataset_card.knowing.licenses import license_of
from dataset_card.knowing.provenance import Provenance
from dataset_card.reading.images import Photo, published_bytes
from dataset_card.reading.rejected import Rejected

# Of pictures: with the other columns a shard stays below 500 MB.
SHARD_BYTES = 490_000_000
_TEXTS = [
    "sha256", "group", "license", "license_url", "title", "author", "author_url", "source",
    "source_url", "retrieved_at", "sha1",
]  # fmt: skip
# Small enough that streaming a few pictures does not fetch a whole shard, and that what is written is still in the
# processor's cache.
_ROWS_PER_GROUP = 100
_GROUP_BYTES = 4_000_000


@dataclass(frozen=True)
class Row:
    """One picture of the dataset: what was read, the group that never parts, where it comes from."""

    photo: Photo
    group: str
    provenance: Provenance


@dataclass(frozen=True)
class Contents:
    """What a dataset folder holds, and what was left out of it.

    Attributes:
        label_names: Class names, in the order of their numbers.
        rows: The pictures of every split that there is, in the order they are written.
        near: For every picture, by SHA-256, the group of its near-duplicates alone.
        rejected: The files left out.
        taken_down: How many pictures the takedown list kept out.
        corrected: How many corrections were replayed.
        seed: The seed of the split.
        given: The splits that the pictures came in; empty where all were drawn.
        ratios: The share of every split that was drawn; None where some were given.
        max_side: Longest side, in pixels, of a published picture.
    """

    label_names: list[str]
    rows: dict[str, list[Row]]
    near: dict[str, str]
    rejected: list[Rejected]
    taken_down: int
    corrected: int
    seed: int
    given: frozenset[str]
    ratios: Mapping[str, float] | None
    max_side: int

    @property
    def everything(self) -> list[Row]:
        """The pictures of all splits."""
        return [row for rows in self.rows.values() for row in rows]


def class_counts(contents: Contents) -> dict[str, dict[str, int]]:
    """Returns how many pictures every class has in every split."""
    return {
        label: {split: sum(row.photo.label == label for row in rows) for split, rows in contents.rows.items()}
        for label in contents.label_names
    }


def dataset_features(label_names: list[str]) -> Features:
    """Returns the columns of every dataset folder, with the class names written down, never inferred."""
    texts = dict.fromkeys(_TEXTS, Value("string"))
    return Features({"image": Image(), "label": ClassLabel(names=label_names), **texts})


def write_split(folder: Path, split: str, contents: Contents, num_proc: int) -> list[Path]:
    """Writes `data/<split>-<i>-of-<n>.parquet` below `folder`, in shards of at most about 500 MB.

    Args:
        folder: The dataset folder.
        split: Such as "train".
        contents: What to write.
        num_proc: How many pictures are read and scaled at once.

    Returns:
        The files written.
    """
    schema = dataset_features(contents.label_names).arrow_schema
    told = {SEED_KEY: str(contents.seed)}
    if contents.ratios:
        told[RATIOS_KEY] = ",".join(str(contents.ratios.get(split, 0)) for split in SPLITS)
    schema = schema.with_metadata({**schema.metadata, **told})
    rows = contents.rows[split]
    data = folder / "data"
    data.mkdir(exist_ok=True)
    parts: list[Path] = []
    writer: pq.ParquetWriter | None = None
    size = waiting = 0
    batch: list[dict[str, Any]] = []
    for record in tqdm(_records(rows, contents, num_proc), total=len(rows), desc=f"Writing {split}", unit="picture"):
        if writer and size + len(record["image"]["bytes"]) > SHARD_BYTES:
            _flush(writer, batch, schema)
            writer.close()
            writer, size, waiting = None, 0, 0
        if writer is None:
            parts.append(data / f"{split}-{len(parts):05d}.part")
            writer = pq.ParquetWriter(
                parts[-1],
                schema,
                # A picture is compressed already and like no other: looking for repeats takes a third of the time.
                use_dictionary=["label", *_TEXTS],
                compression={**dict.fromkeys(["image.path", "label", *_TEXTS], "snappy"), "image.bytes": "none"},
                write_page_index=True,
            )
        batch.append(record)
        size += len(record["image"]["bytes"])
        waiting += len(record["image"]["bytes"])
        if len(batch) == _ROWS_PER_GROUP or waiting >= _GROUP_BYTES:
            _flush(writer, batch, schema)
            waiting = 0
    if writer:
        _flush(writer, batch, schema)
        writer.close()
    names = [data / f"{split}-{number:05d}-of-{len(parts):05d}.parquet" for number in range(len(parts))]
    for part, name in zip(parts, names, strict=True):
        part.rename(name)
    return names


def _flush(writer: pq.ParquetWriter, batch: list[dict[str, Any]], schema: pa.Schema) -> None:
    if batch:
        writer.write_table(pa.Table.from_pylist(batch, schema))
        batch.clear()


def _records(rows: Sequence[Row], contents: Contents, num_proc: int) -> Iterator[dict[str, Any]]:
    """Gives the records in order, a few prepared ahead: enough to keep the cores busy, few enough for the memory."""
    with ThreadPoolExecutor(num_proc) as pool:
        ahead: deque[Future[dict[str, Any]]] = deque()
        for row in rows:
            ahead.append(pool.submit(_record, row, contents.label_names, contents.max_side))
            if len(ahead) > 4 * num_proc:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _record(row: Row, label_names: list[str], max_side: int) -> dict[str, Any]:
    content = published_bytes(row.photo, max_side)
    license = license_of(row.provenance.license)
    return {
        # The bytes themselves: `Image` given a path would store the path only.
        "image": {"bytes": content, "path": f"{row.photo.sha256[:16]}.{_extension(content)}"},
        "label": label_names.index(row.photo.label),
        "sha256": row.photo.sha256,
        "group": row.group,
        "license": license.id,
        "license_url": row.provenance.license_url or license.url,
        "title": row.provenance.title,
        "author": row.provenance.author,
        "author_url": row.provenance.author_url,
        "source": row.provenance.source,
        "source_url": row.provenance.source_url,
        "retrieved_at": row.provenance.retrieved_at,
        "sha1": row.provenance.sha1,
    }


def _extension(content: bytes) -> str:
    if content.startswith(b"\x89PNG"):
        return "png"
    return "webp" if content[8:12] == b"WEBP" else "jpg"
