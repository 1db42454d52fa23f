"""Does the card say what is so? Only what it claims is compared: cards of other makes claim other things."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from fsspec import AbstractFileSystem

from dataset_card.checks.card_file import unmatched
from dataset_card.checks.opening import OpenDataset
from dataset_card.checks.pictures import Picture
from dataset_card.checks.result import Result, judge
from dataset_card.write.card import content_fingerprint, size_category

_CLASS_HEADINGS = {"class", "label", "dance"}
_TOTALS = {"all", "total", "sum"}
_LINK = re.compile(r"!\[[^\]]*\]\(\s*<?([^)\s>]+)|<img\b[^>]*\bsrc=[\"']([^\"']+)", re.IGNORECASE)
_BAR = re.compile(r"(?<!\\)\|")
_WRAPPED = re.compile(r"(\*{1,3}|`)(.*[^\\])\1")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_NOT_LOCAL = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


@dataclass(frozen=True)
class ClassTable:
    """The table of a card that counts pictures per class and split.

    Attributes:
        counts: By class and split, either of which may be "all".
        classes: In the table's order.
    """

    counts: dict[tuple[str, str], int]
    classes: list[str]


def check_card(dataset: OpenDataset, pictures: Sequence[Picture]) -> Iterator[Result]:
    """Compares README.md with the data."""
    card, files = dataset.card, dataset.files
    yield judge(
        "README.md",
        "FOUND",
        [card.fault] if card.fault else [],
        advice="write a card: a block of YAML between two lines of ---, then what a person should know",
        fine="with metadata",
    )
    if not card.metadata and not card.text:
        return
    lacking = [
        f"{split}: {pattern} ({name})"
        for name, patterns in card.data_files().items()
        for split, of in unmatched(dataset.root, patterns).items()
        for pattern in of
    ]
    yield judge(
        "data files",
        "FOUND",
        lacking,
        what="patterns that match nothing, so that nobody can load it",
        advice="mend `configs` in README.md, or put the files back",
        fine="every pattern matches",
    )
    yield from _counts(dataset, pictures)
    yield from _fingerprint(dataset)
    links = [link for found in _LINK.findall(card.text) if not _NOT_LOCAL.match(link := found[0] or found[1])]
    yield judge(
        "links",
        "FOUND",
        [link for link in dict.fromkeys(links) if not files.exists(_path(link))],
        what="pictures in the card that are not there",
        advice="mend the link, or put the file there",
        fine=f"{len(links)} shown",
    )


def _counts(dataset: OpenDataset, pictures: Sequence[Picture]) -> Iterator[Result]:
    claimed = dataset.card.metadata.get("size_categories") or []
    claimed = claimed if isinstance(claimed, list) else [claimed]
    is_so = size_category(len(pictures))
    # A card has one size for all its configurations.
    if claimed and len(dataset.card.configs()) <= 1:
        yield judge(
            "size",
            "FOUND",
            [] if is_so in claimed else [f"{', '.join(map(str, claimed))}, but it is {is_so}"],
            what="size_categories is",
            advice=f"write size_categories: [{is_so}]",
            fine=is_so,
        )
    splits = Counter(picture.split for picture in pictures)
    counts = Counter((p.label, p.split) for p in pictures if p.label is not None)
    truth = {**counts, **{("all", split): count for split, count in splits.items()}, ("all", "all"): len(pictures)}
    for (label, _), count in counts.items():
        truth[label, "all"] = truth.get((label, "all"), 0) + count

    said = _declared_splits(dataset)
    if table := read_class_table(dataset.card.text, list(dataset.splits)):
        names = dataset.label_names or sorted({label for label, _ in counts})
        differing = [f"{name} in the data only" for name in names if name not in table.classes]
        differing += [f"{name} in the card only" for name in table.classes if name not in names]
        yield judge(
            "class names",
            "FOUND",
            differing,
            what="the table of classes differs",
            advice="write the card anew",
            fine=f"{len(names)}, as in the data",
        )
        said += [(cell, count) for cell, count in table.counts.items() if cell[0] in {"all", *names}]
    if said:
        wrong = [
            f"{label}, {split}: {count}, but there are {truth.get((label, split), 0)}"
            for (label, split), count in said
            if count != truth.get((label, split), 0)
        ]
        yield judge(
            "counts", "FOUND", wrong, what="the card says", advice="write the card anew", fine="as in the data"
        )


def _declared_splits(dataset: OpenDataset) -> list[tuple[tuple[str, str], int]]:
    """Returns what `dataset_info` in the metadata says of the configuration's splits."""
    infos = dataset.card.metadata.get("dataset_info") or []
    infos = infos if isinstance(infos, list) else [infos]
    mine = [info for info in infos if len(infos) == 1 or info.get("config_name") == dataset.config]
    splits = [split for info in mine for split in info.get("splits") or []]
    return [(("all", split["name"]), split["num_examples"]) for split in splits if "num_examples" in split]


def read_class_table(text: str, splits: Sequence[str]) -> ClassTable | None:
    """Finds the table of a card whose columns are a class and its pictures in every split.

    Args:
        text: Markdown.
        splits: Names of the splits there are.
    """
    lines = [[_cell(cell) for cell in _BAR.split(line.strip().strip("|"))] for line in text.splitlines()]
    for number, (first, *headings) in enumerate(lines):
        columns = ["all" if heading.lower() in _TOTALS else heading for heading in headings]
        if first.lower() in _CLASS_HEADINGS and set(columns) & set(splits) and set(columns) <= {"all", *splits}:
            return _read_rows(columns, lines[number + 2 :])
    return None


def _read_rows(columns: list[str], lines: list[list[str]]) -> ClassTable:
    counts = {}
    classes = []
    for name, *cells in lines:
        if len(cells) != len(columns):
            break
        row = "all" if name.lower() in _TOTALS else name
        if row != "all":
            classes.append(row)
        for column, cell in zip(columns, cells, strict=True):
            if re.fullmatch(r"[\d,]+", cell):
                counts[row, column] = int(cell.replace(",", ""))
    return ClassTable(counts, classes)


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
    is_so = content_fingerprint(_sha256(dataset.files, part) for part in parts)
    yield judge(
        "content",
        "FOUND",
        [] if words[0][1] == is_so else [f"content {words[0][1]}, but it is {is_so}"],
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
