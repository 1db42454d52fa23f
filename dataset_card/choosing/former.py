"""Where an earlier dataset had its pictures, so that a new one keeps them there."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from huggingface_hub import HfApi, HfFileSystem

from dataset_card.choosing.splits import SPLITS
from dataset_card.errors import UserError
from hub.errors import one_line_errors
from hub.repo import RepoId, parse

SEED_KEY = b"nritya.seed"
"""Where the schema metadata of the parquet files hold the seed of the split."""


class FormerError(UserError):
    """An earlier dataset that can't be read."""


def former_seed(dataset: Path) -> int | None:
    """Returns the seed that a dataset folder was split with; None where there is no such folder, or it does not tell.

    Raises:
        FormerError: Its files are damaged.
    """
    for file in sorted(dataset.glob("data/train-*.parquet")):
        try:
            seed = (pq.read_schema(file).metadata or {}).get(SEED_KEY)
        except pa.ArrowInvalid as error:
            raise FormerError(_damaged(file, error)) from None
        return None if seed is None else int(seed)
    return None


def former_splits(dataset: str) -> dict[str, str]:
    """Reads where a dataset has its pictures.

    Args:
        dataset: A dataset folder, or a Hub id with an optional revision; of its files only this column is fetched.

    Returns:
        The split of every picture by its SHA-256.

    Raises:
        FormerError: It is no dataset that `build` made.
        HubError: The Hub, or the way to it, says no.
    """
    place = parse(dataset)
    if place is None:
        raise FormerError(f"{dataset} is neither a folder nor a Hub id (user/name): check the name")
    splits: dict[str, str] = {}
    with one_line_errors(f"reading {dataset}"):
        if isinstance(place, RepoId):
            # Asked first: the file system below says of everything that it is not found.
            HfApi().dataset_info(place.repo_id, revision=place.revision)
            system, root = HfFileSystem(), f"datasets/{place}"
        else:
            system, root = LocalFileSystem(), str(place)
        for split in SPLITS:
            for file in sorted(system.glob(f"{root}/data/{split}-*.parquet")):
                with system.open(file) as content:
                    try:
                        column = pq.read_table(content, columns=["sha256"])
                    except pa.ArrowInvalid as error:
                        raise FormerError(_damaged(file, error)) from None
                    if column.num_columns:
                        splits.update(dict.fromkeys(column["sha256"].to_pylist(), split))
    if not splits:
        raise FormerError(f"{dataset} holds no data/*.parquet with a sha256 column: name a dataset made by build")
    return splits


def _damaged(file: object, error: pa.ArrowInvalid) -> str:
    reason = str(error).splitlines()[0]
    return f"{file} is damaged ({reason}): mend it, or remove its dataset to draw every split anew"
