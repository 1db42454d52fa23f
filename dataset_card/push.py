"""The story of `dataset_card push`: a dataset folder goes to the Hub as it is."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from dataset_card.choosing.splits import SPLITS
from dataset_card.knowing.licenses import why_not_publish
from dataset_card.reading.rejected import FILE_NAME as MARK
from files.errors import UserError
from hub.push import Pushed, push

PLACEHOLDER = "PATH_OR_HUB_ID"
_OURS = ("data/", "figures/")
_NAMED = 3


class DatasetFolderError(UserError):
    """A folder that is no dataset folder."""


class LicenseError(UserError):
    """Pictures that must not be published."""


def push_dataset(folder: Path, repo_id: str, public: bool, revision: str | None, tag: str | None) -> Pushed:
    """Pushes a dataset folder: parquet, card, figures, in one commit that names the counts.

    Args:
        folder: Made by `build`.
        repo_id: Such as "user/dances".
        public: Let everybody see it; every picture must have a licence that allows it.
        revision: Push to this branch instead of main.
        tag: Give the result this tag.

    Raises:
        UserError: Not a dataset folder, or pictures that must not be published.
        HubError: The Hub, or the way to it, says no.
    """
    found = {split: sorted((folder / "data").glob(f"{split}-*.parquet")) for split in SPLITS}
    shards = {split: files for split, files in found.items() if files or split != "test"}
    if not (folder / MARK).is_file() or not (folder / "README.md").is_file() or not all(shards.values()):
        raise DatasetFolderError(f"{folder} is no dataset folder: make one with python -m dataset_card build")

    def check_public() -> None:
        check_licenses(folder, [shard for of in shards.values() for shard in of])

    if public:
        check_public()
    counts = {split: sum(pq.read_metadata(shard).num_rows for shard in of) for split, of in shards.items()}
    listed = ", ".join(f"{split} {count}" for split, count in counts.items())
    files: dict[str, Path | bytes] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    for text in ("README.md", "LICENSE.md"):
        if text in files:
            files[text] = (folder / text).read_text(encoding="utf-8").replace(PLACEHOLDER, repo_id).encode()
    return push(
        repo_id,
        "dataset",
        files,
        lambda path: path.startswith(_OURS),
        f"{sum(counts.values())} pictures: {listed}",
        public=public,
        check_public=check_public,
        revision=revision,
        tag=tag,
    )


def check_licenses(folder: Path, shards: list[Path]) -> None:
    """Refuses to publish pictures whose licence does not allow it.

    Raises:
        LicenseError: Counts them by licence and names a few.
    """
    refused: list[tuple[str, str]] = []
    for shard in shards:
        table = pq.read_table(shard, columns=["sha256", "license", "author"])
        for row in table.to_pylist():
            if why := why_not_publish(row["license"] or "", row["author"] or ""):
                refused.append((row["sha256"], why))
    if refused:
        by_reason = Counter(why for _, why in refused)
        listed = ", ".join(f"{count} x {why}" for why, count in by_reason.most_common())
        named = ", ".join(sha256[:12] for sha256, _ in refused[:_NAMED]) + (", ..." if len(refused) > _NAMED else "")
        raise LicenseError(
            f"{len(refused)} pictures of {folder} must not be published ({listed}; sha256 {named}): "
            "push to a private repository, without --public, or build again with --only-redistributable"
        )
