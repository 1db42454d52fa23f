"""Lists that people keep: CSV as it is meant, or as Excel and its kin save it."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from files.errors import UserError

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class SpreadsheetError(UserError):
    """A list that can't be read."""


def read_spreadsheet(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a list with a line of column names on top.

    Commas, semicolons or tabs part the columns, the names may be in any letter case, lines without content are passed
    over.

    Args:
        path: The file.
        needed: Columns, in lower case, that must be there; others may be.

    Yields:
        The number of a line, and its texts by column, without spaces round them.

    Raises:
        SpreadsheetError: It can't be read, or lacks a column.
    """
    advice = f"give a CSV file with {', '.join(needed)}"
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
        head = text.lstrip("\r\n").partition("\n")[0]
        # Strict, for a quote that nobody closed would swallow every line after it.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpreadsheetError(f"{path} can't be read ({error}): {advice}") from None
    # Some programs name the separator first: "sep=;".
    lines = [line for line in lines if any(line[1]) and not (line[0] == 1 and line[1][0].startswith("sep="))]
    names = [name.lower() for name in lines[0][1]] if lines else []
    if missing := [name for name in needed if name not in names]:
        raise SpreadsheetError(f"{path} has no column {', '.join(missing)} on top: {advice}")
    for number, cells in lines[1:]:
        # A line may be cut short, or longer than its columns.
        yield number, dict(zip(names, cells, strict=False))
