"""The occasion on which a picture was taken, so that pictures of one occasion can stay together."""

import re
from datetime import date

_DAY = re.compile(r"(?<!\d)((?:1[89]|20)\d\d)[-:](\d\d)[-:](\d\d)(?!\d)")
_EXTENSION = re.compile(r"\.(jpe?g|png|webp|tiff?|gif)$", re.IGNORECASE)
# "(12)", "- 03", "_0412", "no. 7", "#5" at the end; a year is no counter.
_COUNTER = re.compile(r"[\s_,.-]*(?:\(\s*\d+\s*\)|(?:\bno\.?\s*|#)\d+|(?<!\d)(?!(?:19|20)\d\d$)\d+)$", re.IGNORECASE)
_FRONT_COUNTER = re.compile(r"^(?!(?:19|20)\d\d\D)\d+[\s_.-]+")
# What cameras call their files.
_CAMERA = re.compile(r"(dsc[nf]?|_?mg|img|pict?|p|image|photo|pxl|dji|untitled|screenshot)?[\W_\d]*", re.IGNORECASE)


def event_of(taken: str, title: str) -> str:
    """Names an occasion: the day, as 2019-01-26, or else the title without counters and extension.

    Args:
        taken: When the picture was taken, in any text; only a whole day counts.
        title: What its source calls it.

    Returns:
        The name; empty when neither tells one occasion from another, as with IMG_1234.jpg.
    """
    for year, month, day in _DAY.findall(taken):
        try:
            return date(int(year), int(month), int(day)).isoformat()
        except ValueError:
            continue
    stem = " ".join(_EXTENSION.sub("", title).replace("_", " ").split())
    if _CAMERA.fullmatch(stem):
        return ""
    former = ""
    while stem != former:
        former, stem = stem, _COUNTER.sub("", _FRONT_COUNTER.sub("", stem)).strip(" ,.-_")
    return "" if _CAMERA.fullmatch(stem) else stem.casefold()
