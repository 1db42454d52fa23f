from contextlib import closing

import httpx2
import pytest

from dataset_card.sources.allowed_hosts import ForbiddenAddressError
from dataset_card.sources.commons import Commons
from dataset_card.sources.http import Server, pause_for
from dataset_card.sources.plan import is_off_topic, make_plan
from files.errors import UserError


@pytest.mark.parametrize(
    ("category", "off_topic"),
    [
        ("Kathak dancers", False),
        ("Kathak in India", False),
        ("Birju Maharaj", False),
        ("Videos of Kathak", True),
        ("Kathak costumes", True),
        ("Kathak masks (objects)", True),
        ("Kathakali", True),
        ("Odissi dancers", True),
        # A word within a word is none.
        ("Musical evening with Kathak in Bookside", False),
    ],
)
def test_sub_categories(category: str, off_topic: bool) -> None:
    assert is_off_topic(category, "kathak") is off_topic


def test_options_replace_what_belongs_to_the_dance() -> None:
    known = make_plan("Bharathanatyam", "commons", [], [])
    assert (known.label, known.categories) == ("bharatanatyam", None)
    assert known.queries[0] == "Bharatanatyam dancer"
    asked = make_plan("Bharathanatyam", "commons", ["Sadir"], [])
    assert (asked.label, asked.categories, asked.queries) == ("bharatanatyam", ["Sadir"], [])
    assert make_plan("kathak", "commons", [], ["spin"]).categories == []


@pytest.mark.parametrize("name", ["../../etc", "A/B c", "..", "ಯಕ್ಷಗಾನ"])
def test_a_folder_stays_where_it_belongs(name: str) -> None:
    if name == "..":
        with pytest.raises(UserError, match="gives no name for a folder"):
            make_plan(name, "commons", [], ["x"])
    else:
        label = make_plan(name, "commons", [], ["x"]).label
        assert label
        assert not {"/", ".", " "} & set(label)


@pytest.mark.parametrize(("replaced", "pause"), [(0, 1.0), (1, 1.0), (2, 0.01)])
def test_real_servers_keep_the_full_pause(monkeypatch: pytest.MonkeyPatch, replaced: int, pause: float) -> None:
    monkeypatch.setenv("NRITYA_PAUSE", "0.01")
    for name in ("NRITYA_A", "NRITYA_B")[:replaced]:
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    servers = [Server.at("https://example.org/", name) for name in ("NRITYA_A", "NRITYA_B")]
    assert pause_for(*servers) == pause


def test_commons_allows_the_hosts_of_wikimedia_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMMONS", "WIKIDATA"):
        monkeypatch.delenv(f"NRITYA_{name}_API", raising=False)
    with closing(Commons("x").client) as client:
        for host in ("commons", "upload", "thumb"):
            client.allowed.check(httpx2.URL(f"https://{host}.wikimedia.org/x.jpg"))
        client.allowed.check(httpx2.URL("https://www.wikidata.org/w/api.php"))
        for url in ("https://upload.wikimedia.org:8443/x.jpg", "https://example.org/x.jpg", "http://127.0.0.1/x.jpg"):
            with pytest.raises(ForbiddenAddressError, match="address not allowed"):
                client.allowed.check(httpx2.URL(url))
