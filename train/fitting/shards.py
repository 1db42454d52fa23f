"""A dataset's parquet shards, read in pieces: training pictures as a stream, everything small about them at once."""

from collections.abc import Sequence
from pathlib import Path

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.contrib.concurrent import thread_map

from hub.repo import RepoId

# All that training and its model card need to know of a row besides the picture.
_SMALL = ("sha256", "license")
_READERS = 8


class NoShardsError(ValueError):
    """A dataset that is not made of parquet files, or not of the splits that training needs."""


def open_shards(place: Path | RepoId) -> tuple[dict[str, datasets.Dataset | datasets.IterableDataset], list[str]]:
    """Opens the splits that training needs without storing the training pictures.

    Returns:
        `train` as a stream and `validation` whole, and the addresses of the training shards.

    Raises:
        NoShardsError: There are none.
    """
    if isinstance(place, RepoId):
        builder = datasets.load_dataset_builder(place.repo_id, revision=place.revision)
    else:
        builder = datasets.load_dataset_builder(str(place))
    files = builder.config.data_files or {}
    if builder.name.split("-")[0] != "parquet":
        raise NoShardsError(
            "streaming=true needs parquet shards: leave it out, or push it to the Hub as parquet first"
        )
    if missing := {"train", "validation"} - files.keys():
        raise NoShardsError(f"it has no split {', '.join(sorted(missing))}: it has {', '.join(files)}")
    stream = builder.as_streaming_dataset(split="train")
    validation = datasets.load_dataset(
        "parquet", data_files={"validation": list(files["validation"])}, split="validation", features=stream.features
    )
    return {"train": stream, "validation": validation}, list(files["train"])


def small_columns(files: Sequence[str], label: str, label_names: list[str]) -> datasets.Dataset:
    """Reads the label of every row and, where there are, sha256 and license: some bytes a row, by their ranges.

    Args:
        files: Addresses of parquet files.
        label: The column of labels; it is called `label` in the result.
        label_names: Class names, in the order of their numbers.
    """

    def read(file: str) -> pa.Table:
        # Neither read-ahead nor joined ranges: they would fetch pictures.
        with fsspec.open(file, "rb", cache_type="none") as opened:
            shard = pq.ParquetFile(opened, pre_buffer=False)
            columns = [label, *(name for name in _SMALL if name in shard.schema_arrow.names)]
            return shard.read(columns=columns).replace_schema_metadata(None)

    tables = thread_map(read, files, max_workers=_READERS, desc="Reading labels", unit="shard", leave=False)
    rows = datasets.Dataset(pa.concat_tables(tables), split=datasets.Split.TRAIN)
    rows = rows if label == "label" else rows.rename_column(label, "label")
    features = {**rows.features, "label": datasets.ClassLabel(names=label_names)}
    return rows.cast(datasets.Features(features))
