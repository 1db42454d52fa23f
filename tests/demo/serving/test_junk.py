"""Ten thousand files that nobody would call a picture: each is read, or gets its sentence, and soon."""

import io
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from demo.reading.upload import UnreadableError, read_upload
from demo.words import ENGLISH, LANGUAGES

RANDOM, DAMAGED = 4_000, 6_000
_LONGEST = 5.0

_settings = settings(
    deadline=None,
    database=None,
    # The same files every time: what a new one finds belongs into a test of its own.
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
_FORMATS = (
    ("JPEG", {}), ("JPEG", {"progressive": True}), ("MPO", {"save_all": True}), ("PNG", {}), ("WEBP", {}),
    ("WEBP", {"lossless": True}), ("GIF", {"save_all": True}), ("BMP", {}), ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}), ("AVIF", {}), ("HEIF", {}),
)  # fmt: skip
_BEGINNINGS = (
    b"", b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"GIF89a", b"RIFF\0\1\0\0WEBPVP8 ", b"BM",
    b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"\0\0\0\x18ftypheic", b"\0\0\0\x1cftypavif", b"<svg ",
    b"PK\3\4", b"%PDF-",
)  # fmt: skip


@cache
def _whole() -> list[bytes]:
    blocks = np.random.default_rng(8).integers(0, 255, (8, 8, 3), np.uint8)
    image = Image.fromarray(blocks).resize((48, 40), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for format_, options in _FORMATS:
        target = io.BytesIO()
        more = {"append_images": [image.rotate(90)]} if "save_all" in options else {}
        tags = {} if format_ in ("GIF", "BMP", "MPO") else {"exif": exif.tobytes()}
        image.save(target, format_, **options, **more, **tags)
        files.append(target.getvalue())
    return files


def _look(folder: Path, content: bytes) -> None:
    file = folder / "file"
    file.write_bytes(content)
    began = time.monotonic()
    try:
        image = read_upload(file)
        assert image.mode == "RGB"
        assert min(image.size) >= 32
    except UnreadableError as error:
        told = str(error)
        assert told == LANGUAGES[ENGLISH](error.key)  # noqa: PT017 - either will do
    assert time.monotonic() - began < _LONGEST


@settings(_settings, max_examples=RANDOM)
@given(beginning=st.sampled_from(_BEGINNINGS), rest=st.binary(max_size=600))
def test_random_bytes(tmp_path: Path, beginning: bytes, rest: bytes) -> None:
    _look(tmp_path, beginning + rest)


_edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=6)


@settings(_settings, max_examples=DAMAGED)
@given(
    index=st.integers(0, len(_FORMATS) - 1),
    edits=_edits,
    cut=st.floats(0, 1),
    twice=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    kind=st.sampled_from(["edits", "edits", "cut", "twice", "without", "beginning of another"]),
)
def test_damaged_pictures(
    tmp_path: Path, index: int, edits: list[tuple[float, bytes]], cut: float, twice: tuple[float, float], kind: str
) -> None:
    content = bytearray(_whole()[index])
    for where, replaced in edits:
        # Half of them where the header is.
        at = int(where * (len(content) if where > 0.5 else min(len(content), 400)))
        content[at : at + len(replaced)] = replaced
    first, last = sorted(int(where * len(content)) for where in twice)
    if kind == "cut":
        del content[int(cut * len(content)) :]
    elif kind == "twice":
        content[last:last] = content[first:last]
    elif kind == "without":
        del content[first:last]
    elif kind == "beginning of another":
        content[: int(cut * 64)] = _whole()[index - 1][: int(cut * 64)]
    _look(tmp_path, bytes(content))


@pytest.mark.parametrize("index", range(len(_FORMATS)))
def test_the_whole_ones_are_read(tmp_path: Path, index: int) -> None:
    (tmp_path / "file").write_bytes(_whole()[index])
    assert read_upload(tmp_path / "file").mode == "RGB"
