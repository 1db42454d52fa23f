"""Where earlier datasets had their pictures, so that a new one keeps them there.

A dataset remembers in `splits.csv` every picture that was ever in it, with its hashes: one that was left out for a
while, or saved anew, goes back to its split.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from huggingface_hub import HfApi, HfFileSystem

from dataset_card.curate.duplicates import PERCEPTUAL_BYTES
from dataset_card.curate.splits import RATIOS, SPLITS, parse_ratios
from files.errors import UserError
from hub.errors import one_line_errors
from hub.repo import RepoId, parse

SEED_KEY = b"nritya.seed"
"""Where the schema metadata of the parquet files hold the seed of the split."""
RATIOS_KEY = b"nritya.ratios"
"""Where they hold the shares of train, validation and test, as `--ratios` takes them."""

FILE_NAME = "splits.csv"


@dataclass(frozen=True)
class Previous:
    """What is known of the pictures of earlier datasets.

    Attributes:
        pictures: By `sha256`: `split`, the last that the picture was in, empty where that counts no more; `hashes`,
            the perceptual hash of the whole picture, empty where unknown.
        ratios: The shares that the last dataset was split by.
    """

    pictures: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            columns=["split", "hashes"], index=pd.Index([], name="sha256"), dtype=object
        )
    )
    ratios: dict[str, float] = field(default_factory=lambda: dict(RATIOS))


def write_previous(folder: Path, previous: Previous, rows: pd.DataFrame) -> None:
    """Writes `folder/splits.csv`: the pictures of this dataset, and those that were there before.

    Args:
        folder: The dataset folder.
        previous: What was known before.
        rows: The pictures of this dataset: `sha256`, `split`, `hashes`.
    """
    pictures = rows.drop_duplicates("sha256").set_index("sha256")[["split", "hashes"]]
    pictures = pictures.combine_first(previous.pictures).sort_index()
    # The whole picture's hash alone: with those of its parts the list would be fifteen times as long.
    whole = [hashes[:PERCEPTUAL_BYTES].hex() for hashes in pictures["hashes"]]
    table = pd.DataFrame({"perceptual_hash": whole, "split": pictures["split"]})
    table.to_csv(folder / FILE_NAME, index_label="sha256", lineterminator="\r\n")


def seed_of(dataset: Path) -> int | None:
    """Returns the seed that a dataset folder was split with; None where there is no such folder, or it does not tell.

    Raises:
        UserError: Its files are damaged.
    """
    for file in sorted(dataset.glob("data/train-*.parquet")):
        try:
            seed = (pq.read_schema(file).metadata or {}).get(SEED_KEY)
        except pa.ArrowInvalid as error:
            raise _damaged(file, error) from None
        return None if seed is None else int(seed)
    return None


def read_previous(dataset: str) -> Previous:
    """Reads where a dataset has its pictures, and had those that left it.

    Args:
        dataset: A dataset folder, or a Hub id with an optional revision; no picture is fetched.

    Raises:
        UserError: It is no dataset that `build` made.
        HubError: The Hub, or the way to it, says no.
    """
    place = parse(dataset)
    if place is None:
        raise UserError(f"{dataset} is neither a folder nor a Hub id (user/name): check the name")
    split_of: dict[str, str] = {}
    ratios = dict(RATIOS)
    with one_line_errors(f"reading {dataset}"):
        if isinstance(place, RepoId):
            # Asked first: the file system below says of everything that it is not found.
            HfApi().dataset_info(place.repo_id, revision=place.revision)
            root, system = f"datasets/{place}", HfFileSystem()
            files = [
                (split, file) for split in SPLITS for file in sorted(system.glob(f"{root}/data/{split}-*.parquet"))
            ]
        else:
            root, system = str(place), LocalFileSystem()
            # Not the file system's glob, which takes brackets of the folder's own name for a pattern.
            files = [(split, str(file)) for split in SPLITS for file in sorted(place.glob(f"data/{split}-*.parquet"))]
        for split, file in files:
            with system.open(file) as content:
                try:
                    column = pq.read_table(content, columns=["sha256"])
                except pa.ArrowInvalid as error:
                    raise _damaged(file, error) from None
            if column.num_columns:
                split_of.update(dict.fromkeys(column["sha256"].to_pylist(), split))
            if shares := (column.schema.metadata or {}).get(RATIOS_KEY):
                ratios = parse_ratios(shares.decode())
        file = f"{root}/{FILE_NAME}"
        has_list = bool(split_of) and system.exists(file)
        listed = pd.DataFrame(columns=["sha256", "perceptual_hash", "split"])
        if has_list:
            with system.open(file) as content:
                try:
                    listed = pd.read_csv(content, dtype=str, keep_default_na=False)[list(listed.columns)]
                    listed["hashes"] = [bytes.fromhex(hashes) for hashes in listed["perceptual_hash"]]
                except (ValueError, KeyError) as error:
                    raise _damaged(file, error) from None
    if not split_of:
        raise UserError(f"{dataset} holds no data/*.parquet with a sha256 column: name a dataset made by build")
    pictures = listed.set_index("sha256").reindex(columns=["split", "hashes"]).astype(object)
    if not set(pictures["split"]) <= {*SPLITS, ""} or not set(map(len, pictures["hashes"])) <= {0, PERCEPTUAL_BYTES}:
        raise _damaged(file, ValueError("a split or a hash that is none"))
    # The rows count, wherever the list says otherwise.
    held = pd.DataFrame({"split": pd.Series(split_of, dtype=object)})
    pictures = held.combine_first(pictures)
    pictures["hashes"] = [hashes if isinstance(hashes, bytes) else b"" for hashes in pictures["hashes"]]
    return Previous(pictures.rename_axis("sha256"), ratios)


def _damaged(file: object, error: Exception) -> UserError:
    reason = str(error).splitlines()[0]
    return UserError(f"{file} is damaged ({reason}): repair it, or remove its dataset to draw every split anew")
