import pytest

from dataset_card.sources.search_hit import event_of


@pytest.mark.parametrize(
    ("taken", "title", "event"),
    [
        ("2019-01-26 10:00:00", "IMG_1.jpg", "2019-01-26"),
        ("2019:01:26 10:00:00", "IMG_1.jpg", "2019-01-26"),
        ('<time datetime="2019-01-26">26 January 2019</time>', "x", "2019-01-26"),
        ("2019-02-31", "Odissi at Konark.jpg", "odissi at konark"),
        ("2019", "Odissi at Konark 12.jpg", "odissi at konark"),
        ("", "Dance Festival, Kathak, Prachi Shah, 2015 (12).jpg", "dance festival, kathak, prachi shah, 2015"),
        ("", "Kathak_dance_-_03.JPG", "kathak dance"),
        ("", "07 Sattriya  Nritya no. 7.png", "sattriya nritya"),
        ("", "Kathak2.jpg", "kathak"),
        ("", "2015 Kuchipudi #4", "2015 kuchipudi"),
        ("", "कथक नृत्य 5.jpg", "कथक नृत्य"),
        ("", "IMG_1234.jpg", ""),
        ("", "DSC 0412 (2).jpg", ""),
        ("", "_MG_0001.JPG", ""),
        ("", "20190126-1830.jpg", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_events(taken: str, title: str, event: str) -> None:
    assert event_of(taken, title) == event
