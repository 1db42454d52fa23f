"""What people decide about single pictures: a file that grows by a line per decision, on disk before anything else.

`python -m dataset_card build --corrections` replays it. It is the only memory of the cleaner: several pages and
processes may write to it at once, and whatever is killed has lost nothing that was answered.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from files.atomic import append_durably, only_writer
from files.errors import UserError

ACTIONS = ("keep", "delete", "relabel")
_HEADER = b"sha256,action,label\n"
_COLUMNS = ["sha256", "action", "label"]
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CorrectionsError(UserError):
    """A file of corrections that can't be gone on with."""


@dataclass(frozen=True)
class Decision:
    """One line.

    Attributes:
        sha256: The picture.
        action: "keep", "delete" or "relabel".
        label: The new class of a "relabel", else empty.
    """

    sha256: str
    action: str
    label: str = ""

    def __str__(self) -> str:
        """Returns it in words, without the picture."""
        return f"relabel as {self.label}" if self.label else self.action


class DecisionLog:
    """The decisions in a `corrections.csv`; where it has several about one picture, the last one counts."""

    def __init__(self, path: Path, label_names: Sequence[str]) -> None:
        """Opens a file that need not be there yet, to give pictures classes of `label_names`.

        Raises:
            CorrectionsError: It can't be gone on with; names the line and what is wrong with it.
        """
        self.path, self.label_names = path, label_names
        self.lines()

    def lines(self) -> list[Decision]:
        """Reads all decisions, in their order.

        Raises:
            CorrectionsError: Names the line and what is wrong with it.
        """
        return self._parse(self._whole()[0])

    def current(self) -> dict[str, Decision]:
        """Reads what counts now, by picture."""
        return {decision.sha256: decision for decision in self.lines()}

    def decide(self, decision: Decision, seen: Decision | None) -> bool:
        """Adds a decision; when it returns True, it is on disk, also after a loss of power.

        Args:
            decision: What to add.
            seen: What counted for this picture when the person was shown it.

        Returns:
            False when another page has decided meanwhile: then nothing was added.

        Raises:
            OSError: It could not be written; the file is as before.
        """
        with self._exclusive():
            if self.current().get(decision.sha256) != seen:
                return False
            # In quotes, so that a line that was cut short is never taken for a shorter class name.
            label = '"{}"'.format(decision.label.replace('"', '""')) if decision.label else ""
            self._append(f"{decision.sha256},{decision.action},{label}\n".encode())
        return True

    def undo(self) -> Decision | None:
        """Takes back the last decision of the file, whichever page made it; returns it, or None when there is none."""
        with self._exclusive():
            content, _ = self._whole()
            decisions = self._parse(content)
            if not decisions:
                return None
            kept = content.rstrip().rfind(b"\n") + 1
            with self.path.open("r+b") as file:
                file.truncate(kept)
                os.fsync(file.fileno())
        return decisions[-1]

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keeps other writers off within the block."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(self.path, timeout=-1):
            yield

    def _append(self, line: bytes) -> None:
        content, end = self._whole()
        line = line if content else _HEADER + line
        # A last line that somebody typed may lack its end.
        line = b"\n" + line if content and not content.endswith(b"\n") else line
        append_durably(self.path, end, line)

    def _whole(self) -> tuple[bytes, int]:
        """Returns the file's content without a last line that was cut short, and where that content ends."""
        content = self.path.read_bytes() if self.path.exists() else b""
        if _HEADER.startswith(content):
            return b"", 0
        begin = content.rfind(b"\n") + 1
        if begin and begin < len(content) and self._is_cut(content[begin:]):
            # Its decision was never answered: the picture is still to be decided.
            content = content[:begin]
        return content, len(content)

    def _is_cut(self, line: bytes) -> bool:
        try:
            return bool(self._fault(next(csv.reader([line.decode()], strict=True))))
        except (UnicodeDecodeError, csv.Error):
            return True

    def _parse(self, content: bytes) -> list[Decision]:
        if not content:
            return []
        try:
            rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise CorrectionsError(
                f"{self.path} can't be read ({error}): choose another with corrections=FILE"
            ) from None
        if not rows or rows[0] != _COLUMNS:
            begin = ",".join(rows[0]) if rows else "nothing"
            raise CorrectionsError(
                f"{self.path} begins with {begin[:80]!r} and not with {','.join(_COLUMNS)}, so that no line can be "
                "added: choose another file with corrections=FILE"
            )
        decisions = []
        for number, cells in enumerate(rows[1:], start=2):
            if not any(cells):
                continue
            if fault := self._fault(cells):
                raise CorrectionsError(f"{self.path}, line {number}: {fault}")
            decisions.append(Decision(cells[0].lower(), cells[1], cells[2] if cells[1] == "relabel" else ""))
        return decisions

    def _fault(self, cells: Sequence[str]) -> str | None:
        sha256, action, label = [*cells, "", ""][:3]
        if not _SHA256.fullmatch(sha256.lower()):
            return f"{sha256[:80]!r} is no sha256 of 64 hex digits: correct it, or delete the line"
        if action not in ACTIONS:
            return f"{action[:80]!r} is no action: use keep, delete or relabel"
        if action == "relabel" and label not in self.label_names:
            return f"{label[:80]!r} is none of the classes: use one of {', '.join(self.label_names)}"
        return None
