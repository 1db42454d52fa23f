"""May every picture be shown, and is everybody named who must be?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from dataset_card.checks.opening import OpenDataset
from dataset_card.checks.pictures import Picture
from dataset_card.checks.result import Result, judge
from dataset_card.licenses import license_of


def check_licences(dataset: OpenDataset, pictures: Sequence[Picture]) -> Iterator[Result]:
    """Looks for pictures that must not be published, authors that are not named, and a card that says otherwise."""
    claimed = _as_list(dataset.card.metadata.get("license"))
    if not dataset.has_text("license"):
        known = [license for license in claimed if license_of(license).redistributable]
        yield judge(
            "column",
            "NOTE" if claimed and known == claimed else "FOUND",
            [f"the card says {', '.join(claimed)} of all" if claimed else "and the card names none"],
            what="no column `license`",
            advice="say of every picture which licence it has",
        )
        return
    rows = Counter(picture.license for picture in pictures)
    known_as = {name: license_of(name) for name in rows}
    yield judge(
        "licence",
        "FOUND",
        [f"{p.where}: {p.license or 'none'}" for p in pictures if not known_as[p.license].redistributable],
        what="unknown, or not to be published again",
        advice="find out, leave these out, or keep the dataset private",
        fine=", ".join(f"{name} {count}" for name, count in rows.most_common()),
    )
    yield judge(
        "attribution",
        "FOUND",
        [f"{p.where}: {p.license}" for p in pictures if p.why_not_publish and known_as[p.license].redistributable],
        what="author or source_url is missing where the licence asks for them",
        advice="fill both columns in",
        fine="everybody is named who must be",
    )
    if not dataset.card.metadata:
        return
    held = sorted({license.hub_id for license in known_as.values()})
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
