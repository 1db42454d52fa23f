"""The dataset card: README.md with the Hub's metadata on top, and LICENSE.md with what every licence asks."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dataset_card.choosing.duplicates import NEAR_DISTANCE
from dataset_card.knowing.dances import DANCES
from dataset_card.knowing.licenses import license_of
from dataset_card.knowing.provenance import DRAWING
from dataset_card.writing.captions import MOST_CLASSES, captions
from dataset_card.writing.leaks import Leaks
from dataset_card.writing.markdown import link, plain
from dataset_card.writing.tables import Contents, Row, class_counts

TEMPLATE = Path(__file__).with_name("card_template.md")
LICENSE_TEMPLATE = Path(__file__).with_name("license_template.md")

MOST_ATTRIBUTIONS = 1000
"""Up to so many pictures are attributed one by one in LICENSE.md; more are in the columns of the parquet alone."""
_MOST_AUTHORS = 5
_SIZES = [
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
]


def write_card(folder: Path, name: str, contents: Contents, leaks: list[Leaks]) -> None:
    """Writes `README.md` and `LICENSE.md` into `folder`, whose parquet files are finished.

    Args:
        folder: The dataset folder.
        name: What people call the dataset.
        contents: What is in it and what was left out.
        leaks: What every two splits share.
    """
    everything = contents.everything
    licenses = Counter(license_of(row.provenance.license) for row in everything).most_common()
    drawings = all(row.provenance.source == DRAWING for row in everything)
    metadata = DatasetCardData(
        pretty_name=name,
        task_categories=["image-classification"],
        size_categories=[size_category(len(everything))],
        tags=["nritya", *(["drawings"] if drawings else ["dance"] if _dances(contents) else [])],
        configs=[
            {
                "config_name": "default",
                # `load_dataset` caches a local folder by its name and this block alone: without a word that
                # changes with the content, a rebuilt folder would be read from the cache of the former one.
                "description": f"content {_fingerprint(folder)}",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in contents.rows],
            }
        ],
        **license_metadata({license.id for license, _ in licenses}),
    )
    card = DatasetCard.from_template(
        metadata,
        template_path=str(TEMPLATE),
        name=plain(name),
        drawings=drawings,
        dances=_dances(contents),
        splits=list(contents.rows),
        ratios={split: f"{100 * share:.3g}" for split, share in (contents.ratios or {}).items()},
        numbered=[
            (number, plain(label))
            for number, (label, caption) in enumerate(
                zip(contents.label_names, captions(contents.label_names), strict=True)
            )
            if caption == f"class {number}"
        ],
        most_classes=MOST_CLASSES,
        counts={plain(label): of for label, of in class_counts(contents).items()},
        totals={split: len(rows) for split, rows in contents.rows.items()},
        licenses=licenses,
        authors=_authors(everything),
        sources=Counter(plain(row.provenance.source) or "not stated" for row in everything).most_common(),
        sizes=_sizes(everything),
        reasons=Counter(r.reason for r in contents.rejected).most_common(),
        grouped=_groups(contents),
        near_distance=NEAR_DISTANCE,
        leaks=leaks,
        contents=contents,
    )
    card.save(folder / "README.md")
    # The same settings as huggingface_hub's own template above, without a block of metadata.
    environment = Environment(loader=FileSystemLoader(LICENSE_TEMPLATE.parent), undefined=StrictUndefined)
    text = environment.get_template(LICENSE_TEMPLATE.name).render(
        name=plain(name),
        licenses=licenses,
        credits=credit_lines(everything),
        most=MOST_ATTRIBUTIONS,
    )
    (folder / "LICENSE.md").write_text(text + "\n", encoding="utf-8")


def license_metadata(license_ids: set[str]) -> dict[str, Any]:
    """Returns what a card's metadata say about the licences of its pictures.

    Args:
        license_ids: All that the column `license` holds.

    Returns:
        `license`, one id of the Hub or a list of them, and where the Hub does not know one of the licences,
        `license_name` and `license_link`.
    """
    hub_ids = sorted({license_of(license_id).hub_id for license_id in license_ids})
    found: dict[str, Any] = {"license": hub_ids if len(hub_ids) > 1 else hub_ids[0]}
    if others := sorted(license_id for license_id in license_ids if license_of(license_id).hub_id == "other"):
        found |= {"license_name": "-and-".join(others), "license_link": "LICENSE.md"}
    return found


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
    # hashlib lets go of the interpreter: a shard per core.
    with ThreadPoolExecutor() as pool:
        return content_fingerprint(pool.map(_sha256, sorted((folder / "data").iterdir())))


def _sha256(path: Path) -> bytes:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


def credit_lines(rows: list[Row]) -> list[str] | None:
    """Returns a line for every picture whose author must be named, by author; None when they are too many."""
    owed = [
        row for row in rows if (license := license_of(row.provenance.license)).attribution and license.redistributable
    ]
    if len(owed) > MOST_ATTRIBUTIONS:
        return None
    return [credit_line(row) for row in sorted(owed, key=lambda row: (row.provenance.author, row.provenance.title))]


def credit_line(row: Row) -> str:
    """Returns what a picture's author is owed: title, name, licence, source, in Markdown."""
    origin = row.provenance
    license = license_of(origin.license)
    title = f"“{plain(origin.title)}”" if origin.title else f"`{row.photo.sha256[:16]}`"
    author = link(origin.author or "unknown author", origin.author_url)
    terms = link(license.name, origin.license_url or license.url)
    source = f", {link(origin.source or 'source', origin.source_url)}" if origin.source_url else ""
    return f"{title} by {author}, {terms}{source}"


def _dances(contents: Contents) -> list[Any]:
    return [DANCES[label] for label in contents.label_names if label in DANCES]


def _authors(rows: list[Row]) -> dict[str, Any]:
    """Returns how many authors there are, and the share in per cent of those with most pictures."""
    named = Counter(row.provenance.author for row in rows if row.provenance.author)
    top = sum(count for _, count in named.most_common(_MOST_AUTHORS))
    return {
        "named": len(named),
        "unnamed": sum(not row.provenance.author for row in rows),
        "most": min(_MOST_AUTHORS, len(named)),
        "top_share": round(100 * top / len(rows)),
    }


def _sizes(rows: list[Row]) -> dict[str, int]:
    """Returns the median and the extremes of the longer side as collected, and how many are portraits."""
    longer = sorted(max(row.photo.width, row.photo.height) for row in rows)
    upright = sum(row.photo.height > row.photo.width for row in rows)
    return {
        "smallest": longer[0],
        "median": longer[len(longer) // 2],
        "largest": longer[-1],
        "upright": round(100 * upright / len(rows)),
    }


def _groups(contents: Contents) -> dict[str, int]:
    near = Counter(contents.near[row.photo.sha256] for row in contents.everything)
    all_groups = Counter(row.group for row in contents.everything)
    return {
        # An event may join several of these into one group.
        "near_groups": len({row.group for row in contents.everything if near[contents.near[row.photo.sha256]] > 1}),
        "near_pictures": sum(size for size in near.values() if size > 1),
        "groups": len(all_groups),
        "largest": max(all_groups.values()),
        "joined_by_event": len(near) - len(all_groups),
    }
