"""The photographs' folder as a collector sees it: what is there, what must not come, and how a file appears.

A picture is fetched and checked in a hidden folder, then its provenance is written, then it is renamed to its place:
whenever the process is killed, a file that can be seen is whole and has its provenance, and none is fetched twice.
"""

import csv
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from dataset_card.choosing.removed import read_removed, same_page
from dataset_card.knowing.provenance import DRAWING, Provenance, append_provenance, read_provenance
from dataset_card.sources.fetch import Fetched
from dataset_card.sources.finding import Candidate
from files.errors import UserError
from pictures.refused import RefusedError

STAGING = ".collecting"
REFUSED = ".collect_refused.csv"
"""Pictures that were of no use once they were fetched: no later run fetches them again. It may be deleted."""

_REMOVED = "on the list of removed pictures"


class ShelfError(UserError):
    """A folder that can't take photographs, or not now."""


class Shelf:
    """One dance's place in the photographs' folder, to be used in a `with`.

    Args:
        photos: The folder, made where it is missing.
        label: The dance's sub-folder.

    Attributes:
        count: Collected pictures of this dance that are here.
        staging: Where files wait until they are known to be good.

    Raises:
        ShelfError: It holds drawings, or another collector is at work.
        UserError: Its provenance or its list of removed pictures can't be read.
    """

    def __init__(self, photos: Path, label: str) -> None:
        if photos.exists() and not photos.is_dir():
            raise ShelfError(f"{photos} is a file: name a folder to collect into")
        if any(record.source == DRAWING for record in read_provenance(photos).values()):
            raise ShelfError(f"{photos} holds drawings: collect photographs into a folder of their own")
        self._photos, self._label, self._is_new = photos, label, not photos.exists()
        self._removed = read_removed(photos)
        self._coming: set[str] = set()
        self.staging = photos / STAGING
        self.staging.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.staging / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ShelfError(f"{photos}: another collector is at work here: wait until it has ended") from None
        # Only now: until here, another one may have added to it.
        records = read_provenance(photos)
        self._finish(records)
        self._refused = _read_refused(photos)
        self._pages = {same_page(record.source_url): record.file for record in records.values() if record.source_url}
        self._hashes = {record.sha1: record.file for record in records.values() if record.sha1}
        self.count = sum(_label(file) == label and (photos / file).is_file() for file in records)

    def __enter__(self) -> "Shelf":
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clears up. After an error, whole files that wait for their turn stay for the next run."""
        lock = self.staging / "lock"
        for file in self.staging.iterdir():
            if file != lock and (kind is None or file.suffix == ".part"):
                file.unlink()
        self._lock.release()
        lock.unlink(missing_ok=True)
        for folder in (self.staging, self._photos) if self._is_new else (self.staging,):
            if not any(folder.iterdir()):
                folder.rmdir()

    def reason_against(self, candidate: Candidate) -> str | None:
        """Tells why a picture is not fetched; None means that it may be, and no second one like it."""
        page = same_page(candidate.page_url)
        if page in self._removed.pages:
            return _REMOVED
        if reason := self._refused.get(page):
            return reason
        if {page, candidate.sha1} & self._coming:
            return "found twice"
        if file := self._pages.get(page) or self._hashes.get(candidate.sha1):
            return self._reason_to_know(file)
        self._coming |= {page, candidate.sha1} - {""}
        return None

    def put(self, candidate: Candidate, fetched: Fetched) -> None:
        """Gives a picture its provenance, then its place.

        Raises:
            RefusedError: It is on the list of removed pictures, or here under another name.
        """
        if fetched.sha256 in self._removed.sha256s:
            raise RefusedError(_REMOVED, fetched.sha256)
        if file := self._hashes.get(fetched.sha1):
            raise RefusedError("same file as another", file)
        target = self._photos / self._label / fetched.path.name
        record = Provenance(
            file=f"{self._label}/{target.name}",
            source=candidate.source,
            source_url=candidate.page_url,
            title=candidate.title,
            author=candidate.author,
            author_url=candidate.author_url,
            license=candidate.license,
            license_url=candidate.license_url,
            event=candidate.event,
            retrieved_at=datetime.now(UTC).isoformat(timespec="seconds"),
            sha1=fetched.sha1,
        )
        target.parent.mkdir(exist_ok=True)
        append_provenance(self._photos, record)
        fetched.path.rename(target)
        self._hashes[fetched.sha1] = record.file
        self.count += 1

    def refuse(self, candidate: Candidate, refusal: RefusedError) -> None:
        """Takes down that a picture is of no use, so that it is not fetched again."""
        for file in self.staging.glob(f"{candidate.stem}.*"):
            file.unlink()
        path = self._photos / REFUSED
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as target:
            writer = csv.writer(target)
            if is_new:
                writer.writerow(["source_url", "reason", "detail"])
            writer.writerow([candidate.page_url, refusal.reason, refusal.detail])

    def _finish(self, records: dict[str, Provenance]) -> None:
        """Completes what a killed process began: whole files that have their provenance move in."""
        for file in records:
            folder, _, name = file.partition("/")
            waiting = self.staging / name
            if folder not in ("", ".", "..") and "/" not in name and waiting.is_file():
                (self._photos / folder).mkdir(exist_ok=True)
                waiting.rename(self._photos / file)

    def _reason_to_know(self, file: str) -> str:
        if not (self._photos / file).is_file():
            return "deleted here before"
        return "already here" if _label(file) == self._label else f"already here as {_label(file)}"


def _read_refused(photos: Path) -> dict[str, str]:
    path = photos / REFUSED
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {same_page(row["source_url"]): row["reason"] or "" for row in csv.DictReader(file)}


def _label(file: str) -> str:
    return file.partition("/")[0]
