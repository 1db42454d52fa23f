"""Compares README.md with the data. Only what it claims is compared: cards of other makes claim other things."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

import datasets
import pandas as pd
from fsspec import AbstractFileSystem

from dataset_card.checks import Result, judge
from dataset_card.checks.opening import OpenDataset, unmatched
from dataset_card.write.card import content_fingerprint, size_category

_CLASS_HEADINGS = {"class", "label", "dance"}
_TOTALS = {"all", "total", "sum"}
_LINK = re.compile(r"!\[[^\]]*\]\(\s*<?([^)\s>]+)|<img\b[^>]*\bsrc=[\"']([^\"']+)", re.IGNORECASE)
_BAR = re.compile(r"(?<!\\)\|")
_WRAPPED = re.compile(r"(\*{1,3}|`)(.*[^\\])\1")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_NOT_LOCAL = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


def check_card(dataset: OpenDataset, table: pd.DataFrame) -> Iterator[Result]:
    """Looks at the card's metadata, at the data files that it names, its counts, its class names and its links."""
    card, files = dataset.card, dataset.files
    yield judge(
        "README.md",
        "FOUND",
        [card.fault] if card.fault else [],
        advice="write a card: a block of YAML between two lines of ---, then what a person should know",
        fine="with metadata",
    )
    if card.broken or not (card.metadata or card.text):
        return
    missing = [
        f"{split}: {pattern} ({name})"
        for name, patterns in card.data_files().items()
        for split, of in unmatched(dataset.root, patterns).items()
        for pattern in of
    ]
    yield judge(
        "data files",
        "FOUND",
        missing,
        what="patterns that match nothing, so that nobody can load it",
        advice="fix `configs` in README.md, or put the files back",
        fine="every pattern matches",
    )
    yield from _size(dataset, len(table))
    # What is missing can't be counted, and is reported already.
    yield from _classes_and_counts(dataset, table, set(dataset.splits) if missing else None)
    yield from _fingerprint(dataset)
    links = [link for found in _LINK.findall(card.text) if not _NOT_LOCAL.match(link := found[0] or found[1])]
    yield judge(
        "links",
        "FOUND",
        [link for link in dict.fromkeys(links) if not files.exists(_path(link))],
        what="pictures in the card that are not there",
        advice="fix the link, or put the file there",
        fine=f"{len(links)} shown",
    )


def _size(dataset: OpenDataset, count: int) -> Iterator[Result]:
    claimed = dataset.card.metadata.get("size_categories") or []
    claimed = claimed if isinstance(claimed, list) else [claimed]
    size = size_category(count)
    # A card has one size for all its configurations.
    if claimed and len(dataset.card.configs()) <= 1:
        yield judge(
            "size",
            "FOUND",
            [] if size in claimed else [f"{', '.join(map(str, claimed))}, but it is {size}"],
            what="size_categories is",
            advice=f"write size_categories: [{size}]",
            fine=size,
        )


def _classes_and_counts(dataset: OpenDataset, table: pd.DataFrame, only: set[str] | None) -> Iterator[Result]:
    """Compares class names and counts with `dataset_info`, and in cards of other makes with the table of classes.

    Args:
        dataset: Its card is compared.
        table: The rows.
        only: Compare the counts of these splits alone; None for all.
    """
    card, infos = dataset.card, dataset.card.infos
    info = infos.get(dataset.config) or (next(iter(infos.values())) if len(infos) == 1 else datasets.DatasetInfo())
    names = dataset.label_names or sorted(table["label"].dropna().unique())
    actual = Counter({("", split): count for split, count in table["split"].value_counts().items()})
    actual["", ""] = len(table)
    for (label, split), count in table.groupby(["label", "split"]).size().items():
        actual.update({(label, split): count, (label, ""): count})

    claimed = [(("", split.name), split.num_examples) for split in (info.splits or {}).values() if split.num_examples]
    claimed = [claim for claim in claimed if only is None or claim[0][1] in only]
    differing: list[str] | None = None
    if isinstance(kind := (info.features or {}).get(dataset.label), datasets.ClassLabel):
        differing = _differing(kind.names, names)
        if not differing and kind.names != names:
            differing = [f"in the card in another order: {', '.join(kind.names)}"]
    # Our own table of classes holds nothing that `dataset_info` does not, and a class in it may be called "total".
    is_ours = bool(infos) and "nritya" in (card.metadata.get("tags") or [])
    if not is_ours and (in_text := read_class_table(card.text, list(dataset.splits), names)):
        labels = list(dict.fromkeys(label for label, _ in in_text if label))
        differing = (differing or []) + _differing(labels, names)
        claimed += [(cell, count) for cell, count in in_text.items() if count is not None and cell[0] in ("", *names)]
    if differing is not None:
        yield judge(
            "class names",
            "FOUND",
            differing,
            what="the card names other classes",
            advice="write the card anew",
            fine=f"{len(names)}, as in the data",
        )
    if claimed:
        yield judge(
            "counts",
            "FOUND",
            [
                f"{label or 'all'}, {split or 'all'}: {count}, but there are {actual[label, split]}"
                for (label, split), count in claimed
                if count != actual[label, split]
            ],
            what="the card says",
            advice="write the card anew",
            fine="as in the data",
        )


def _differing(claimed: Sequence[str], names: Sequence[str]) -> list[str]:
    return [f"{name} in the data only" for name in names if name not in claimed] + [
        f"{name} in the card only" for name in claimed if name not in names
    ]


def read_class_table(
    text: str, splits: Sequence[str], names: Sequence[str]
) -> dict[tuple[str, str], int | None] | None:
    """Finds the table of a card whose columns are a class and its pictures in every split.

    Args:
        text: Markdown.
        splits: Names of the splits there are.
        names: Names of the classes there are: where one is called "total", so is the first of two such rows.

    Returns:
        The counts by class and split, either of them empty for a total; a count is None where the cell is no number.
        None without such a table.
    """
    lines = [[_cell(cell) for cell in _BAR.split(line.strip().strip("|"))] for line in text.splitlines()]
    for number, (first, *headings) in enumerate(lines):
        columns = ["" if heading.lower() in _TOTALS and heading not in splits else heading for heading in headings]
        if first.lower() in _CLASS_HEADINGS and set(columns) & set(splits) and set(columns) <= {"", *splits}:
            counts: dict[tuple[str, str], int | None] = {}
            for name, *cells in lines[number + 2 :]:
                if len(cells) != len(columns):
                    break
                is_total = name.lower() in _TOTALS and (name not in names or (name, columns[0]) in counts)
                label = "" if is_total else name
                for column, cell in zip(columns, cells, strict=True):
                    is_number = re.fullmatch(r"[\d,]*\d", cell) is not None
                    counts[label, column] = int(cell.replace(",", "")) if is_number else None
            return counts
    return None


def _cell(text: str) -> str:
    """Returns what a reader sees of a cell: without what makes it bold or code, and without escapes."""
    inner = _WRAPPED.fullmatch(text.strip())
    return _ESCAPED.sub(r"\1", inner[2].strip() if inner else text.strip())


def _fingerprint(dataset: OpenDataset) -> Iterator[Result]:
    """Compares the word in the metadata that makes `load_dataset` read a rebuilt folder anew."""
    words = [
        re.fullmatch("content ([0-9a-f]{16})", str(config.get("description"))) for config in dataset.card.configs()
    ]
    if not words or not words[0] or not dataset.files.isdir("data"):
        return
    parts = sorted(dataset.files.ls("data", detail=False))
    fingerprint = content_fingerprint(_sha256(dataset.files, part) for part in parts)
    yield judge(
        "content",
        "FOUND",
        [] if words[0][1] == fingerprint else [f"content {words[0][1]}, but it is {fingerprint}"],
        what="the data changed after the card was written",
        advice="build again, or write the word into configs in README.md",
        fine="the data are those that the card was written for",
    )


def _sha256(files: AbstractFileSystem, path: str) -> bytes:
    # The Hub knows the digest of a large file: it need not be fetched.
    if large := files.info(path).get("lfs"):
        return bytes.fromhex(large["sha256"])
    with files.open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


def _path(link: str) -> str:
    """Returns the file that a link of a card means, below the dataset's folder."""
    return unquote(re.split("[?#]", link)[0]).removeprefix("./")
