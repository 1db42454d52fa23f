"""One file of Wikimedia Commons, as its API describes it: may it be used, and whom to thank.

What `extmetadata` holds is text that people typed into templates: HTML, optional throughout, contradictory at times.
"""

import re
from collections.abc import Mapping
from typing import Any

from dataset_card.licenses import UNKNOWN, License, license_of, license_of_url
from dataset_card.sources.event import event_of
from dataset_card.sources.finding import Candidate, Finding, Skipped
from dataset_card.sources.markup import first_link, plain_text

SOURCE = "commons"
FIELDS = (
    "LicenseShortName", "License", "LicenseUrl", "Artist", "Attribution", "AttributionRequired", "AuthorCount",
    "NonFree", "DeletionReason", "Restrictions", "DateTimeOriginal",
)  # fmt: skip
"""What to ask for in `iiextmetadatafilter`."""

_MIME = {"image/jpeg", "image/png", "image/webp"}
_NOBODY = re.compile(r"(unknown|anonymous|author|photographer|not|stated|provided|n/?a|[\W\d_])*", re.IGNORECASE)
_CC_CATEGORY = re.compile(r"Category:(CC-BY(?:-(?:SA|NC|ND))*-\d\.\d)\b", re.IGNORECASE)


def read_page(page: Mapping[str, Any]) -> Finding:
    """Reads one page of a reply with `prop=imageinfo|categories`, format version 2.

    Returns:
        A candidate, whose licence allows to publish it and whose author is named where the licence wants it; or the
        reason why not.
    """
    title = str(page.get("title", ""))
    info: Mapping[str, Any] = next(iter(page.get("imageinfo") or []), {})
    url = str(info.get("descriptionurl") or f"https://commons.wikimedia.org/wiki/{title.replace(' ', '_')}")
    # An empty set arrives as a list.
    meta = info.get("extmetadata") or {}

    def value(field: str) -> str:
        entry = meta.get(field)
        return str(entry.get("value", "")).strip() if isinstance(entry, dict) else ""

    if not info.get("url") or info.get("thumberror"):
        return Skipped(url, "no file to fetch", str(info.get("thumberror", "")))
    if info.get("mime") not in _MIME:
        return Skipped(url, "no photograph", str(info.get("mime")))
    if value("NonFree"):
        return Skipped(url, "not free", value("NonFree"))
    if value("DeletionReason"):
        return Skipped(url, "up for deletion", plain_text(value("DeletionReason")))
    if restrictions := set(filter(None, value("Restrictions").split("|"))) - {"personality"}:
        return Skipped(url, "restricted by other rights", ", ".join(sorted(restrictions)))

    name = plain_text(value("LicenseShortName")) or value("License")
    named = license_of(name)
    if license_of_url(value("LicenseUrl")) not in (UNKNOWN, named):
        return Skipped(url, "licence unclear", f"{name}, but {value('LicenseUrl')}")
    license = strictest([named, *_in_categories(page.get("categories") or [])])
    if not license.redistributable or license.noncommercial:
        return Skipped(url, "licence does not allow it", name or "none")

    author = plain_text(value("Attribution")) or plain_text(value("Artist"))
    if _NOBODY.fullmatch(author):
        author = ""
    if not author and (license.attribution or value("AttributionRequired") == "true"):
        return Skipped(url, "no author named", license.name)
    if author and value("AuthorCount").isdecimal() and int(value("AuthorCount")) > 1:
        author += " and others"  # Only the first is shown.

    file_url = str(info.get("thumburl") or info["url"])
    is_original = file_url.partition("?")[0] == str(info["url"]).partition("?")[0]
    name_of_file = title.partition(":")[2]
    return Candidate(
        source=SOURCE,
        source_id=str(page["pageid"]),
        title=name_of_file,
        page_url=url,
        file_url=file_url,
        author=author,
        author_url=first_link(value("Artist")),
        license=license.id,
        license_url=value("LicenseUrl") if license == named and value("LicenseUrl") else license.url,
        event=event_of(value("DateTimeOriginal"), name_of_file),
        sha1=str(info.get("sha1", "")).lower(),
        is_original=is_original,
        width=int(info.get("width" if is_original else "thumbwidth") or 0),
        height=int(info.get("height" if is_original else "thumbheight") or 0),
        is_exact=not is_original,
    )


def strictest(licenses: list[License]) -> License:
    """Returns the licence that allows least and asks most; the first of equal ones."""
    return max(
        licenses, key=lambda one: (not one.redistributable, one.noncommercial, one.share_alike, one.attribution)
    )


def _in_categories(categories: list[Mapping[str, Any]]) -> list[License]:
    """Returns the licences that the page's hidden categories name.

    `extmetadata` tells one licence out of several and prefers public domain: of a photograph of an old sculpture it
    may tell the sculpture's. The GFDL is left out, for beside a Creative Commons licence it is a choice, not a duty.
    """
    found = (_CC_CATEGORY.match(str(category.get("title", ""))) for category in categories)
    return [license_of(match[1]) for match in found if match]
