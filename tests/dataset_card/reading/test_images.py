import io
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_card.reading.images import ChangedFileError, inspect_photo, pixels_sha256, published_bytes
from pictures.refused import RefusedError


def test_a_clean_file_keeps_its_bytes(save_image: Callable[..., Path]) -> None:
    path = save_image("clean.jpg")
    photo = inspect_photo(path, "kathak", max_side=1024)
    assert photo.clean
    assert (photo.width, photo.height, photo.label) == (96, 80, "kathak")
    assert published_bytes(photo, 1024) == path.read_bytes()


def test_exif_is_applied_and_removed(save_image: Callable[..., Path]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "A camera with a serial number"
    photo = inspect_photo(save_image("phone.jpg", exif=exif), "odissi", max_side=1024)
    assert not photo.clean
    assert (photo.width, photo.height) == (80, 96)
    content = published_bytes(photo, 1024)
    assert b"serial" not in content
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (80, 96)
        assert not image.getexif()


def test_a_large_picture_is_scaled_down(save_image: Callable[..., Path]) -> None:
    photo = inspect_photo(save_image("large.png", size=(600, 300)), "odissi", max_side=200)
    with Image.open(io.BytesIO(published_bytes(photo, 200))) as image:
        assert image.size == (200, 100)


@pytest.mark.parametrize("name", ["grey.png", "palette.gif", "alpha.png", "cmyk.jpg", "picture.bmp", "picture.tiff"])
def test_other_modes_and_formats_become_rgb(tmp_path: Path, name: str) -> None:
    mode = {"grey": "L", "palette": "P", "alpha": "RGBA", "cmyk": "CMYK", "picture": "RGB"}[Path(name).stem]
    Image.new("RGB", (64, 64), (200, 30, 30)).convert(mode).save(tmp_path / name)
    photo = inspect_photo(tmp_path / name, "manipuri", max_side=1024)
    assert not photo.clean
    with Image.open(io.BytesIO(published_bytes(photo, 1024))) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    photo = inspect_photo(tmp_path / "clear.png", "manipuri", max_side=1024)
    with Image.open(io.BytesIO(published_bytes(photo, 1024))) as image:
        assert np.asarray(image).min() >= 250


def test_equal_pixels_have_one_hash_whatever_the_file(save_image: Callable[..., Path]) -> None:
    one = inspect_photo(save_image("one.png"), "a", 1024)
    other = inspect_photo(save_image("other.bmp"), "a", 1024)
    assert pixels_sha256(one) == pixels_sha256(other)
    assert one.sha256 != other.sha256


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.jpg", "empty file"),
        ("text.jpg", "not an image"),
        ("truncated.jpg", "damaged or truncated"),
        ("tiny.png", "too small"),
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
    elif name == "tiny.png":
        save_image(name, size=(20, 200))
    elif name == "bomb.png":
        Image.new("1", (12_000, 12_000)).save(path)
    with pytest.raises(RefusedError, match=reason) as refusal:
        inspect_photo(path, "kathak", 1024)
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
                inspect_photo(path, "kathak", 1024)
        finally:
            os.seteuid(who)
    assert refusal.value.detail == "Permission denied"


@pytest.mark.parametrize(("max_side", "size"), [(1024, (600, 300)), (200, (200, 100))])
def test_the_same_file_gives_the_same_bytes(
    save_image: Callable[..., Path], max_side: int, size: tuple[int, int]
) -> None:
    path = save_image("large.png", size=(600, 300), dpi=(1, 1))
    path.write_bytes(path.read_bytes() + b"trailing")
    photo = inspect_photo(path, "odissi", max_side)
    content = published_bytes(photo, max_side)
    assert content == published_bytes(photo, max_side)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("JPEG", size)


def test_a_file_that_changed_since_it_was_inspected_is_not_published(save_image: Callable[..., Path]) -> None:
    photo = inspect_photo(save_image("a.jpg"), "odissi", 1024)
    assert photo.clean
    exif = Image.Exif()
    exif[0x010F] = "A camera with a serial number"
    save_image("a.jpg", exif=exif)
    with pytest.raises(ChangedFileError, match=r"a.jpg was changed while it was being read: start again"):
        published_bytes(photo, 1024)
    photo.path.unlink()
    with pytest.raises(ChangedFileError, match=r"a.jpg could be read a moment ago, now: cannot be read"):
        published_bytes(photo, 1024)


def test_devices_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (Path("/dev/zero"), tmp_path / "pipe.jpg", tmp_path):
        with pytest.raises(RefusedError, match="not a regular file"):
            inspect_photo(path, "kathak", 1024)


def test_a_file_of_too_many_bytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.tif").open("wb") as sparse:
        sparse.truncate(10**12)
    with pytest.raises(RefusedError, match=r"too large .1,000,000,000,000 bytes"):
        inspect_photo(tmp_path / "sparse.tif", "kathak", 1024)


def test_a_16_bit_png_is_published_with_8(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 40).astype(np.uint16).reshape(40, 64)
    Image.fromarray(values).save(tmp_path / "deep.png")
    photo = inspect_photo(tmp_path / "deep.png", "odissi", 1024)
    with Image.open(io.BytesIO(published_bytes(photo, 1024))) as image:
        assert np.abs(np.asarray(image).astype(int) - values[..., None] // 257).mean() < 2
