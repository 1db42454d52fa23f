import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.reading import upload
from demo.reading.upload import ENOUGH, UnreadableError, read_upload
from demo.words import ENGLISH, LANGUAGES


@pytest.fixture
def picture(save_image: Callable[..., Path]) -> Image.Image:
    with Image.open(save_image("picture.png")) as image:
        return image.convert("RGB")


def _written(path: Path, image: Image.Image, format_: str, **options: object) -> Path:
    image.save(path, format_, **options)
    return path


@pytest.mark.parametrize(
    ("name", "format_", "mode", "options"),
    [
        ("phone.jpg", "JPEG", "RGB", {"quality": 95}), ("print.jpg", "JPEG", "CMYK", {"quality": 95}),
        ("drawn.png", "PNG", "RGBA", {}), ("old.gif", "GIF", "RGB", {}),
        ("web.webp", "WEBP", "RGBA", {"lossless": True}),
        ("apple.heic", "HEIF", "RGB", {"quality": 95}), ("new.avif", "AVIF", "RGB", {"quality": 95}),
        ("scan.tif", "TIFF", "RGB", {}), ("scan.bmp", "BMP", "RGB", {}),
        # The name says nothing.
        ("dancer", "PNG", "RGB", {}), ("dancer.txt", "JPEG", "RGB", {"quality": 95}),
    ],
)  # fmt: skip
def test_every_kind_of_file_becomes_the_same_picture(
    tmp_path: Path, picture: Image.Image, name: str, format_: str, mode: str, options: dict[str, object]
) -> None:
    read = read_upload(_written(tmp_path / name, picture.convert(mode), format_, **options))
    assert (read.mode, read.size) == ("RGB", picture.size)
    assert np.abs(np.asarray(read).astype(int) - np.asarray(picture)).mean() < 8


@pytest.mark.parametrize("format_", ["JPEG", "HEIF", "PNG"])
def test_a_phone_held_sideways_is_turned(tmp_path: Path, picture: Image.Image, format_: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    read = read_upload(_written(tmp_path / "phone", picture.rotate(90, expand=True), format_, exif=exif.tobytes()))
    assert np.abs(np.asarray(read).astype(int) - np.asarray(picture)).mean() < 4


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    read = read_upload(_written(tmp_path / "a.png", Image.new("RGBA", (64, 64), (200, 0, 0, 0)), "PNG"))
    assert read.getpixel((9, 9)) == (255, 255, 255)


def test_a_large_picture_comes_smaller_but_never_under_what_a_model_may_ask_for(tmp_path: Path) -> None:
    levels = np.linspace(0, 255, 4100).astype(np.uint8)
    image = Image.fromarray(np.stack([np.tile(levels, (2500, 1))] * 3, axis=-1))
    for format_ in ("JPEG", "PNG"):
        read = read_upload(_written(tmp_path / format_, image, format_))
        assert read.size == (2050, 1250)
        expected = image.reduce(2)
        assert np.abs(np.asarray(read).astype(int) - np.asarray(expected)).max() <= 3
    assert min(read.size) >= ENOUGH
    barely = _written(tmp_path / "barely", image.crop((0, 0, 2047, 2047)), "PNG")
    assert read_upload(barely).size == (2047, 2047)


def _key(path: Path) -> str:
    with pytest.raises(UnreadableError) as error:
        read_upload(path)
    assert str(error.value) == LANGUAGES[ENGLISH](error.value.key)
    assert str(path.parent) not in str(error.value)
    return error.value.key


class TestRefused:
    @pytest.mark.parametrize(
        ("content", "key"),
        [
            (b"", "empty"), (b"<html>not a picture</html>", "unreadable"), (b"<svg xmlns='x'></svg>", "unreadable"),
            (b"\xff\xd8\xff\xe0" + bytes(50), "damaged"), (b"\x89PNG\r\n\x1a\n", "damaged"),
            (bytes(1000), "unreadable"), (b"8BPS\0\1" + bytes(40), "unreadable"), (b"%PDF-1.7", "unreadable"),
            (b"PK\3\4" + bytes(99), "unreadable"),
        ],
    )  # fmt: skip
    def test_what_is_no_picture(self, tmp_path: Path, content: bytes, key: str) -> None:
        (tmp_path / "file").write_bytes(content)
        assert _key(tmp_path / "file") == key

    def test_bytes_before_decoding(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("wb") as file:
            file.truncate(upload.MAX_BYTES + 1)
        assert _key(tmp_path / "file") == "too_heavy"

    def test_pixels_before_decoding(self, tmp_path: Path) -> None:
        bomb = _written(tmp_path / "file", Image.new("1", (20_000, 20_000)), "PNG")
        assert bomb.stat().st_size < 100_000
        began = time.monotonic()
        assert _key(bomb) == "too_large"
        assert time.monotonic() - began < 0.5

    @pytest.mark.parametrize(
        ("size", "key"), [((31, 400), "too_small"), ((40, 900), "too_narrow"), ((900, 40), "too_narrow")]
    )
    def test_sides(self, tmp_path: Path, size: tuple[int, int], key: str) -> None:
        assert _key(_written(tmp_path / "file", Image.new("RGB", size), "PNG")) == key

    def test_half_a_picture(self, tmp_path: Path, picture: Image.Image) -> None:
        content = io.BytesIO()
        picture.save(content, "JPEG")
        (tmp_path / "file").write_bytes(content.getvalue()[: len(content.getvalue()) // 2])
        assert _key(tmp_path / "file") == "damaged"

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        assert _key(tmp_path / "file") == "gone"
        assert _key(tmp_path / ("x" * 10_000)) == "gone"
        assert _key(tmp_path) == "gone"
