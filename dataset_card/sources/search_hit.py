"""What a search at a source gives: a photograph to download, or one to leave out and the reason."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date

MIN_SIDE = 200
"""Pixels. A smaller picture shows too little of a dancer, and is often a sign that says "not available"."""

_DAY = re.compile(r"(?<!\d)((?:1[89]|20)\d\d)[-:](\d\d)[-:](\d\d)(?!\d)")
_EXTENSION = re.compile(r"\.(jpe?g|png|webp|tiff?|gif)$", re.IGNORECASE)
# "(12)", "- 03", "_0412", "no. 7", "#5" at the end; a year is no counter.
_COUNTER = re.compile(r"[\s_,.-]*(?:\(\s*\d+\s*\)|(?:\bno\.?\s*|#)\d+|(?<!\d)(?!(?:19|20)\d\d$)\d+)$", re.IGNORECASE)
_FRONT_COUNTER = re.compile(r"^(?!(?:19|20)\d\d\D)\d+[\s_.-]+")
# What cameras call their files.
_CAMERA = re.compile(r"(dsc[nf]?|_?mg|img|pict?|p|image|photo|pxl|dji|untitled|screenshot)?[\W_\d]*", re.IGNORECASE)


@dataclass(frozen=True)
class SearchHit:
    """A photograph that may be used, as its source says. Unknown facts are empty or 0.

    Attributes:
        source: Such as "commons".
        source_id: Its id there, which never changes.
        title: What its page calls it.
        page_url: The page that shows it and its licence.
        file_url: What to download: the original or a scaled copy.
        author: Whom to name.
        author_url: The author's page.
        license: An id of `dataset_card.licenses`.
        license_url: The licence's text.
        event: The occasion, see `Provenance.event`.
        sha1: SHA-1 of the original at its source, in hex.
        is_original: Whether `file_url` is that original, byte for byte.
        width: Pixels, as stated by the source.
        height: Pixels, as stated by the source.
        is_exact: Whether the file at `file_url` has exactly this size; otherwise only these proportions.
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
        """The name of its file without the extension, independent of what the title holds."""
        short = (
            self.source_id if self.source_id.isdecimal() else hashlib.sha1(self.source_id.encode()).hexdigest()[:16]
        )
        return f"{self.source}-{short}"

    @property
    def is_small(self) -> bool:
        """Whether the source states a size that is too small to be of use."""
        return 0 < min(self.width, self.height) < MIN_SIDE


@dataclass(frozen=True)
class SkippedHit:
    """A picture that must not, or can't, be used.

    Attributes:
        page_url: Its page.
        reason: Short and the same for every picture of its kind, so that it can be counted.
        detail: What was found about this one.
    """

    page_url: str
    reason: str
    detail: str = ""


def event_of(taken: str, title: str) -> str:
    """Names the occasion on which a picture was taken, so that pictures of one occasion can stay in one split.

    Args:
        taken: When the picture was taken, in any text; only a whole day counts.
        title: What its source calls it.

    Returns:
        The day, as 2019-01-26, or else the title without counters and extension; empty when neither tells one
        occasion from another, as with IMG_1234.jpg.
    """
    for year, month, day in _DAY.findall(taken):
        try:
            return date(int(year), int(month), int(day)).isoformat()
        except ValueError:
            continue
    stem = " ".join(_EXTENSION.sub("", title).replace("_", " ").split())
    if _CAMERA.fullmatch(stem):
        return ""
    previous = ""
    while stem != previous:
        previous, stem = stem, _COUNTER.sub("", _FRONT_COUNTER.sub("", stem)).strip(" ,.-_")
    return "" if _CAMERA.fullmatch(stem) else stem.casefold()
