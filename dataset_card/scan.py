"""Scan: every file becomes a row of one table; a file that has not changed since an earlier scan is not read again."""

import hashlib
import stat
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import PIL
import pyarrow as pa
import xxhash
from tqdm import tqdm

from dataset_card.curate.duplicates import HASH_BYTES, image_hashes
from dataset_card.shortcuts import marks_of
from files.atomic import atomic_write
from files.errors import UserError
from pictures import RefusedError
from pictures.decoding import decode
from pictures.metadata import metadata_in

MAX_FILE_BYTES = 200_000_000
"""A larger file is refused before it is read."""

# Of a version with other columns, or another decoder, nothing is taken.
_VERSION = f"2 hash {HASH_BYTES} Pillow {PIL.__version__}"
_KEY = ["file", "size", "mtime", "ctime"]
_FACTS = ["sha256", "pixels", "hashes", "marks", "width", "height", "format", "plain", "reason", "detail"]
# Nanoseconds. A file this young may change once more without a change of its times, which FAT counts in two seconds.
_UNSETTLED = 2_000_000_000
_SECONDS_BETWEEN_SAVES = 20
_STRIP_BYTES = 65_536


class ChangedFileError(UserError):
    """A file that is another one, or gone, since it was scanned, whatever its times say."""


def inspect_image(content: bytes) -> dict[str, Any]:
    """Decodes a file once and returns what later steps need to know about it, without its pixels.

    Returns:
        `sha256` of the file, in hex: the picture's name in every later step; `pixels`, 16 bytes, equal for pictures
        whose upright RGB pixels are equal (XXH3); `hashes`, see `curate.duplicates.image_hashes`; `marks`,
        see `shortcuts.marks_of`; `width` and `height` in pixels, upright; `format` and `mode` as Pillow calls them;
        `turned`, whether an orientation tag asks viewers to turn it; `metadata`, the names of what it carries besides
        the picture, None for a container that is not looked into; `plain`, whether its bytes may be published as they
        are.

    Raises:
        RefusedError: Not an image, damaged, or too large.
    """
    decoded = decode(content, min_side=1)
    image = decoded.image
    try:
        metadata = metadata_in(content)
    except ValueError:
        metadata = None
    pixels = xxhash.xxh3_128(f"{image.width}x{image.height}".encode())
    # By strips: for the bytes of a whole picture the C library goes to the system and back, which takes twice as long
    # as all the rest.
    rows = max(1, _STRIP_BYTES // (3 * image.width))
    for top in range(0, image.height, rows):
        pixels.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "pixels": pixels.digest(),
        "hashes": image_hashes(image),
        "marks": marks_of(image, content),
        "width": image.width,
        "height": image.height,
        "format": decoded.format,
        "mode": decoded.mode,
        "turned": decoded.turned,
        "metadata": metadata,
        "plain": decoded.plain and metadata == [],
    }


def scan(photos: Path, files: pd.DataFrame, cache: Path, num_proc: int) -> pd.DataFrame:
    """Reads the files that are new or changed, and adds to the table what is known of each.

    Args:
        photos: The folder that the files lie below.
        files: A row per file, as `listing.list_photos` gives it.
        cache: A parquet file with earlier results, updated every few seconds and also when the scan is interrupted.
            A file counts as unchanged while its size, modification and change times are the same.
        num_proc: How many files are read at once.

    Returns:
        `files` with the columns of `inspect_image` that decide about a picture; `reason` and `detail` say why a file
        can't be used. Files that can't be used have empty values elsewhere.
    """
    known = _read_cache(cache)
    rows = files.to_dict("records")
    jobs = []
    for number, row in enumerate(rows):
        row.update(
            dict.fromkeys(_KEY[1:], 0), sha256="", pixels=b"", hashes=b"", marks=b"", width=0, height=0, format=""
        )
        row["plain"] = False
        if row["reason"]:
            continue
        try:
            status = (photos / row["file"]).stat()
        except OSError as error:
            row.update(reason="cannot be read", detail=error.strerror or str(error))
            continue
        row.update(size=status.st_size, mtime=status.st_mtime_ns, ctime=status.st_ctime_ns)
        if facts := known.get(tuple(row[key] for key in _KEY)):
            row.update(facts)
        else:
            jobs.append(number)

    def read(number: int) -> dict[str, Any]:
        try:
            facts = inspect_image(read_file(photos / rows[number]["file"]))
            return {name: facts[name] for name in _FACTS if name in facts}
        except RefusedError as refusal:
            return {"reason": refusal.reason, "detail": refusal.detail}

    saved = time.monotonic()
    unsaved = False
    # Threads suffice: Pillow decodes, and hashlib digests, without holding the interpreter's lock.
    with ThreadPoolExecutor(num_proc) as pool, tqdm(total=len(rows), desc="Reading photographs", unit="file") as bar:
        bar.update(len(rows) - len(jobs))
        try:
            for number, facts in zip(jobs, pool.map(read, jobs), strict=True):
                rows[number].update(facts)
                unsaved = True
                bar.update()
                if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                    _write_cache(cache, rows)
                    saved, unsaved = time.monotonic(), False
        finally:
            # Saved before the files that are being read are waited for: a second Ctrl-C may follow.
            pool.shutdown(wait=False, cancel_futures=True)
            if unsaved:
                _write_cache(cache, rows)
    table = pd.DataFrame(rows, columns=[*files.columns, *_KEY[1:], *_FACTS[:-2]], dtype=object)
    numbers = ["size", "mtime", "ctime", "width", "height"]
    return table.astype({**dict.fromkeys(numbers, "int64"), "plain": bool})


def read_file(path: Path) -> bytes:
    """Reads a regular file of bounded size.

    Raises:
        RefusedError: It is none, too large, or can't be read.
    """
    try:
        status = path.stat()
        # Opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise RefusedError("too large", f"{status.st_size:,} bytes, more than {MAX_FILE_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise RefusedError("cannot be read", error.strerror or str(error)) from None


def read_again(path: Path, sha256: str) -> bytes:
    """Reads a file that was scanned before.

    Raises:
        ChangedFileError: It is not the file that was scanned, so what was found about its metadata no longer holds.
    """
    try:
        content = read_file(path)
    except RefusedError as refusal:
        raise ChangedFileError(f"{path} was scanned, but now: {refusal}: run the same command again") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ChangedFileError(f"{path} was changed since it was scanned: run the same command again")
    return content


def _read_cache(cache: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    try:
        table = pd.read_parquet(cache)
    except (OSError, pa.ArrowException, ValueError):
        # Missing, or damaged: everything is read anew.
        return {}
    if table.attrs.get("version") != _VERSION:
        return {}
    keys = zip(*(table[name] for name in _KEY), strict=True)
    return dict(zip(keys, table[_FACTS].to_dict("records"), strict=True))


def _write_cache(cache: Path, rows: Iterable[dict[str, Any]]) -> None:
    now = time.time_ns()
    # A file that could not be read may be readable the next time, and a name that is not UTF-8 fits no parquet file.
    settled = [
        {name: row[name] for name in _KEY + _FACTS}
        for row in rows
        if row["mtime"]
        and (row["sha256"] or row["reason"] not in ("", "cannot be read"))
        and now - row["mtime"] > _UNSETTLED
        and row["file"].isprintable()
    ]
    table = pd.DataFrame(settled, columns=_KEY + _FACTS)
    table.attrs["version"] = _VERSION
    with atomic_write(cache) as draft:
        table.to_parquet(draft, index=False)
