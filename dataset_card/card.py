"""The dataset card: README.md with the Hub's metadata on top."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import DatasetCard, DatasetCardData

from dataset_card.provenance import DRAWING
from dataset_card.rejected import Rejected
from dataset_card.tables import Row

TEMPLATE = Path(__file__).with_name("card_template.md")

_SIZES = [
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
]


def write_card(
    folder: Path,
    name: str,
    label_names: list[str],
    rows: dict[str, list[Row]],
    rejected: list[Rejected],
    seed: int,
) -> Path:
    """Writes `folder/README.md`.

    Args:
        folder: The dataset folder; its parquet files are named in the metadata.
        name: What people call the dataset.
        label_names: Class names, in the order of their numbers.
        rows: The pictures of every split.
        rejected: The files left out.
        seed: The seed of the split.
    """
    everything = [row for split in rows for row in rows[split]]
    licenses = Counter(row.provenance.license for row in everything)
    drawings = all(row.provenance.source == DRAWING for row in everything)
    metadata = DatasetCardData(
        pretty_name=name,
        license=sorted(licenses) if len(licenses) > 1 else next(iter(licenses)),
        task_categories=["image-classification"],
        size_categories=[size_category(len(everything))],
        tags=["nritya", *(["drawings"] if drawings else [])],
        configs=[
            {
                "config_name": "default",
                # `load_dataset` caches a local folder by its name and this block alone: without a word that
                # changes with the content, a rebuilt folder would be read from the cache of the former one.
                "description": f"content {_fingerprint(folder)}",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in rows],
            }
        ],
    )
    counts = {
        label: {split: sum(row.photo.label == label for row in rows[split]) for split in rows} for label in label_names
    }
    group_sizes = Counter(row.group for row in everything)
    card = DatasetCard.from_template(
        metadata,
        template_path=str(TEMPLATE),
        name=name,
        drawings=drawings,
        splits=list(rows),
        counts=counts,
        totals={split: len(rows[split]) for split in rows},
        licenses=licenses.most_common(),
        reasons=Counter(r.reason for r in rejected).most_common(),
        near_duplicates=sum(size for size in group_sizes.values() if size > 1),
        near_duplicate_groups=sum(size > 1 for size in group_sizes.values()),
        seed=seed,
    )
    path = folder / "README.md"
    card.save(path)
    return path


def size_category(count: int) -> str:
    """Returns the Hub's word for a number of pictures, such as "1K<n<10K"."""
    return next((size for limit, size in _SIZES if count < limit), "n>1M")


def content_fingerprint(digests: Iterable[bytes]) -> str:
    """Returns 16 hex digits that change when anything in the parquet files does.

    Args:
        digests: The files' SHA-256, 32 bytes each, sorted by the files' names.
    """
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def _fingerprint(folder: Path) -> str:
    digests = []
    for part in sorted((folder / "data").iterdir()):
        with part.open("rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").digest())
    return content_fingerprint(digests)
