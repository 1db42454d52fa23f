import random

from dataset_card.choosing.groups import event_of, join_groups
from dataset_card.provenance import Provenance


def test_one_photographers_pictures_of_one_event_are_a_group() -> None:
    ravi = Provenance("a.jpg", "commons", author="Ravi", event="2019-01-26")
    assert event_of("kathak", ravi) == event_of(
        "kathak", Provenance("b.jpg", "commons", author="Ravi", event="2019-01-26")
    )
    assert event_of("kathak", ravi) != event_of("odissi", ravi)
    assert event_of("kathak", ravi) != event_of(
        "kathak", Provenance("c.jpg", "commons", author="Uma", event="2019-01-26")
    )


def test_an_event_without_an_author_tells_nothing() -> None:
    assert event_of("kathak", Provenance("a.jpg", event="2019-01-26")) is None
    assert event_of("kathak", Provenance("a.jpg", author="Ravi")) is None


def test_near_duplicates_and_events_join_through_each_other() -> None:
    near = ["n1", "n1", "n2", "n3", "n4"]
    events = [None, "e1", "e1", "e2", None]
    names = [f"{number}" * 20 for number in (5, 4, 3, 2, 1)]
    groups = join_groups(near, events, names)
    assert groups == ["3" * 16, "3" * 16, "3" * 16, "2" * 16, "1" * 16]
    order = list(range(5))
    random.Random(0).shuffle(order)
    again = join_groups([near[i] for i in order], [events[i] for i in order], [names[i] for i in order])
    assert again == [groups[i] for i in order]


def test_nothing_gives_nothing() -> None:
    assert join_groups([], [], []) == []
