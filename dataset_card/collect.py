"""The story of `dataset_card collect`: licensed photographs of a dance arrive in a folder, with their provenance."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from dataset_card.sources.collect_report import AGAIN, CollectError, CollectReport, counted
from dataset_card.sources.contact import user_agent
from dataset_card.sources.fetch import Fetched, fetch
from dataset_card.sources.finding import Candidate, Skipped
from dataset_card.sources.http import NotDeliveredError
from dataset_card.sources.plan import SITES, Source, find, plan
from dataset_card.sources.shelf import Shelf
from pictures.refused import RefusedError

DOWNLOADS = 2
"""At once: what Wikimedia allows."""
_FAILURES_IN_A_ROW = 5


def collect(
    photos: Path,
    dance: str,
    contact: str,
    source: Source,
    limit: int,
    depth: int,
    categories: list[str],
    searches: list[str],
) -> CollectReport:
    """Collects photographs of a dance into its sub-folder of `photos`, until it holds `limit` of them.

    It can be stopped at any time; the same call goes on, and fetches nothing twice.

    Args:
        photos: The folder; `provenance.jsonl` in it gets a line per picture, `removed.csv` in it is obeyed.
        dance: In any known spelling; another name needs categories or searches.
        contact: An e-mail address or page of whoever runs this, sent with every request.
        source: Where to look.
        limit: Pictures of this dance, those that are here counted.
        depth: Levels of sub-categories on Wikimedia Commons.
        categories: There, in place of the dance's own.
        searches: Words, in place of the dance's own.

    Raises:
        UserError: Something to mend; what has arrived by then stays.
    """
    wanted = plan(dance, source, categories, searches)
    site = SITES[source](user_agent(contact))
    licenses: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    undelivered: list[str] = []
    found = failures = 0
    with (
        Shelf(photos, wanted.label) as shelf,
        ThreadPoolExecutor(DOWNLOADS) as pool,
        # Left first, also on an error: it ends every wait, and so the downloads that the pool would wait for.
        closing(site.web),
        tqdm(total=limit, initial=shelf.count, desc=f"Collecting {wanted.label}", unit="picture") as bar,
    ):

        def leave_out(reason: str) -> None:
            left_out[reason] += 1
            bar.set_postfix_str("left out: " + counted(left_out, 3))

        def candidates() -> Iterator[Candidate]:
            nonlocal found
            for finding in find(site, wanted, depth, limit):
                found += 1
                if isinstance(finding, Skipped):
                    leave_out(finding.reason)
                elif finding.is_small:
                    leave_out("too small")
                elif reason := shelf.reason_against(finding):
                    leave_out(reason)
                else:
                    yield finding

        def get(candidate: Candidate) -> Fetched:
            return fetch(site.web, candidate, shelf.staging)

        for candidate, arrival in in_parallel(pool, get, candidates(), lambda: limit - shelf.count):
            try:
                shelf.put(candidate, arrival.result())
                licenses[candidate.license] += 1
                failures = 0
                bar.update()
            except RefusedError as refusal:
                shelf.refuse(candidate, refusal)
                leave_out(refusal.reason)
            except NotDeliveredError as failure:
                undelivered.append(str(failure))
                failures += 1
                if failures == _FAILURES_IN_A_ROW:
                    raise CollectError(f"{failures} pictures in a row did not arrive ({failure}): {AGAIN}") from None
    return CollectReport(wanted.label, limit, shelf.count, found, licenses, left_out, undelivered)


def in_parallel(
    pool: ThreadPoolExecutor,
    get: Callable[[Candidate], Fetched],
    candidates: Iterator[Candidate],
    room: Callable[[], int],
) -> Iterator[tuple[Candidate, Future[Fetched]]]:
    """Gets a few candidates at once and gives each as it arrives, or fails to.

    Args:
        pool: Does the work.
        get: The work.
        candidates: What to get; asked for one more only when there is room for it.
        room: Tells how many more are wanted, those on their way included.
    """
    running: dict[Future[Fetched], Candidate] = {}
    while True:
        while len(running) < min(DOWNLOADS, room()):
            if (candidate := next(candidates, None)) is None:
                break
            running[pool.submit(get, candidate)] = candidate
        if not running:
            return
        for arrival in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(arrival), arrival
