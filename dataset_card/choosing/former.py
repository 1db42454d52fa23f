"""Where earlier datasets had their pictures, so that a new one keeps them there.

A dataset remembers in `splits.csv` every picture that was ever in it, and what it looks like: one that was left out
for a while, or saved anew, goes back to its split.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from huggingface_hub import HfApi, HfFileSystem

from dataset_card.choosing.duplicates import near_duplicate_pairs
from dataset_card.choosing.split_plan import parse_ratios
from dataset_card.choosing.splits import RATIOS, SPLITS
from dataset_card.reading.images import HASH_SIZE, Photo
from files.errors import UserError
from hub.errors import one_line_errors
from hub.repo import RepoId, parse

SEED_KEY = b"nritya.seed"
"""Where the schema metadata of the parquet files hold the seed of the split."""
RATIOS_KEY = b"nritya.ratios"
"""Where they hold the shares of train, validation and test, as `--ratios` takes them."""

FILE_NAME = "splits.csv"


class FormerError(UserError):
    """An earlier dataset that can't be read."""


@dataclass(frozen=True)
class Former:
    """What is known of the pictures of earlier datasets, by SHA-256.

    Attributes:
        splits: Where each was last.
        looks: Their perceptual hashes, those of pictures whose split counts no more included.
        ratios: The shares that the last one was split by.
    """

    splits: dict[str, str] = field(default_factory=dict)
    looks: dict[str, bytes] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=lambda: dict(RATIOS))

    def splits_for(self, photos: Sequence[Photo]) -> list[str | None]:
        """Returns for every picture where it was, or a picture that looks like it and is gone; None for a new one."""
        gone = self.splits.keys() - {photo.sha256 for photo in photos}
        found = [self.splits.get(photo.sha256) for photo in photos]
        new = [place for place, split in enumerate(found) if split is None]
        for at, sha256 in self._alike([photos[place] for place in new], gone):
            place, split = new[at], self.splits[sha256]
            found[place] = max(split, found[place] or split, key=SPLITS.index)
        return found

    def look_like(self, photos: Sequence[Photo], sha256s: AbstractSet[str]) -> list[bool]:
        """Tells for every picture whether it looks like one of these."""
        alike = {at for at, _ in self._alike(photos, sha256s)}
        return [at in alike for at in range(len(photos))]

    def _alike(self, photos: Sequence[Photo], sha256s: AbstractSet[str]) -> Iterator[tuple[int, str]]:
        """Gives the pairs of a picture's position and the SHA-256 of one that it looks like."""
        known = sorted(sha256s & self.looks.keys())
        if not known or not photos:
            return
        hashes = [photo.perceptual_hash for photo in photos] + [self.looks[sha256] for sha256 in known]
        for first, second in near_duplicate_pairs(hashes):
            across = (first < len(photos)) & (second >= len(photos))
            for at, other in zip(first[across].tolist(), second[across].tolist(), strict=True):
                yield at, known[other - len(photos)]


def write_former(folder: Path, former: Former, held: dict[str, list[Photo]]) -> None:
    """Writes `folder/splits.csv`: the pictures of this dataset, and those that were there before.

    Args:
        folder: The dataset folder.
        former: What was known before.
        held: The pictures of every split.
    """
    splits = former.splits | {photo.sha256: split for split, photos in held.items() for photo in photos}
    looks = former.looks | {photo.sha256: photo.perceptual_hash for photos in held.values() for photo in photos}
    with (folder / FILE_NAME).open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(["sha256", "perceptual_hash", "split"])
        for sha256 in sorted(splits.keys() | looks.keys()):
            writer.writerow([sha256, looks.get(sha256, b"").hex(), splits.get(sha256, "")])


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


def read_former(dataset: str) -> Former:
    """Reads where a dataset has its pictures, and had those that left it.

    Args:
        dataset: A dataset folder, or a Hub id with an optional revision; no picture is fetched.

    Raises:
        FormerError: It is no dataset that `build` made.
        HubError: The Hub, or the way to it, says no.
    """
    place = parse(dataset)
    if place is None:
        raise FormerError(f"{dataset} is neither a folder nor a Hub id (user/name): check the name")
    held: dict[str, str] = {}
    ratios = dict(RATIOS)
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
                        held.update(dict.fromkeys(column["sha256"].to_pylist(), split))
                    if said := (column.schema.metadata or {}).get(RATIOS_KEY):
                        ratios = parse_ratios(said.decode())
        memory = f"{root}/{FILE_NAME}"
        remembered = system.read_bytes(memory) if held and system.exists(memory) else b""
    if not held:
        raise FormerError(f"{dataset} holds no data/*.parquet with a sha256 column: name a dataset made by build")
    try:
        lines = list(csv.DictReader(io.StringIO(remembered.decode())))
        looks = {line["sha256"]: bytes.fromhex(line["perceptual_hash"]) for line in lines if line["perceptual_hash"]}
        splits = {line["sha256"]: line["split"] for line in lines if line["split"]}
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise FormerError(_damaged(memory, error)) from None
    if not set(splits.values()) <= set(SPLITS) or any(len(look) != HASH_SIZE**2 // 8 for look in looks.values()):
        raise FormerError(_damaged(memory, ValueError("a split or a hash that is none")))
    # The rows are what counts, wherever the list says otherwise.
    return Former(splits | held, looks, ratios)


def _damaged(file: object, error: Exception) -> str:
    reason = str(error).splitlines()[0]
    return f"{file} is damaged ({reason}): mend it, or remove its dataset to draw every split anew"
