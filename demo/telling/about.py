"""What the page says of the model: what it is, what it has learned from, how good it was measured to be."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from huggingface_hub.constants import ENDPOINT

from demo.models.model import ServedModel
from demo.telling.facts import number, plain
from demo.words import Words

_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_MOST_LICENSES = 6


@dataclass(frozen=True)
class About:
    """What there is to say; links are addresses on the Hub or empty, everything else is text.

    Attributes:
        name: The Hub id, or architecture and dataset.
        revision: The first letters of its commit, or "".
        report: The page with card and figures, or "".
        data: What it has learned from.
        data_url: Where that is.
        drawings: It has learned from drawings.
        pictures: How many; None where nobody says.
        licenses: Theirs, with how many have each.
        test: What `words` need for the sentence on the test; None for a model that was not judged.
        has_test: False where its dataset is known to have no test split.
    """

    name: str
    revision: str
    report: str
    data: str
    data_url: str
    drawings: bool
    pictures: int | None
    licenses: str
    test: dict[str, object] | None
    has_test: bool

    def accuracy(self, words: Words) -> str:
        """Returns how often it was right, of how many, how sure that is, and when it was measured."""
        if self.test is None:
            return words("about_not_judged" if self.has_test else "about_no_test")
        return words("about_accuracy_drawings" if self.drawings else "about_accuracy", **self.test)


def describe(model: ServedModel) -> About:
    """Gathers what there is to say of a model; what its folder says wrongly or not at all is left out."""
    data = model.config.get("training_data")
    data = data if isinstance(data, dict) else {}
    data_id = plain(data.get("id"))
    pictures, counts = number(data.get("pictures")), data.get("licenses")
    licenses = [f"{plain(key)} ({count})" for key, count in counts.items()] if isinstance(counts, dict) else []
    return About(
        name=model.name,
        revision=(model.revision or "")[:7],
        report=_report(model.repo_id, model.revision),
        data=plain(data.get("name")),
        data_url=f"{ENDPOINT}/datasets/{data_id}" if _REPO_ID.fullmatch(data_id) else "",
        drawings=model.drawings,
        pictures=None if pictures is None else int(pictures),
        licenses=", ".join(licenses[:_MOST_LICENSES]),
        test=_test(model.test),
        has_test=data.get("has_test") is not False,
    )


def _report(repo_id: str | None, revision: str | None) -> str:
    if not repo_id:
        return ""
    return f"{ENDPOINT}/{repo_id}" + (f"/tree/{quote(revision, safe='')}" if revision else "")


def _test(test: dict[str, Any]) -> dict[str, object] | None:
    interval = test.get("accuracy_interval")
    low_high = interval if isinstance(interval, list) and len(interval) == 2 else [None, None]
    low, high, right, pictures = map(number, (*low_high, test.get("accuracy"), test.get("pictures")))
    if low is None or high is None or right is None or pictures is None:
        return None
    shares = {"percent": right, "low": low, "high": high}
    return {
        **{key: f"{100 * share:.0f}" for key, share in shares.items()},
        "pictures": int(pictures),
        "date": plain(test.get("date"), 40),
    }
