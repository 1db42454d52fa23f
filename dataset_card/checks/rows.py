"""One pass over the rows of a dataset: what the checks need to know of each, without keeping its pixels."""

import hashlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pandas as pd
from datasets.utils.file_utils import xopen
from tqdm import tqdm

from dataset_card.checks.opening import OpenDataset, readable
from dataset_card.scan import inspect_image
from pictures import RefusedError

# Enough to keep every core busy, few enough that their bytes do not matter.
_ROWS_AT_ONCE = 64
_TEXTS = ("sha256", "group", "license", "author", "source_url")
_FACTS = {
    "pixels": b"",
    "hashes": b"",
    "width": 0,
    "height": 0,
    "mode": "",
    "turned": False,
    "metadata": (),
    "marks": b"",
}


def inspect_rows(dataset: OpenDataset) -> pd.DataFrame:
    """Reads every row and decodes every picture, several at once.

    Returns:
        A row per row of the dataset:

        - `split`, and `row`: split, number and name, so that a person finds it again;
        - `label`: name of its class, None where that is missing or wrong, and `label_fault`: what is wrong with it;
        - `sha256`, `group`, `license`, `author`, `source_url`: what the columns of these names hold, else empty;
        - `reason` and `detail`: why the picture can't be decoded; empty when it can;
        - `pixels`, `hashes`, `width`, `height`, `mode`, `turned`, `metadata`, `marks`: see `scan.inspect_image`; empty
          for a picture that can't be decoded.

    Raises:
        UserError: The data can't be read.
        HubError: The Hub, or the way to it, says no.
    """
    records: list[dict[str, Any]] = []
    bar = tqdm(total=dataset.rows, desc="Checking pictures", unit="picture")
    # Threads suffice: Pillow decodes, and hashlib digests, without holding the interpreter's lock.
    with bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        for split, stream in dataset.splits.items():
            numbered = enumerate(stream)
            while True:
                with readable(dataset.name, dataset.place):
                    batch = list(itertools.islice(numbered, _ROWS_AT_ONCE))
                if not batch:
                    break
                records += pool.map(lambda entry, split=split: _inspect(dataset, split, *entry), batch)
                bar.update(len(batch))
    columns = ["split", "row", "label", "label_fault", *_TEXTS, "reason", "detail", *_FACTS]
    # Objects: a text need not be valid UTF-8, which pandas' strings are.
    table = pd.DataFrame(records, columns=columns, dtype=object)
    return table.astype({"width": "int64", "height": "int64", "turned": bool})


def _inspect(dataset: OpenDataset, split: str, number: int, record: dict[str, Any]) -> dict[str, Any]:
    label, label_fault = _label(dataset, record)
    texts = {column: (record[column] or "") if dataset.has_text(column) else "" for column in _TEXTS}
    image = record[dataset.image]
    content, facts, reason, detail = b"", _FACTS, "", ""
    if image is None or (image["bytes"] is None and image["path"] is None):
        reason = "no picture"
    elif (content := _content(dataset, image)) == b"":
        reason = "no file, or an empty one"
    else:
        try:
            facts = inspect_image(content)
        except RefusedError as refusal:
            reason, detail = refusal.reason, refusal.detail
    file = "/".join(image["path"].split("::")[0].split("/")[-2:]) if image and image["path"] else ""
    name = texts["sha256"][:12] or file or (hashlib.sha256(content).hexdigest()[:12] if content else "")
    return {
        "split": split,
        "row": f"{split} row {number} ({name})" if name else f"{split} row {number}",
        "label": label,
        "label_fault": label_fault,
        **{fact: facts[fact] for fact in _FACTS},
        **texts,
        "reason": reason,
        "detail": detail,
    }


def _label(dataset: OpenDataset, record: dict[str, Any]) -> tuple[str | None, str]:
    """Returns the name of a row's class, and what is wrong with it."""
    if dataset.label is None:
        return None, ""
    value, names = record[dataset.label], dataset.label_names
    # -1 is how `datasets` writes that a label is not known.
    if value is None or value in (-1, ""):
        return None, "no label"
    if names is None:
        return str(value), ""
    if not 0 <= value < len(names):
        return None, f"label {value}, but there are {len(names)} classes"
    return names[value], ""


def _content(dataset: OpenDataset, image: dict[str, Any]) -> bytes:
    """Returns a picture's file, which a dataset holds itself or only points to; nothing where that is missing."""
    if image["bytes"] is not None:
        return image["bytes"]
    with readable(dataset.name, dataset.place), suppress(FileNotFoundError), xopen(image["path"], "rb") as file:
        return file.read()
    return b""
