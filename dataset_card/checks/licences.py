"""Licences and attribution: what `push --public` would refuse, and a card that says otherwise."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from dataset_card.checks import Result, judge
from dataset_card.checks.opening import OpenDataset
from dataset_card.licenses import license_of, why_not_publish
from dataset_card.write.card import license_metadata


def check_licences(dataset: OpenDataset, table: pd.DataFrame) -> Iterator[Result]:
    """Looks for pictures that must not be published, authors that are not named, and a card that says otherwise."""
    claimed = _as_list(dataset.card.metadata.get("license"))
    if not dataset.has_text("license"):
        known = [license for license in claimed if license_of(license).redistributable]
        yield judge(
            "column",
            "NOTE" if claimed and known == claimed else "FOUND",
            [f"the card says {', '.join(claimed)} of all" if claimed else "and the card names none"],
            what="no column `license`",
            advice="say of every picture which licence it has: `dataset_card push --public` asks for it",
        )
        return
    licences = table["license"].value_counts()
    allowed = table["license"].map({name: license_of(name).redistributable for name in licences.index}).astype(bool)
    terms = zip(table["license"], table["author"], table["source_url"], strict=True)
    why = pd.Series([why_not_publish(*row) or "" for row in terms], table.index, dtype=object)
    refused = table["row"] + ": " + why
    yield judge(
        "licence",
        "FOUND",
        refused[(why != "") & ~allowed].tolist(),
        what="unknown, or not to be published again",
        advice="find out, leave these out, or keep the dataset private",
        fine=", ".join(f"{name} {count}" for name, count in licences.items()),
    )
    yield judge(
        "attribution",
        "FOUND",
        refused[(why != "") & allowed].tolist(),
        what="author or source_url is missing where the licence asks for them",
        advice="fill both columns in",
        fine="everybody is named who must be",
    )
    if not dataset.card.metadata or licences.empty:
        return
    held = _as_list(license_metadata(set(licences.index))["license"])
    differing = [f"{name} in the rows only" for name in held if name not in claimed]
    differing += [f"{name} in the card only" for name in claimed if name not in held]
    yield judge(
        "in the card",
        "FOUND",
        differing,
        what="`license` differs",
        advice=f"write into the card's metadata: license: [{', '.join(held)}]",
        fine=f"the card says {', '.join(claimed)}, too",
    )


def _as_list(value: Any) -> list[str]:
    """Returns a field of a card's metadata, which may hold one word or several."""
    return [str(word) for word in value] if isinstance(value, list) else [str(value)] if value else []
