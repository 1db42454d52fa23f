"""Licences: what a name means, how the Hub spells it, and what it allows and asks."""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class License:
    """A licence as this project sees it; no legal advice.

    Attributes:
        id: What the column `license` says: the Hub's id where it has one, else a name of the same kind.
        hub_id: The id for a card's metadata; "other" where the Hub has none.
        name: For people.
        url: Its text; empty where no single page holds it.
        redistributable: A scaled copy may be published again, at least for free.
        attribution: The author must be named.
        share_alike: What is made of the picture must carry the same licence.
        noncommercial: Commercial use needs the author's leave.
    """

    id: str
    hub_id: str
    name: str
    url: str = ""
    redistributable: bool = True
    attribution: bool = True
    share_alike: bool = False
    noncommercial: bool = False


UNKNOWN = License("unknown", "unknown", "unknown", redistributable=False)
"""Nobody wrote down a licence, or nobody here knows it: not to be published."""

_CC = re.compile(
    r"cc-by(?P<terms>(?:-(?:sa|nc|nd))*)-(?P<version>1\.0|2\.0|2\.1|2\.5|3\.0|4\.0)(?:-[a-z]{2}|-scotland|-igo)?"
)
_VERSIONS = re.compile(r"(?<=\d\.\d)(,\d\.\d)+$")
_CC_PATH = re.compile(r"/licenses/(by[a-z-]*)/(\d\.\d)(/.*)?")
# Creative Commons licences that the Hub lists; the others exist all the same, CC BY-SA 2.0 on Flickr above all.
_CC_ON_HUB = {
    "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0",
    "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
}  # fmt: skip
_OTHERS = [
    License("cc0-1.0", "cc0-1.0", "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/", attribution=False),
    # A statement that no rights exist, not a licence: the Hub has no id for it, and CC0 is something else.
    License("public-domain", "other", "Public domain", attribution=False),
    License("pddl", "pddl", "PDDL", "https://opendatacommons.org/licenses/pddl/", attribution=False),
    License("odc-by", "odc-by", "ODC-By", "https://opendatacommons.org/licenses/by/"),
    License("unlicense", "unlicense", "Unlicense", "https://unlicense.org/", attribution=False),
    License("apache-2.0", "apache-2.0", "Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    License("mit", "mit", "MIT", "https://opensource.org/license/mit"),
    License("etalab-2.0", "etalab-2.0", "Etalab 2.0", "https://www.etalab.gouv.fr/licence-ouverte-open-licence/"),
    # Its whole text must travel with every copy, which a parquet file of many pictures does not do.
    License("gfdl", "gfdl", "GFDL", "https://www.gnu.org/licenses/fdl-1.3.html", False, share_alike=True),
    License("free-art-license", "other", "Free Art License", "https://artlibre.org/licence/lal/en/", share_alike=True),
    License("attribution", "other", "Attribution only"),
    License("copyrighted-free-use", "other", "Copyrighted, free use", attribution=False),
    # What an archive believes, not what an author grants.
    License("no-known-restrictions", "other", "No known restrictions", redistributable=False, attribution=False),
    License("godl-india", "other", "GODL-India", "https://data.gov.in/government-open-data-license-india"),
    License("ogl", "other", "Open Government Licence", "https://www.nationalarchives.gov.uk/doc/open-government-licence/"),
    License("kogl-type-1", "other", "KOGL Type 1", "https://www.kogl.or.kr/info/licenseType1.do"),
    UNKNOWN,
]  # fmt: skip
_BY_ID = {license.id: license for license in _OTHERS}
_SPELLINGS = {
    "cc0": "cc0-1.0", "cc-zero": "cc0-1.0", "cc0-1.0-universal": "cc0-1.0",
    "pd": "public-domain", "pdm": "public-domain", "pdm-1.0": "public-domain", "publicdomain": "public-domain",
    "public-domain-mark": "public-domain", "public-domain-mark-1.0": "public-domain",
    "fal": "free-art-license", "fal-1.3": "free-art-license",
    "no-restrictions": "no-known-restrictions", "no-known-copyright-restrictions": "no-known-restrictions",
    "ogl-1.0": "ogl", "ogl-2": "ogl", "ogl-2.0": "ogl", "ogl-3": "ogl", "ogl-3.0": "ogl",
    "kogl-type1": "kogl-type-1", "gfdl-1.2": "gfdl", "gfdl-1.3": "gfdl", "gfdl-1.2+": "gfdl",
}  # fmt: skip


def why_not_publish(license_id: str, author: str, source_url: str) -> str | None:
    """Tells why a picture must not be published; None when it may be.

    `build --only-redistributable`, `check` and `push` all ask here, so that they agree.

    Args:
        license_id: What its column `license` says.
        author: What its column `author` says.
        source_url: What its column `source_url` says.
    """
    license = license_of(license_id)
    if not license.redistributable:
        return f"licence {license.id}"
    if license.attribution and not author.strip():
        return f"{license.id} without an author to name"
    if license.attribution and not source_url.strip():
        return f"{license.id} without a source_url to link to"
    return None


def license_of(name: str) -> License:
    """Finds the licence that a name means, as Commons, Openverse, SPDX or the Hub write it.

    A ported licence ("CC BY-SA 3.0 de") counts as the international one of its version, and of several versions to
    choose from ("CC BY-SA 3.0,2.5,2.0,1.0") the first, which is the newest, is taken.

    Returns:
        The licence; `UNKNOWN` for a name that is empty or not in the table.
    """
    plain = unicodedata.normalize("NFKC", name).strip().lower()
    words = re.sub(r"-+", "-", re.sub(r"[\s_]+", "-", plain)).removeprefix("creative-commons-")
    words = _VERSIONS.sub("", words)
    words = _SPELLINGS.get(words, words)
    if words in _BY_ID:
        return _BY_ID[words]
    if words.startswith("pd-"):
        return _BY_ID["public-domain"]
    if found := _CC.fullmatch(words):
        return _creative_commons(found["terms"].strip("-").split("-"), found["version"])
    return UNKNOWN


def license_of_url(url: str) -> License:
    """Finds the licence whose text is at an address.

    Returns:
        The licence; `UNKNOWN` for an address that is empty or that nobody here knows.
    """
    parts = urlsplit(url.strip().lower())
    host, path = parts.netloc.removeprefix("www."), parts.path.rstrip("/")
    if host == "creativecommons.org":
        if found := _CC_PATH.fullmatch(path):
            return license_of(f"cc-{found[1]}-{found[2]}")
        if path.startswith("/publicdomain/zero"):
            return _BY_ID["cc0-1.0"]
        if path.startswith("/publicdomain/mark"):
            return _BY_ID["public-domain"]
    if host == "gnu.org" and "fdl" in path:
        return _BY_ID["gfdl"]
    return _BY_ID["free-art-license"] if host == "artlibre.org" else UNKNOWN


def _creative_commons(terms: list[str], version: str) -> License:
    # The Hub, SPDX and Creative Commons themselves write nc before sa or nd.
    kind = "-".join(["by", *(term for term in ("nc", "sa", "nd") if term in terms)])
    license_id = f"cc-{kind}-{version}"
    return License(
        license_id,
        license_id if license_id in _CC_ON_HUB else "other",
        f"CC {kind.upper()} {version}",
        f"https://creativecommons.org/licenses/{kind}/{version}/",
        # What is published may have been scaled and is meant to be cropped: no derivatives, no publishing.
        redistributable="nd" not in terms,
        share_alike="sa" in terms,
        noncommercial="nc" in terms,
    )
