from contextlib import closing

import httpx2
import pytest

from dataset_card.sources.commons import Commons
from dataset_card.sources.plan import PlanError, is_off_topic, plan
from dataset_card.sources.servers import pause_between, server
from pictures.refused import RefusedError


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


def test_what_the_user_says_comes_in_place_of_what_we_know() -> None:
    known = plan("Bharathanatyam", "commons", [], [])
    assert (known.label, known.categories) == ("bharatanatyam", None)
    assert known.searches[0] == "Bharatanatyam dancer"
    said = plan("Bharathanatyam", "commons", ["Sadir"], [])
    assert (said.label, said.categories, said.searches) == ("bharatanatyam", ["Sadir"], [])
    assert plan("kathak", "commons", [], ["spin"]).categories == []


@pytest.mark.parametrize("name", ["../../etc", "A/B c", "..", "ಯಕ್ಷಗಾನ"])
def test_a_folder_stays_where_it_belongs(name: str) -> None:
    if name == "..":
        with pytest.raises(PlanError, match="makes no name for a folder"):
            plan(name, "commons", [], ["x"])
    else:
        label = plan(name, "commons", [], ["x"]).label
        assert label
        assert not {"/", ".", " "} & set(label)


@pytest.mark.parametrize(("replaced", "pause"), [(0, 1.0), (1, 1.0), (2, 0.01)])
def test_real_servers_are_never_hurried(monkeypatch: pytest.MonkeyPatch, replaced: int, pause: float) -> None:
    monkeypatch.setenv("NRITYA_PAUSE", "0.01")
    for name in ("NRITYA_A", "NRITYA_B")[:replaced]:
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    servers = [server(name, "https://example.org/") for name in ("NRITYA_A", "NRITYA_B")]
    assert pause_between(*servers) == pause


def test_the_servers_of_wikimedia_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMMONS", "WIKIDATA"):
        monkeypatch.delenv(f"NRITYA_{name}_API", raising=False)
    with closing(Commons("x").web) as web:
        for host in ("commons", "upload", "thumb"):
            web._door.check(httpx2.URL(f"https://{host}.wikimedia.org/x.jpg"))
        web._door.check(httpx2.URL("https://www.wikidata.org/w/api.php"))
        for url in ("https://upload.wikimedia.org:8443/x.jpg", "https://example.org/x.jpg", "http://127.0.0.1/x.jpg"):
            with pytest.raises(RefusedError, match="address not allowed"):
                web._door.check(httpx2.URL(url))
