"""The dataset card: README.md with the Hub's metadata on top, and LICENSE.md with what every licence asks."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from huggingface_hub import DatasetCard, DatasetCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dataset_card.curate import Curated
from dataset_card.dances import DANCES
from dataset_card.licenses import License, license_of
from dataset_card.provenance import DRAWING
from dataset_card.shortcuts import MEANINGS, find_shortcuts
from dataset_card.write.figures import MOST_CLASSES, captions
from dataset_card.write.parquet import Encoding, dataset_features

TEMPLATE = Path(__file__).with_name("card_template.md")
LICENSE_TEMPLATE = Path(__file__).with_name("license_template.md")

MOST_ATTRIBUTIONS = 1000
"""Up to so many pictures are attributed one by one in LICENSE.md; more are in the columns of the parquet alone."""
_MOST_AUTHORS = 5
_SIZES = {
    1_000: "n<1K",
    10_000: "1K<n<10K",
    100_000: "10K<n<100K",
    1_000_000: "100K<n<1M",
    10_000_000: "1M<n<10M",
    100_000_000: "10M<n<100M",
    1_000_000_000: "100M<n<1B",
}
_SPECIAL = frozenset(r"\`*_[]<>|#&~$")
# Within words of Indian scripts these two say how letters join; what else can't be seen may turn a line round.
_JOINERS = "\u200c\u200d"
# What RFC 3986 knows, less the brackets that would end a link early.
_ADDRESS = "%/:?#@!$&'*+,;=~"


def write_card(folder: Path, name: str, curated: Curated, encoding: Encoding, seed: int) -> None:
    """Writes `README.md` and `LICENSE.md` into `folder`, whose parquet files are finished.

    Args:
        folder: The dataset folder.
        name: What people call the dataset.
        curated: What is in it and what was left out.
        encoding: How its pictures were saved.
        seed: Of the split.
    """
    rows, counts = curated.rows, curated.counts()
    licenses = Counter(map(license_of, rows["license"])).most_common()
    drawings = bool((rows["source"] == DRAWING).all())
    dances = [DANCES[label] for label in curated.label_names if label in DANCES]
    metadata = DatasetCardData(
        pretty_name=name,
        language=["en"],
        # Labels are those of folders: of what was collected, the words that it was found by. Of others nobody knows.
        annotations_creators=["machine-generated"]
        if drawings
        else ["found"]
        if (rows["source"] != "").all()
        else None,
        source_datasets=["original"],
        task_categories=["image-classification"],
        size_categories=[size_category(len(rows))],
        tags=["nritya", *(["drawings"] if drawings else ["dance"] if dances else [])],
        configs=[
            {
                "config_name": "default",
                # `load_dataset` caches a local folder by its name and this block alone: without a word that
                # changes with the content, a rebuilt folder would be read from the cache of the earlier one.
                "description": f"content {_fingerprint(folder)}",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in curated.splits],
            }
        ],
        dataset_info=_dataset_info(folder, curated),
        **license_metadata({license.id for license, _ in licenses}),
    )
    card = DatasetCard.from_template(
        metadata,
        template_path=str(TEMPLATE),
        name=plain(name),
        drawings=drawings,
        dances=dances,
        splits=curated.splits,
        ratios={split: f"{100 * share:.3g}" for split, share in (curated.ratios or {}).items()},
        numbered=[
            (number, plain(label))
            for number, (label, caption) in enumerate(
                zip(curated.label_names, captions(curated.label_names), strict=True)
            )
            if caption == f"class {number}"
        ],
        most_classes=MOST_CLASSES,
        counts={plain(label): of_split.to_dict() for label, of_split in counts.iterrows()},
        totals=counts.sum().to_dict(),
        licenses=licenses,
        authors=_authors(rows["author"]),
        sources=Counter(plain(source) or "not stated" for source in rows["source"]).most_common(),
        sizes=_sizes(rows),
        shortcuts=[] if drawings else find_shortcuts(*(rows[name].tolist() for name in ("marks", "label", "group"))),
        meanings=MEANINGS,
        plain=plain,
        reasons=Counter(curated.rejected["reason"]).most_common(),
        grouped=group_sizes(rows),
        resaved=sum(not encoding.keeps_bytes(row) for row in rows.itertuples()),
        encoding=encoding,
        curated=curated,
        taken_down=len(curated.taken_down),
        seed=seed,
    )
    card.save(folder / "README.md")
    # The same settings as huggingface_hub's own template above, without a block of metadata.
    environment = Environment(loader=FileSystemLoader(LICENSE_TEMPLATE.parent), undefined=StrictUndefined)
    text = environment.get_template(LICENSE_TEMPLATE.name).render(
        name=plain(name),
        licenses=licenses,
        credits=credit_lines(rows),
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
    return next((size for limit, size in _SIZES.items() if count < limit), "n>1T")


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


def credit_lines(rows: pd.DataFrame) -> list[str] | None:
    """Returns a line for every picture whose author must be named, by author; None when they are too many."""
    license = rows["license"].map(license_of)
    owed = rows.assign(terms=license)[[found.attribution and found.redistributable for found in license]]
    if len(owed) > MOST_ATTRIBUTIONS:
        return None
    return [credit_line(row, row.terms) for row in owed.sort_values(["author", "title"], kind="stable").itertuples()]


def credit_line(row: Any, license: License) -> str:
    """Returns what a picture's author is owed: title, name, licence, source, in Markdown."""
    title = f"“{plain(row.title)}”" if row.title else f"`{row.sha256[:16]}`"
    author = link(row.author or "unknown author", row.author_url)
    terms = link(license.name, row.license_url or license.url)
    source = f", {link(row.source or 'source', row.source_url)}" if row.source_url else ""
    return f"{title} by {author}, {terms}{source}"


def group_sizes(rows: pd.DataFrame) -> dict[str, int]:
    """Returns how many groups there are and the size of the largest, of near-duplicates alone and with events joined.

    Args:
        rows: `near` and `group` of the pictures.
    """
    near, groups = rows["near"].value_counts(), rows["group"].value_counts()
    alike = rows[rows["near"].map(near) > 1]
    return {
        # An event may join several of these into one group.
        "near_groups": alike["group"].nunique(),
        "near_pictures": len(alike),
        "groups": len(groups),
        "largest": int(groups.max()),
        "joined_by_event": len(near) - len(groups),
        "longest_chain": int(near.max()),
    }


def plain(text: str) -> str:
    """Returns text in one line, every special character of it escaped."""
    seen = (char for char in " ".join(text.split()) if char.isprintable() or char in _JOINERS)
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in seen)


def link(text: str, url: str) -> str:
    """Returns text that leads to an address of the web; the text alone where there is no such address."""
    address = quote(url.strip(), _ADDRESS)
    return f"[{plain(text)}]({address})" if address.lower().startswith(("http://", "https://")) else plain(text)


def _dataset_info(folder: Path, curated: Curated) -> dict[str, Any]:
    """Returns what `datasets` and the Hub's viewer want to know without reading the data."""
    files = {split: sorted((folder / "data").glob(f"{split}-*.parquet")) for split in curated.splits}
    sizes = {split: sum(file.stat().st_size for file in shards) for split, shards in files.items()}
    return {
        "features": dataset_features(curated.label_names)._to_yaml_list(),
        "splits": [
            {"name": split, "num_bytes": sizes[split], "num_examples": int((curated.rows["split"] == split).sum())}
            for split in curated.splits
        ],
        "download_size": sum(sizes.values()),
        "dataset_size": sum(sizes.values()),
    }


def _authors(authors: pd.Series) -> dict[str, Any]:
    """Returns how many authors there are, and the share in per cent of those with most pictures."""
    named = authors[authors != ""].value_counts()
    return {
        "named": len(named),
        "unnamed": int((authors == "").sum()),
        "most": min(_MOST_AUTHORS, len(named)),
        "top_share": round(100 * named.head(_MOST_AUTHORS).sum() / len(authors)),
    }


def _sizes(rows: pd.DataFrame) -> dict[str, int]:
    """Returns the median and the extremes of the longer side as collected, and the per cent that are portraits."""
    longer = rows[["width", "height"]].max(axis=1).sort_values()
    return {
        "smallest": longer.iloc[0],
        "median": longer.iloc[len(longer) // 2],
        "largest": longer.iloc[-1],
        "upright": round(100 * (rows["height"] > rows["width"]).mean()),
    }
