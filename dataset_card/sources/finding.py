"""What a source finds: a picture that may be fetched, or one that may not, with the reason."""

import hashlib
from dataclasses import dataclass

MIN_SIDE = 200
"""Pixels. A smaller picture shows too little of a dancer, and is often a sign that says "not available"."""


@dataclass(frozen=True)
class Candidate:
    """A picture that its source says may be used. Unknown facts are empty or 0.

    Attributes:
        source: Such as "commons".
        source_id: Its identity there, which never changes.
        title: What its page calls it.
        page_url: Page that shows it and its licence.
        file_url: What is fetched: the picture itself or a scaled copy.
        author: Whom to name.
        author_url: The author's page.
        license: An id of `dataset_card.licenses`.
        license_url: The licence's text.
        event: The occasion, see `Provenance.event`.
        sha1: SHA-1 of the original at its source, in hex.
        is_original: `file_url` is that original, byte for byte.
        width: Pixels, as announced.
        height: Pixels, as announced.
        is_exact: The file at `file_url` has just this size; otherwise it only has these proportions.
    """

    source: str
    source_id: str
    title: str
    page_url: str
    file_url: str
    author: str = ""
    author_url: str = ""
    license: str = "unknown"
    license_url: str = ""
    event: str = ""
    sha1: str = ""
    is_original: bool = False
    width: int = 0
    height: int = 0
    is_exact: bool = False

    @property
    def stem(self) -> str:
        """The name of its file, without the extension: made by us, whatever the title holds."""
        short = (
            self.source_id if self.source_id.isdecimal() else hashlib.sha1(self.source_id.encode()).hexdigest()[:16]
        )
        return f"{self.source}-{short}"

    @property
    def is_small(self) -> bool:
        """Whether it is announced as too small to be of use."""
        return 0 < min(self.width, self.height) < MIN_SIDE


@dataclass(frozen=True)
class Skipped:
    """A picture that is not fetched.

    Attributes:
        page_url: Its page.
        reason: Short, the same for every picture of its kind, so that it can be counted.
        detail: What was found about this one.
    """

    page_url: str
    reason: str
    detail: str = ""


Finding = Candidate | Skipped
