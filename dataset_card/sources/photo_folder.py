"""The folder that photographs are collected into: what is in it, what must not be, and how a file gets there.

A picture is downloaded into a hidden folder and checked, then its provenance is written, then it is renamed to its
place. Whenever the process is killed, a file with a visible name is whole and has its provenance, and none is
downloaded twice.
"""

import csv
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dataset_card.lists import read_removed, same_page
from dataset_card.provenance import DRAWING, Provenance, append_provenance, read_provenance
from dataset_card.sources.http import HttpClient, NotDeliveredError
from dataset_card.sources.search_hit import MIN_SIDE, SearchHit
from files.atomic import fsync_folder, only_writer
from files.errors import UserError
from pictures import RefusedError
from pictures.decoding import decode

STAGING = ".collecting"
REFUSED = ".collect_refused.csv"
"""Pictures that turned out to be of no use: no later run downloads them again. It may be deleted."""

_REMOVED = "on the list of removed pictures"
_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_PART = ".part"
# Allowed deviation from the stated proportions: rounding, and a few rows cropped by whoever scaled it.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class Download:
    """A picture that is downloaded and is what its source states.

    Attributes:
        path: The file in the staging folder, with the extension of its format.
        sha1: Of the original at its source, in hex; the file's own where the source states none.
        sha256: Of the file, in hex.
    """

    path: Path
    sha1: str
    sha256: str


def download_photo(client: HttpClient, hit: SearchHit, staging: Path) -> Download:
    """Downloads a picture and checks it, unless an earlier run left it in `staging`.

    Raises:
        RefusedError: It is gone, must not be used, or is not what its source states.
        NotDeliveredError: It may be delivered another time.
    """
    whole = [path for path in staging.glob(f"{hit.stem}.*") if path.suffix != _PART]
    path = whole[0] if whole else staging / f"{hit.stem}{_PART}"
    doubt = None
    try:
        if not whole:
            doubt = client.download(hit.file_url, path)
        content = path.read_bytes()
        sha1 = hashlib.sha1(content).hexdigest()
        if hit.is_original and hit.sha1 and sha1 != hit.sha1:
            raise RefusedError("another file than stated", f"SHA-1 {sha1}, not {hit.sha1}")
        decoded = decode(content)
        _check_size(hit, *decoded.image.size)
        if not (extension := _EXTENSIONS.get(decoded.format)):
            raise RefusedError("no JPEG, PNG or WebP file")
        if not whole:
            path = move_durably(path, path.with_suffix(f".{extension}"))
        return Download(path, hit.sha1 or sha1, hashlib.sha256(content).hexdigest())
    except RefusedError as refusal:
        path.unlink(missing_ok=True)
        if doubt and refusal.reason in ("not an image", "damaged or truncated", "another file than stated"):
            raise NotDeliveredError(f"{doubt} ({refusal})") from None
        raise


def _check_size(hit: SearchHit, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise RefusedError("too small", f"{width} x {height} pixels")
    if not hit.width or not hit.height or hit.is_original:
        return
    if hit.is_exact:
        same = abs(width - hit.width) <= 1 and abs(height - hit.height) <= 1
    else:
        upright = width / height * hit.height / hit.width
        turned = width / height * hit.width / hit.height
        same = min(abs(upright - 1), abs(turned - 1)) <= _TOLERANCE
    if not same:
        raise RefusedError("another picture than stated", f"{width} x {height} pixels, not {hit.width} x {hit.height}")


class PhotoFolder:
    """The sub-folder of one dance, to be made by `open_photo_folder`.

    Attributes:
        count: Collected pictures of this dance that are in the folder.
        staging: Where files are until they are known to be good.
    """

    def __init__(self, photos: Path, label: str) -> None:
        self._photos, self._label = photos, label
        self.staging = photos / STAGING
        self._removed = read_removed(photos)
        records = read_provenance(photos)
        self._finish(records)
        self._refused = _read_refused(photos)
        self._pages = {same_page(record.source_url): record.file for record in records.values() if record.source_url}
        self._hashes = {record.sha1: record.file for record in records.values() if record.sha1}
        self._seen: set[str] = set()
        self.count = sum(_label(file) == label and (photos / file).is_file() for file in records)
        self.staging.mkdir(exist_ok=True)

    def reason_to_skip(self, hit: SearchHit) -> str | None:
        """Returns why a picture is not downloaded, or None: then it may be, and the next one like it may not."""
        page = same_page(hit.page_url)
        if page in self._removed.pages:
            return _REMOVED
        if reason := self._refused.get(page):
            return reason
        if {page, hit.sha1} & self._seen:
            return "found twice"
        if file := self._pages.get(page) or self._hashes.get(hit.sha1):
            if not (self._photos / file).is_file():
                return "deleted here before"
            return "already here" if _label(file) == self._label else f"already here as {_label(file)}"
        self._seen |= {page, hit.sha1} - {""}
        return None

    def add(self, hit: SearchHit, download: Download) -> None:
        """Writes a picture's provenance, then moves the picture to its place.

        Raises:
            RefusedError: It is on the list of removed pictures, or in the folder under another name.
        """
        if download.sha256 in self._removed.sha256s:
            raise RefusedError(_REMOVED, download.sha256)
        if file := self._hashes.get(download.sha1):
            raise RefusedError("same file as another", file)
        target = self._photos / self._label / download.path.name
        record = Provenance(
            file=f"{self._label}/{target.name}",
            source=hit.source,
            source_url=hit.page_url,
            title=hit.title,
            author=hit.author,
            author_url=hit.author_url,
            license=hit.license,
            license_url=hit.license_url,
            event=hit.event,
            retrieved_at=datetime.now(UTC).isoformat(timespec="seconds"),
            sha1=download.sha1,
        )
        append_provenance(self._photos, record)
        move_durably(download.path, target)
        self._hashes[download.sha1] = record.file
        self.count += 1

    def refuse(self, hit: SearchHit, refusal: RefusedError) -> None:
        """Notes that a picture is of no use, so that no later run downloads it."""
        for file in self.staging.glob(f"{hit.stem}.*"):
            file.unlink()
        path = self._photos / REFUSED
        is_new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as target:
            writer = csv.writer(target)
            if is_new:
                writer.writerow(["source_url", "reason", "detail"])
            writer.writerow([hit.page_url, refusal.reason, refusal.detail])

    def clean_up(self, finished: bool) -> None:
        """Removes what is not needed any more; after an error, whole files in `staging` are kept for the next run."""
        for file in self.staging.iterdir():
            if finished or file.suffix == _PART:
                file.unlink()
        if not any(self.staging.iterdir()):
            self.staging.rmdir()

    def _finish(self, records: dict[str, Provenance]) -> None:
        """Moves files that a killed process had written the provenance of to their places."""
        for file in records:
            folder, _, name = file.partition("/")
            waiting = self.staging / name
            if folder not in ("", ".", "..") and "/" not in name and waiting.is_file():
                move_durably(waiting, self._photos / file)


@contextmanager
def open_photo_folder(photos: Path, label: str) -> Iterator[PhotoFolder]:
    """Opens the sub-folder of a dance for one collector at a time.

    Args:
        photos: The folder, made where it is missing.
        label: The dance's sub-folder.

    Raises:
        UserError: The folder holds drawings, another process writes to it, or its provenance or its list of removed
            pictures can't be read.
    """
    if photos.exists() and not photos.is_dir():
        raise UserError(f"{photos} is a file: name a folder to collect into")
    if any(record.source == DRAWING for record in read_provenance(photos).values()):
        raise UserError(f"{photos} holds drawings: collect photographs into a folder of their own")
    photos = photos.resolve()
    photos.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(photos):
        is_new = not photos.exists()
        photos.mkdir(exist_ok=True)
        finished = False
        try:
            folder = PhotoFolder(photos, label)
            try:
                yield folder
                finished = True
            finally:
                folder.clean_up(finished)
        finally:
            if is_new and not any(photos.iterdir()):
                photos.rmdir()


def move_durably(source: Path, target: Path) -> Path:
    """Moves a file within one disk. It is whole under its new name, also after a loss of power.

    Returns:
        `target`, whose folder is made where it is missing.
    """
    is_new = not target.parent.exists()
    target.parent.mkdir(exist_ok=True)
    # Windows flushes only what is open for writing.
    with source.open("r+b") as file:
        os.fsync(file.fileno())
    source.replace(target)
    fsync_folder(target.parent)
    if is_new:
        fsync_folder(target.parent.parent)
    return target


def _read_refused(photos: Path) -> dict[str, str]:
    path = photos / REFUSED
    if not path.exists():
        return {}
    # A full disk may have cut its last line.
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return {same_page(row.get("source_url") or ""): row.get("reason") or "" for row in csv.DictReader(file)}


def _label(file: str) -> str:
    return file.partition("/")[0]
