"""The parquet files of a dataset folder, and the bytes of the pictures in them."""

import io
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, Value
from PIL import Image as PilImage
from tqdm import tqdm

from dataset_card.curate import Curated
from dataset_card.curate.previous import RATIOS_KEY, SEED_KEY
from dataset_card.curate.splits import SPLITS
from dataset_card.licenses import license_of
from dataset_card.scan import read_again
from pictures.decoding import decode

Format = Literal["keep", "jpeg", "png"]
JPEG_QUALITY = 92
# Of pictures: with the other columns a shard stays below 500 MB.
SHARD_BYTES = 490_000_000
ENCODING_KEY = b"nritya.encoding"
"""Where the schema metadata of the parquet files say how pictures were scaled and saved."""

_LOSSLESS = {"PNG", "GIF", "BMP", "TIFF"}
_TEXTS = [
    "sha256", "group", "license", "license_url", "title", "author", "author_url", "source",
    "source_url", "retrieved_at", "sha1",
]  # fmt: skip
# Small enough that streaming a few pictures does not fetch a whole shard, and that what is written is still in the
# processor's cache.
_ROWS_PER_GROUP = 100
_GROUP_BYTES = 4_000_000
# Few megabytes: more is had from the system and given back each time, which takes ten times as long as to read it.
_ROWS_PER_READ = 16


@dataclass(frozen=True)
class Encoding:
    """How pictures are published that can't be published byte for byte.

    Attributes:
        max_side: Longest side in pixels.
        format: "jpeg" for all, "png" for all, or "keep": PNG for what came without loss, JPEG for the rest.
    """

    max_side: int = 1024
    format: Format = "jpeg"

    def keeps_bytes(self, row: Any) -> bool:
        """Tells whether a file is published as it is."""
        return bool(row.plain and max(row.width, row.height) <= self.max_side)

    def format_of(self, row: Any) -> str:
        """Returns the format that a picture is saved in anew, as Pillow calls it."""
        return "PNG" if self.format == "png" or (self.format == "keep" and row.format in _LOSSLESS) else "JPEG"


def dataset_features(label_names: list[str]) -> Features:
    """Returns the columns of every dataset folder, with the class names written down, never inferred."""
    texts = dict.fromkeys(_TEXTS, Value("string"))
    return Features({"image": Image(), "label": ClassLabel(names=label_names), **texts})


def published_bytes(path: Path, row: Any, encoding: Encoding) -> bytes:
    """Returns the bytes that go into the dataset: the file itself where that is allowed, else a fresh picture.

    A fresh picture is upright sRGB without any metadata, its longest side at most `encoding.max_side` pixels; the same
    file gives the same bytes.

    Args:
        path: The file.
        row: Its row of the scan table.
        encoding: How it is to be published.

    Raises:
        ChangedFileError: The file is not the one that was scanned.
    """
    content = read_again(path, row.sha256)
    if encoding.keeps_bytes(row):
        return content
    image = decode(content, min_side=1).image
    image.thumbnail((encoding.max_side, encoding.max_side), PilImage.Resampling.LANCZOS)
    # A picture made anew carries no `info`: nothing of the old file can slip through `save`.
    fresh = PilImage.new("RGB", image.size)
    fresh.paste(image)
    target = io.BytesIO()
    fresh.save(target, encoding.format_of(row), quality=JPEG_QUALITY)
    return target.getvalue()


def write_split(
    folder: Path,
    split: str,
    curated: Curated,
    photos: Path,
    encoding: Encoding,
    seed: int,
    previous: Path,
    num_proc: int,
) -> None:
    """Writes `data/<split>-<i>-of-<n>.parquet` below `folder`, in shards of at most about 500 MB.

    Args:
        folder: The dataset folder.
        split: Such as "train".
        curated: What to write.
        photos: The folder that the files lie below.
        encoding: How pictures are published.
        seed: Of the split.
        previous: The dataset folder that this one replaces, if there is one: pictures that it holds in the same
            encoding are copied from it, not made again.
        num_proc: How many pictures are read and scaled at once.
    """
    schema = dataset_features(curated.label_names).arrow_schema
    facts = {SEED_KEY: str(seed).encode(), ENCODING_KEY: _encoding_word(encoding)}
    if curated.ratios:
        facts[RATIOS_KEY] = ",".join(str(curated.ratios.get(split, 0)) for split in SPLITS).encode()
    schema = schema.with_metadata({**schema.metadata, **facts})
    rows = curated.rows[curated.rows["split"] == split]
    data = folder / "data"
    data.mkdir(exist_ok=True)
    parts: list[Path] = []
    writer: pq.ParquetWriter | None = None
    size = waiting = 0
    batch: list[dict[str, Any]] = []
    records = _records(rows, curated.label_names, photos, encoding, _PreviousRows(previous, split, encoding), num_proc)
    for record in tqdm(records, total=len(rows), desc=f"Writing {split}", unit="picture"):
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
    for number, part in enumerate(parts):
        part.rename(data / f"{split}-{number:05d}-of-{len(parts):05d}.parquet")


class _PreviousRows:
    """The pictures of a split of an earlier dataset folder, read in their order.

    Both folders hold a split's pictures by SHA-256, so one pass over the files finds all that both have.
    """

    def __init__(self, dataset: Path, split: str, encoding: Encoding) -> None:
        self._rows = self._read(dataset, split, encoding)
        self._row = next(self._rows, None)

    def take(self, sha256: str) -> bytes | None:
        """Returns a picture's published bytes, to be asked for in the order of the hashes; None for a new picture."""
        while self._row and self._row[0] < sha256:
            self._row = next(self._rows, None)
        return self._row[1] if self._row and self._row[0] == sha256 else None

    def close(self) -> None:
        """Closes the file that is being read: Windows renames no folder with an open file in it."""
        self._rows.close()

    @staticmethod
    def _read(dataset: Path, split: str, encoding: Encoding) -> Generator[tuple[str, bytes]]:
        for file in sorted(dataset.glob(f"data/{split}-*.parquet")):
            with pq.ParquetFile(file, pre_buffer=False) as content:
                if (content.schema_arrow.metadata or {}).get(ENCODING_KEY) != _encoding_word(encoding):
                    return
                for batch in content.iter_batches(_ROWS_PER_READ, columns=["sha256", "image.bytes"]):
                    images = batch["image"].field("bytes")
                    yield from zip(batch["sha256"].to_pylist(), (image.as_py() for image in images), strict=True)


def _encoding_word(encoding: Encoding) -> bytes:
    return f"{encoding.format}, quality {JPEG_QUALITY}, side {encoding.max_side}, Pillow {PIL.__version__}".encode()


def _flush(writer: pq.ParquetWriter, batch: list[dict[str, Any]], schema: pa.Schema) -> None:
    if batch:
        writer.write_table(pa.Table.from_pylist(batch, schema))
        batch.clear()


def _records(
    rows: pd.DataFrame,
    label_names: list[str],
    photos: Path,
    encoding: Encoding,
    previous: _PreviousRows,
    num_proc: int,
) -> Iterator[dict[str, Any]]:
    """Yields the records in order, a few prepared ahead: enough to keep the cores busy, few enough for the memory."""
    number_of = {label: number for number, label in enumerate(label_names)}
    with ThreadPoolExecutor(num_proc) as pool:
        ahead: deque[tuple[Any, bytes | Future[bytes]]] = deque()
        try:
            for row in rows.itertuples():
                content = previous.take(row.sha256)
                ahead.append((row, content or pool.submit(published_bytes, photos / row.file, row, encoding)))
                if len(ahead) > 4 * num_proc:
                    yield _record(*ahead.popleft(), number_of)
            while ahead:
                yield _record(*ahead.popleft(), number_of)
        finally:
            pool.shutdown(cancel_futures=True)
            previous.close()


def _record(row: Any, content: bytes | Future[bytes], number_of: dict[str, int]) -> dict[str, Any]:
    content = content if isinstance(content, bytes) else content.result()
    license = license_of(row.license)
    texts = {name: getattr(row, name) for name in _TEXTS}
    return {
        # The bytes themselves: `Image` given a path would store the path only.
        "image": {"bytes": content, "path": f"{row.sha256[:16]}.{_extension(content)}"},
        "label": number_of[row.label],
        **texts,
        "license": license.id,
        "license_url": row.license_url or license.url,
    }


def _extension(content: bytes) -> str:
    if content.startswith(b"\x89PNG"):
        return "png"
    return "webp" if content[8:12] == b"WEBP" else "jpg"
