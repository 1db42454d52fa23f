"""The story of `dataset_card collect`: licensed photographs of a dance are downloaded, with their provenance."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from dataset_card.dances import DANCES
from dataset_card.licenses import UNKNOWN, license_of
from dataset_card.sources.allowed_hosts import ForbiddenAddressError
from dataset_card.sources.http import TRY_AGAIN, NotDeliveredError, user_agent
from dataset_card.sources.photo_folder import STAGING, Download, download_photo, open_photo_folder
from dataset_card.sources.plan import SOURCES, SourceName, make_plan, search
from dataset_card.sources.search_hit import SearchHit, SkippedHit
from files.errors import UserError
from pictures import RefusedError

PARALLEL_DOWNLOADS = 2
"""What Wikimedia allows."""
MAX_FAILURES = 5
"""In a row: then the network or the source is down."""
MAX_HOST_FAILURES = 3
"""In a row: then a host is not asked again in this run, where the pictures of a source are on many hosts."""


@dataclass(frozen=True)
class CollectReport:
    """What `collect` did.

    Attributes:
        label: The sub-folder.
        limit: How many pictures it should hold.
        count: How many it holds.
        hits: How many pictures the source has given.
        licenses: New pictures, by licence.
        left_out: Pictures that were left out, by reason.
        not_delivered: Why, for each picture that may be delivered another time.
    """

    label: str
    limit: int
    count: int
    hits: int
    licenses: Counter[str]
    left_out: Counter[str]
    not_delivered: list[str]

    def check(self) -> None:
        """Raises where not everything was done.

        Raises:
            UserError: Says what to try.
        """
        if self.count >= self.limit:
            return
        other_ways = "try other words with --query, a greater --depth, or another --source"
        if not self.hits:
            raise UserError(f"nothing found for {self.label}: {other_ways}")
        if self.not_delivered:
            raise UserError(
                f"{len(self.not_delivered)} of the pictures were not delivered ({self.not_delivered[0]}): {TRY_AGAIN}"
            )
        if not self.count:
            reasons = _in_words(self.left_out)
            raise UserError(f"{self.hits} found for {self.label}, none of use ({reasons}): {other_ways}")

    def summary(self, photos: Path) -> str:
        """Returns the new pictures by licence, what was left out and why, and the next command to run."""
        new = self.licenses.total()
        names = {license_id: license_of(license_id).name for license_id in self.licenses}
        width = max(map(len, [*names.values(), "licence"]))
        lines = [f"{'licence':{width}}{'new pictures':>14}"] if new else []
        lines += [f"{names[license_id]:{width}}{count:14}" for license_id, count in _most_first(self.licenses)]
        lines += [f"left out, {reason}: {count}" for reason, count in _most_first(self.left_out)]
        if self.not_delivered:
            lines.append(f"not delivered: {len(self.not_delivered)}")
        lines.append(f"{photos / self.label}: {new} new, {self.count} in all")
        if UNKNOWN.id in self.licenses:
            lines.append("Nobody knows their licences: train with them, but push --public will refuse them.")
        if self.count:
            others = [p.name for p in photos.iterdir() if p.is_dir() and p.name not in (self.label, STAGING)]
            next_dance = next((label for label in DANCES if label != self.label), "")
            build = (
                f"build {photos} --out DATASET" if others else f"collect {photos} --dance {next_dance} --contact YOU"
            )
            lines.append(f"Next: python -m dataset_card {build}")
        return "\n".join(lines)


def collect(
    photos: Path,
    dance: str,
    contact: str,
    source: SourceName,
    limit: int,
    depth: int,
    categories: list[str],
    queries: list[str],
) -> CollectReport:
    """Collects photographs of a dance into its sub-folder of `photos`, until it holds `limit` of them.

    It can be stopped at any time; the same call continues and downloads nothing twice.

    Args:
        photos: The folder. `provenance.jsonl` in it gets a line per picture; what `removed.csv` in it lists is not
            collected.
        dance: In any known spelling; another name needs categories or queries.
        contact: An e-mail address or web page of the person who runs this, sent with every request.
        source: Where to search.
        limit: Pictures of this dance, including those that are there already.
        depth: Levels of sub-categories on Wikimedia Commons.
        categories: There, in place of the dance's own.
        queries: Words to search for, in place of the dance's own.

    Raises:
        UserError: An option is wrong, or the source can't be used now; what is downloaded by then stays.
    """
    plan = make_plan(dance, source, categories, queries)
    site = SOURCES[source](user_agent(contact))
    licenses: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    not_delivered: list[str] = []
    hits = failures = 0
    host_failures: Counter[str] = Counter()
    with (
        open_photo_folder(photos, plan.label) as folder,
        ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool,
        # Closed first, also on an error: that ends every wait, and so the downloads that the pool would wait for.
        closing(site.client),
        tqdm(total=limit, initial=folder.count, desc=f"Collecting {plan.label}", unit="picture") as bar,
    ):

        def leave_out(reason: str) -> None:
            left_out[reason] += 1
            bar.set_postfix_str("left out: " + _in_words(left_out, 3))

        def wanted() -> Iterator[SearchHit]:
            nonlocal hits
            for hit in search(site, plan, depth, limit):
                hits += 1
                if isinstance(hit, SkippedHit):
                    leave_out(hit.reason)
                elif hit.is_small:
                    leave_out("too small")
                elif reason := folder.reason_to_skip(hit):
                    leave_out(reason)
                elif site.client.allowed.any_public and host_failures[_host(hit)] >= MAX_HOST_FAILURES:
                    not_delivered.append(f"{_host(hit)} failed {MAX_HOST_FAILURES} times in a row")
                else:
                    yield hit

        def download(hit: SearchHit) -> Download:
            return download_photo(site.client, hit, folder.staging)

        for hit, result in in_parallel(pool, download, wanted(), lambda: limit - folder.count):
            try:
                folder.add(hit, result.result())
                licenses[hit.license] += 1
                bar.update()
            except NotDeliveredError as failure:
                not_delivered.append(str(failure))
                failures += 1
                host_failures[_host(hit)] += MAX_HOST_FAILURES if failure.leave_host else 1
                if failures == MAX_FAILURES or (failure.leave_host and not site.client.allowed.any_public):
                    raise UserError(
                        f"downloads fail ({failure}), {failures} in a row, after {licenses.total()} new pictures: "
                        f"{TRY_AGAIN}"
                    ) from None
                continue
            except ForbiddenAddressError as refusal:
                leave_out(refusal.reason)
                continue
            except RefusedError as refusal:
                folder.refuse(hit, refusal)
                leave_out(refusal.reason)
            failures = host_failures[_host(hit)] = 0
    return CollectReport(plan.label, limit, folder.count, hits, licenses, left_out, not_delivered)


def in_parallel(
    pool: ThreadPoolExecutor,
    download: Callable[[SearchHit], Download],
    hits: Iterator[SearchHit],
    room: Callable[[], int],
) -> Iterator[tuple[SearchHit, Future[Download]]]:
    """Downloads a few hits at once and yields each with its result as soon as it is there.

    Args:
        pool: Where `download` runs.
        download: Downloads one hit.
        hits: What to download; one more is taken only when there is room for it.
        room: Returns how many more are wanted, including those that are being downloaded.
    """
    running: dict[Future[Download], SearchHit] = {}
    while True:
        while len(running) < min(PARALLEL_DOWNLOADS, room()):
            if (hit := next(hits, None)) is None:
                break
            running[pool.submit(download, hit)] = hit
        if not running:
            return
        for result in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(result), result


def _host(hit: SearchHit) -> str:
    try:
        return urlsplit(hit.file_url).hostname or ""
    except ValueError:
        return ""


def _in_words(reasons: Counter[str], at_most: int | None = None) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in _most_first(reasons)[:at_most])


def _most_first(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
