import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dataset_card import scan as scanning
from dataset_card.listing import list_photos
from dataset_card.scan import ChangedFileError, inspect_image, read_again, read_file, scan
from pictures import RefusedError
from tests.conftest import ROOT, wait_for


def test_equal_pixels_have_one_hash_whatever_the_file(save_image: Callable[..., Path]) -> None:
    one, other, third = (
        inspect_image(save_image(name, seed).read_bytes()) for name, seed in (("a.png", 0), ("b.bmp", 0), ("c.png", 1))
    )
    assert one["pixels"] == other["pixels"] != third["pixels"]
    assert one["sha256"] != other["sha256"]


def test_what_an_image_is(save_image: Callable[..., Path]) -> None:
    facts = inspect_image(save_image("plain.jpg").read_bytes())
    assert (facts["plain"], facts["format"], facts["mode"], facts["turned"]) == (True, "JPEG", "RGB", False)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    facts = inspect_image(save_image("phone.jpg", exif=exif).read_bytes())
    assert (facts["plain"], facts["turned"], facts["metadata"]) == (False, True, ["EXIF"])
    assert (facts["width"], facts["height"]) == (80, 96)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.jpg", "empty file"),
        ("text.jpg", "not an image"),
        ("truncated.jpg", "damaged or truncated"),
        ("bomb.png", "too large"),
        ("gone.jpg", "cannot be read"),
    ],
)
def test_refusals_say_why(save_image: Callable[..., Path], tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    if name == "empty.jpg":
        path.touch()
    elif name == "text.jpg":
        path.write_text("<html>404</html>")
    elif name == "truncated.jpg":
        save_image(name)
        path.write_bytes(path.read_bytes()[:-200])
    elif name == "bomb.png":
        Image.new("1", (12_000, 12_000)).save(path)
    with pytest.raises(RefusedError, match=reason) as refusal:
        inspect_image(read_file(path))
    assert refusal.value.reason == reason


def test_a_file_that_may_not_be_read_says_so(save_image: Callable[..., Path]) -> None:
    # Away from pytest's folders, which nobody but their owner may enter.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = shutil.copy(save_image("a.png"), Path(name) / "a.png")
        path.chmod(0)
        who = os.geteuid()
        if who == 0:
            # Root may read everything.
            os.seteuid(65534)
        try:
            with pytest.raises(RefusedError, match="cannot be read") as refusal:
                inspect_image(read_file(path))
        finally:
            os.seteuid(who)
    assert refusal.value.detail == "Permission denied"


def test_devices_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (Path("/dev/zero"), tmp_path / "pipe.jpg", tmp_path):
        with pytest.raises(RefusedError, match="not a regular file"):
            read_file(path)


def test_a_file_of_too_many_bytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.tif").open("wb") as sparse:
        sparse.truncate(10**12)
    with pytest.raises(RefusedError, match=r"too large .1,000,000,000,000 bytes"):
        read_file(tmp_path / "sparse.tif")


@pytest.fixture
def old(pile: Path) -> Path:
    """`pile`, last changed long ago."""
    for file in pile.glob("*/*"):
        os.utime(file, (1e9, 1e9))
    return pile


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that were decoded, in any order."""
    contents: list[bytes] = []

    def count(content: bytes) -> dict[str, object]:
        contents.append(content)
        return inspect_image(content)

    monkeypatch.setattr(scanning, "inspect_image", count)
    return contents


def test_only_what_is_new_or_changed_is_read_again(
    old: Path, decoded: list[bytes], save_image: Callable[..., Path], tmp_path: Path
) -> None:
    cache = tmp_path / "cache.parquet"
    first = scan(old, list_photos(old).files, cache, 2)
    assert len(decoded) == 20
    decoded.clear()
    pd.testing.assert_frame_equal(scan(old, list_photos(old).files, cache, 2), first)
    assert decoded == []
    save_image("photos/kathak/new.jpg", 77)
    # Another picture of the same size and time.
    changed = old / "kathak" / "1.jpg"
    content = bytearray(changed.read_bytes())
    content[-20] ^= 1
    changed.write_bytes(content)
    os.utime(changed, (1e9, 1e9))
    scan(old, list_photos(old).files, cache, 2)
    assert len(decoded) == 2


def test_a_file_that_has_just_been_written_is_not_trusted_yet(
    pile: Path, decoded: list[bytes], tmp_path: Path
) -> None:
    for _ in range(2):
        scan(pile, list_photos(pile).files, tmp_path / "cache.parquet", 2)
    assert len(decoded) == 40


@pytest.mark.parametrize("content", [b"", b"no parquet", b"PAR1"])
def test_a_damaged_cache_is_made_anew(old: Path, decoded: list[bytes], tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "cache.parquet"
    cache.write_bytes(content)
    for _ in range(2):
        scan(old, list_photos(old).files, cache, 2)
    assert len(decoded) == 20


def test_a_scan_that_is_interrupted_keeps_what_it_has_read(old: Path, decoded: list[bytes], tmp_path: Path) -> None:
    # Reading the last file takes for ever, as it may on a network share.
    script = (
        "import sys, threading, dataset_card.scan as s; from pathlib import Path; from dataset_card.listing import *;"
        "read = s.read_file;"
        "last = lambda path: path.match('odissi/9.jpg') and print('hangs', flush=True) is None;"
        "s.read_file = lambda path: threading.Event().wait(60) if last(path) else read(path);"
        "photos = Path(sys.argv[1]); s.scan(photos, list_photos(photos).files, Path(sys.argv[2]), 1)"
    )
    cache = tmp_path / "cache.parquet"
    process = subprocess.Popen(
        [sys.executable, "-c", script, old, cache],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "hangs\n"
    process.send_signal(signal.SIGINT)
    wait_for(cache.exists, 20)
    process.kill()
    process.wait(20)
    process.stdout.close()
    scan(old, list_photos(old).files, cache, 2)
    assert len(decoded) == 1


def test_a_file_that_changed_since_it_was_scanned_is_not_published(save_image: Callable[..., Path]) -> None:
    path = save_image("a.jpg")
    sha256 = inspect_image(path.read_bytes())["sha256"]
    assert read_again(path, sha256) == path.read_bytes()
    save_image("a.jpg", 1)
    with pytest.raises(ChangedFileError, match=r"a.jpg was changed since it was scanned: run the same command again"):
        read_again(path, sha256)
    path.unlink()
    with pytest.raises(ChangedFileError, match=r"a.jpg was scanned, but now: cannot be read"):
        read_again(path, sha256)
