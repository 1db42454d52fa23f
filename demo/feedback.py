"""What visitors say of answers, kept where FEEDBACK_DIR points: off unless somebody has named a place.

`python -m dataset_card build PHOTOS --corrections FEEDBACK_DIR/corrections.csv` replays it. With the visitor's consent
the picture is kept as well, so that FEEDBACK_DIR/photos is a PHOTOS folder of its own:
`python -m dataset_card build FEEDBACK_DIR/photos --corrections FEEDBACK_DIR/corrections.csv --out DATASET`.
"""

import csv
import errno
import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from demo.reading.upload import read_upload
from files.atomic import append_durably, atomic_write, only_writer
from files.errors import UserError

LIMIT = 1_000_000_000
"""Bytes. A folder that holds as much takes no more."""
COLUMNS = ("sha256", "action", "label", "date", "predicted", "probability", "model")
# What `dataset_card build` keeps of a picture by default; more would be more of somebody's life than is needed.
_MAX_SIDE, _QUALITY = 1024, 92
_PLAIN_NAME = re.compile(r'[^/\\:*?"<>|.\x00-\x1f\x7f][^/\\:*?"<>|\x00-\x1f\x7f]*')
_SECONDS = 10
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FeedbackError(UserError):
    """A FEEDBACK_DIR that can't be used."""


class FullError(OSError):
    """There is no room for another answer."""


@dataclass(frozen=True)
class Subject:
    """An answer that a visitor may speak about.

    Attributes:
        path: The uploaded file.
        predicted: The likeliest class.
        probability: Its probability, 0 to 1.
    """

    path: Path
    predicted: str
    probability: float


class Feedback:
    """The folder. Several threads and processes may write to it at once; what was answered is on disk."""

    def __init__(self, folder: Path, label_names: Sequence[str], model: str, limit: int = LIMIT) -> None:
        """Opens a folder that need not be there yet.

        Raises:
            FeedbackError: It can't be written to.
        """
        self.folder, self.label_names, self.model, self.limit = folder, tuple(label_names), model, limit
        self.corrections, self.photos = folder / "corrections.csv", folder / "photos"
        try:
            self.photos.mkdir(parents=True, exist_ok=True)
            with only_writer(self.corrections, timeout=_SECONDS):
                _append(self.corrections, "")
        except (OSError, UserError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FeedbackError(f"FEEDBACK_DIR={folder} can't be written to ({reason})") from None

    @property
    def takes_pictures(self) -> bool:
        """Whether pictures can be kept: every class needs a name that a folder can have."""
        return all(_PLAIN_NAME.fullmatch(label) for label in self.label_names)

    def keep(self, subject: Subject, label: str, with_picture: bool = False) -> None:
        """Keeps what a visitor says a picture shows; when it returns, that is on disk.

        Without the picture, the line is about the uploaded file, which a dataset may hold under any label: it says
        "relabel", whether the model was right or not. A kept picture lies in the folder of its label, where "keep"
        confirms the model, and "relabel" corrects it.

        Args:
            subject: The picture, and what the model said.
            label: What the visitor says; one of the classes.
            with_picture: The visitor consents to the picture being kept.

        Raises:
            FileNotFoundError: The uploaded file is gone.
            FullError: There is no room.
            BusyError: Others have been writing for too long.
            OSError: It could not be written.
        """
        assert label in self.label_names, label
        stored = _stored(subject.path) if with_picture and self.takes_pictures else None
        sha256 = hashlib.sha256(subject.path.read_bytes() if stored is None else stored).hexdigest()
        action = "keep" if stored is not None and label == subject.predicted else "relabel"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        cells = (sha256, action, label, now, subject.predicted, f"{subject.probability:.4f}", self.model)
        with only_writer(self.corrections, timeout=_SECONDS):
            if self._bytes() + len(stored or b"") > self.limit:
                raise FullError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            try:
                if stored is not None:
                    self._store(stored, f"{label}/{sha256}.jpg", now)
                _append(self.corrections, _csv_line(cells))
            except OSError as error:
                if stored is not None:
                    (self.photos / label / f"{sha256}.jpg").unlink(missing_ok=True)
                raise FullError(*error.args) if error.errno in _FULL else error from None
            # One picture has one label: that of whoever spoke last.
            for earlier in self.photos.glob(f"*/{sha256}.jpg"):
                if earlier.parent.name != label:
                    earlier.unlink()

    def _bytes(self) -> int:
        return sum((Path(folder) / file).stat().st_size for folder, _, files in os.walk(self.folder) for file in files)

    def _store(self, content: bytes, name: str, now: str) -> None:
        place = self.photos / name
        place.parent.mkdir(exist_ok=True)
        with atomic_write(place) as draft:
            draft.write_bytes(content)
            if not place.exists():
                origin = {"file": name, "source": "feedback", "license": "unknown", "retrieved_at": now}
                _append(self.photos / "provenance.jsonl", json.dumps(origin, ensure_ascii=False) + "\n")


def open_feedback(label_names: Sequence[str], model: str) -> Feedback | None:
    """Opens what FEEDBACK_DIR names; None where it names nothing.

    Raises:
        FeedbackError: It can't be written to.
    """
    folder = os.environ.get("FEEDBACK_DIR")
    return Feedback(Path(folder), label_names, model) if folder else None


def _stored(path: Path) -> bytes:
    """Returns an upload as it is kept: upright sRGB, no larger than needed, nothing in it but the picture."""
    image = read_upload(path)
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    # Comments and profiles would travel on with the picture.
    image.info.clear()
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    # In quotes: no class name that was cut short passes for another one.
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _append(path: Path, line: str) -> None:
    """Adds a line to a file, which is as before where that fails; it is on disk when this returns.

    A last line that a killed process left unfinished is taken away first: nobody was told that it was kept.
    """
    content = path.read_bytes() if path.exists() else b""
    begin = content.rfind(b"\n") + 1
    end = len(content) if _is_whole(content[begin:], path.suffix) else begin
    head = ",".join(COLUMNS) + "\n" if path.suffix == ".csv" and end == 0 else ""
    # A last line that somebody typed may lack its end.
    added = b"\n" * (begin < end) + (head + line).encode()
    append_durably(path, end, added)


def _is_whole(line: bytes, suffix: str) -> bool:
    try:
        if suffix == ".jsonl":
            return isinstance(json.loads(line), dict)
        sha256, action, label = [*next(csv.reader([line.decode()], strict=True), []), "", "", ""][:3]
    except (ValueError, csv.Error):
        return False
    return bool(sha256) and bool(label or action in ("keep", "delete"))
