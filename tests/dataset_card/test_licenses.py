import pytest

from dataset_card.licenses import UNKNOWN, license_of, license_of_url


@pytest.mark.parametrize(
    ("name", "license_id", "hub_id"),
    [
        ("CC BY-SA 4.0", "cc-by-sa-4.0", "cc-by-sa-4.0"),
        ("CC-BY-SA-3.0", "cc-by-sa-3.0", "cc-by-sa-3.0"),
        ("cc-by-sa-2.0", "cc-by-sa-2.0", "other"),
        ("CC BY-SA 3.0 de", "cc-by-sa-3.0", "cc-by-sa-3.0"),
        ("CC BY-SA 3.0,2.5,2.0,1.0", "cc-by-sa-3.0", "cc-by-sa-3.0"),
        ("CC BY 2.1 jp", "cc-by-2.1", "other"),
        ("CC BY 1.0", "cc-by-1.0", "other"),
        ("cc_by_sa_nc_4.0", "cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0"),
        ("CC0", "cc0-1.0", "cc0-1.0"),
        ("Public domain", "public-domain", "other"),
        ("PD-self", "public-domain", "other"),
        ("pdm 1.0", "public-domain", "other"),
        ("GODL-India", "godl-india", "other"),
        ("FAL", "free-art-license", "other"),
        ("GFDL 1.2", "gfdl", "gfdl"),
        ("", "unknown", "unknown"),
        ("All rights reserved", "unknown", "unknown"),
        ("cc-by-9.0", "unknown", "unknown"),
    ],
)
def test_names(name: str, license_id: str, hub_id: str) -> None:
    license = license_of(name)
    assert (license.id, license.hub_id) == (license_id, hub_id)
    assert license_of(license.id) == license
    assert license_of(license.name) == license


@pytest.mark.parametrize(
    ("name", "redistributable", "attribution", "share_alike", "noncommercial"),
    [
        ("CC BY 4.0", True, True, False, False),
        ("CC BY-SA 2.0", True, True, True, False),
        ("CC BY-NC-SA 4.0", True, True, True, True),
        ("CC BY-ND 4.0", False, True, False, False),
        ("CC0", True, False, False, False),
        ("Public domain", True, False, False, False),
        # "nd" inside a word is no term.
        ("GODL-India", True, True, False, False),
        ("GFDL", False, True, True, False),
        ("No restrictions", False, False, False, False),
        ("unknown", False, True, False, False),
    ],
)
def test_duties(name: str, redistributable: bool, attribution: bool, share_alike: bool, noncommercial: bool) -> None:
    license = license_of(name)
    assert license.redistributable is redistributable
    assert license.attribution is attribution
    assert license.share_alike is share_alike
    assert license.noncommercial is noncommercial


def test_what_nobody_knows_is_not_published() -> None:
    assert license_of("whatever the site says") is UNKNOWN
    assert not UNKNOWN.redistributable


@pytest.mark.parametrize(
    ("url", "license_id"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0", "cc-by-sa-4.0"),
        ("http://www.creativecommons.org/licenses/by/3.0/de/deed.en", "cc-by-3.0"),
        ("//creativecommons.org/licenses/by-nc-nd/2.0/", "cc-by-nc-nd-2.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.en", "cc0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "public-domain"),
        ("https://www.gnu.org/copyleft/fdl.html", "gfdl"),
        ("http://artlibre.org/licence/lal/en", "free-art-license"),
        ("https://creativecommons.org/licenses/by/9.0/", "unknown"),
        ("https://creativecommons.org.example.com/licenses/by/4.0/", "unknown"),
        ("", "unknown"),
    ],
)
def test_addresses(url: str, license_id: str) -> None:
    assert license_of_url(url).id == license_id
