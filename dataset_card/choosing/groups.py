"""Which pictures belong together and must not part: near-duplicates, and one photographer's pictures of one event."""

from collections.abc import Sequence

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dataset_card.knowing.provenance import Provenance


def event_of(label: str, provenance: Provenance) -> str | None:
    """Returns a key that pictures of one class, author and event share; None where provenance does not tell."""
    if not (provenance.author and provenance.event):
        return None
    return "\n".join((label, provenance.source, provenance.author, provenance.event))


def join_groups(near: Sequence[str], events: Sequence[str | None], names: Sequence[str]) -> list[str]:
    """Joins near-duplicate groups whose pictures show the same event.

    Args:
        near: For every picture the group of its near-duplicates.
        events: For every picture the event that it shows, None where nobody knows.
        names: For every picture a name of its own, such as its SHA-256.

    Returns:
        For every picture its group's name: the first 16 characters of the smallest name in it. It does not depend
        on the order of the pictures.
    """
    if not near:
        return []
    # A node for each near-duplicate group and for each event; a picture links the two that it belongs to.
    group_node = {group: node for node, group in enumerate(dict.fromkeys(near))}
    event_node = {event: len(group_node) + node for node, event in enumerate(dict.fromkeys(filter(None, events)))}
    links = [(group_node[g], event_node[e]) for g, e in zip(near, events, strict=True) if e]
    size = len(group_node) + len(event_node)
    left, right = zip(*links, strict=True) if links else ((), ())
    graph = coo_array(([True] * len(links), (left, right)), shape=(size, size))
    component = connected_components(graph, directed=False)[1].tolist()
    smallest: dict[int, str] = {}
    for group, name in zip(near, names, strict=True):
        number = component[group_node[group]]
        smallest[number] = min(smallest.get(number, name), name)
    return [smallest[component[group_node[group]]][:16] for group in near]
