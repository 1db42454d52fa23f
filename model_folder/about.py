"""Facts about a model for the pages that serve it: name, training data, measured accuracy."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from huggingface_hub.constants import ENDPOINT

from model_folder.facts import number, plain
from model_folder.folder import INT8_ONNX, ModelFolder

_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_MOST_LICENSES = 6


@dataclass(frozen=True)
class About:
    """Facts about a model; links are addresses on the Hub or empty, everything else is text.

    Attributes:
        name: The Hub id, or architecture and dataset.
        revision: The first letters of its commit, or "".
        report: The page with card and figures, or "".
        data: The name of the dataset it was trained on.
        data_url: The dataset's page, or "".
        drawings: It was trained on drawings.
        pictures: How many it was trained on; None where config.json does not say.
        licenses: Their licences, with how many pictures have each.
        test: What the sentence on the test needs; None for a model that was not judged.
        has_test: False where its dataset is known to have no test split.
        file: The file that answers.
        int8_agreement: On how many validation pictures an int8 file gave the answer of the float network, which was
            tested, and of how many; None where nobody measured it.
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
    file: str
    int8_agreement: tuple[int, int] | None

    @property
    def test_key(self) -> str:
        """The key, among a page's texts, of the sentence on its test accuracy."""
        if self.test is None:
            return "about_not_judged" if self.has_test else "about_no_test"
        return "about_accuracy_drawings" if self.drawings else "about_accuracy"

    @property
    def file_key(self) -> str:
        """The key, among a page's texts, of the sentence on the file that answers."""
        if self.file != INT8_ONNX:
            return "about_float"
        return "about_int8" if self.int8_agreement else "about_int8_alone"

    @property
    def file_values(self) -> dict[str, object]:
        """What that sentence needs."""
        same, pictures = self.int8_agreement or (0, 0)
        return {"file": self.file, "same": same, "pictures": pictures}


def shown_name(folder: ModelFolder) -> str:
    """Returns the public name of a model: its Hub id, or its architecture and dataset."""
    if folder.repo_id:
        return folder.name
    # A path of this machine is not for visitors.
    data = folder.config.get("training_data", {}).get("name")
    architecture = folder.config["architecture"]
    return f"{architecture}, trained on “{data}”" if data else architecture


def describe(
    name: str,
    config: dict[str, Any],
    test: dict[str, Any],
    repo_id: str | None,
    revision: str | None,
    file: str,
    int8_agreement: tuple[int, int] | None,
) -> About:
    """Gathers the facts about a model; those that its folder lacks or has in a wrong form are left out.

    Args:
        name: As `shown_name` gives it.
        config: Its config.json.
        test: metrics.json of the test split, or empty.
        repo_id: Its id on the Hub, or None.
        revision: The commit there, or None.
        file: The one that answers.
        int8_agreement: As `read_int8_agreement` gives it.
    """
    data = config.get("training_data")
    data = data if isinstance(data, dict) else {}
    data_id = plain(data.get("id"))
    pictures, counts = number(data.get("pictures")), data.get("licenses")
    licenses = [f"{plain(key)} ({count})" for key, count in counts.items()] if isinstance(counts, dict) else []
    return About(
        name=name,
        revision=(revision or "")[:7],
        report=_report(repo_id, revision),
        data=plain(data.get("name")),
        data_url=f"{ENDPOINT}/datasets/{data_id}" if _REPO_ID.fullmatch(data_id) else "",
        drawings=bool(data.get("drawings")),
        pictures=None if pictures is None else int(pictures),
        licenses=", ".join(licenses[:_MOST_LICENSES]),
        test=_test(test),
        has_test=data.get("has_test") is not False,
        file=file,
        int8_agreement=int8_agreement,
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
