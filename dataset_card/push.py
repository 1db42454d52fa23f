"""The story of `dataset_card push`: what of a dataset folder leaves for the Hub, and what everybody may see of it."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_card.curate.previous import FILE_NAME as SPLITS_FILE
from dataset_card.curate.splits import SPLITS
from dataset_card.licenses import why_not_publish
from dataset_card.lists import REJECTED as REJECTED_FILE
from dataset_card.lists import REMOVED as REMOVED_FILE
from files.errors import UserError
from hub.errors import PublishError
from hub.publish import Content, Policy, Published, PushOptions, Refusal, publish

PLACEHOLDER = "PATH_OR_HUB_ID"
_PUBLISHED_COLUMNS = ("sha256", "date")
_JUDGED_COLUMNS = ("sha256", "license", "author", "source_url")
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".zst", ".7z", ".arrow")


def push_dataset(folder: Path, repo_id: str, options: PushOptions) -> Published:
    """Pushes a dataset folder: parquet, card, figures, in one commit that names the counts.

    `rejected.csv` stays here, since it holds the names of local files; `removed.csv` goes as hashes alone.

    Args:
        folder: Made by `build`.
        repo_id: Such as "user/dances".
        options: What is asked for; public needs a licence of every picture that allows it, in history, too.

    Raises:
        UserError: Not a dataset folder.
        PublishError: Something must not be published, or would move pictures from test to train; nothing was sent.
        HubError: The Hub, or the way to it, says no.
    """
    found = {split: sorted((folder / "data").glob(f"{split}-*.parquet")) for split in SPLITS}
    shards = {split: files for split, files in found.items() if files or split != "test"}
    if not all((folder / name).is_file() for name in ("README.md", SPLITS_FILE)) or not all(shards.values()):
        raise UserError(f"{folder} is no dataset folder: make one with python -m dataset_card build")
    files: dict[str, Content] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    files.pop(REJECTED_FILE, None)
    for text in ("README.md", "LICENSE.md"):
        if text in files:
            files[text] = (folder / text).read_bytes().replace(PLACEHOLDER.encode(), repo_id.encode())
    removed: frozenset[str] = frozenset()
    if REMOVED_FILE in files:
        files[REMOVED_FILE], removed = _hashes_alone(folder / REMOVED_FILE)
    if options.takedown and not removed:
        raise PublishError(
            f"{folder} has no {REMOVED_FILE} that names a sha256: put the picture into PHOTOS/{REMOVED_FILE} and "
            "build again, then push --takedown"
        )

    def check_removed(path: str, open_file: Callable[[], BinaryIO]) -> list[Refusal]:
        return _taken_down(path, open_file, removed)

    def check_head(read: Callable[[str], bytes | None]) -> None:
        check_splits(repo_id, folder, read(SPLITS_FILE))

    counts = {split: sum(pq.read_metadata(shard).num_rows for shard in of) for split, of in shards.items()}
    listed = ", ".join(f"{split} {count}" for split, count in counts.items())
    policy = Policy(
        "dataset",
        # `dataset_infos.json` is how other tools described what their data files held.
        lambda path: path.startswith(("data/", "figures/")) or path in (REJECTED_FILE, "dataset_infos.json"),
        check_public=not_for_everybody,
        remedy="push to a private repository, without --public, or build again with --only-redistributable",
        check_removed=check_removed,
        check_head=check_head,
    )
    return publish(repo_id, policy, files, f"{sum(counts.values())} pictures: {listed}", options)


def not_for_everybody(path: str, open_file: Callable[[], BinaryIO]) -> list[Refusal]:
    """Finds what everybody must not see in a file of a dataset repository.

    Of parquet files only the columns of the licence are read. What holds pictures and no licences is refused whole;
    what lies in `figures/` shows pictures of the rows beside it, and a lone picture on top is a logo.
    """
    if path == REJECTED_FILE:
        return [(path, "names of local files")]
    if path == REMOVED_FILE:
        with open_file() as content:
            rows = csv.DictReader(io.StringIO(content.read().decode("utf-8", "replace")))
            holds_more = any(value for row in rows for key, value in row.items() if key not in _PUBLISHED_COLUMNS)
        return [(path, "more than hashes of what people asked to remove")] if holds_more else []
    if path.endswith(".parquet"):
        rows_of = _rows(open_file, _JUDGED_COLUMNS)
        if rows_of is None:
            return [(path, "a parquet file that can't be read")]
        judged = [
            (
                row["sha256"] or f"{path} row {number}",
                why_not_publish(row["license"], row["author"], row["source_url"]),
            )
            for number, row in enumerate(rows_of)
        ]
        return [(name, why) for name, why in judged if why]
    suffix = Path(path).suffix.lower()
    if path.startswith("data/") or suffix in _ARCHIVES:
        return [(path, "a file that tells no licences")]
    if suffix in _IMAGES and "/" in path and not path.startswith("figures/"):
        return [(path, "a picture without a licence")]
    return []


def _taken_down(path: str, open_file: Callable[[], BinaryIO], removed: frozenset[str]) -> list[Refusal]:
    """Finds pictures that somebody asked to remove."""
    rows = (_rows(open_file, ("sha256",)) or []) if path.endswith(".parquet") else []
    return [(row["sha256"], "taken down") for row in rows if row["sha256"] in removed]


def _rows(open_file: Callable[[], BinaryIO], columns: tuple[str, ...]) -> list[dict[str, str]] | None:
    """Reads text columns of a parquet file, empty where they are missing; None when it is damaged."""
    with open_file() as content:
        try:
            file = pq.ParquetFile(content)
            there = [name for name in columns if name in file.schema_arrow.names]
            rows = file.read(columns=there).to_pylist() if there else [{}] * file.metadata.num_rows
        except pa.ArrowException:
            return None
    return [{name: str(row.get(name) or "") for name in columns} for row in rows]


def _hashes_alone(path: Path) -> tuple[bytes, frozenset[str]]:
    """Returns a takedown list as it is published, and the hashes in it.

    Addresses and reasons stay here: together they would be a directory of what people asked to hide.
    """
    with path.open(encoding="utf-8-sig", newline="") as content:
        rows = [{**row, "sha256": row["sha256"].lower()} for row in csv.DictReader(content) if row.get("sha256")]
    target = io.StringIO()
    writer = csv.DictWriter(target, _PUBLISHED_COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue().encode(), frozenset(row["sha256"] for row in rows)


def check_splits(repo_id: str, folder: Path, theirs: bytes | None) -> None:
    """Refuses a push that would move pictures of the dataset on the Hub from validation or test to train.

    Args:
        repo_id: The dataset on the Hub.
        folder: The dataset folder to push.
        theirs: `splits.csv` as it is on the Hub; None where there is none.

    Raises:
        PublishError: Says how many pictures would move.
    """
    there = _read_splits((theirs or b"").decode("utf-8", "replace"))
    here = _read_splits((folder / SPLITS_FILE).read_text(encoding="utf-8"))
    moved = [sha256 for sha256, split in there.items() if split in SPLITS[1:] and here.get(sha256) == "train"]
    if moved:
        raise PublishError(
            f"{len(moved)} pictures that {repo_id} has in validation or test would move to train, where no later "
            f"score is to be trusted: build again with --keep-splits {repo_id}, or push to a new repository"
        )


def _read_splits(text: str) -> dict[str, str]:
    return {row.get("sha256", ""): row.get("split") or "" for row in csv.DictReader(io.StringIO(text))}
