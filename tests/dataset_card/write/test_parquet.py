import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dataset_card.scan import inspect_image
from dataset_card.write.parquet import Encoding, published_bytes


def _publish(path: Path, encoding: Encoding | None = None) -> bytes:
    return published_bytes(path, SimpleNamespace(**inspect_image(path.read_bytes())), encoding or Encoding())


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_a_clean_file_keeps_its_bytes(save_image: Callable[..., Path]) -> None:
    for name in ("clean.jpg", "clean.png"):
        path = save_image(name)
        assert _publish(path) == path.read_bytes()


def test_exif_is_applied_and_removed(save_image: Callable[..., Path]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "A camera with a serial number"
    content = _publish(save_image("phone.jpg", exif=exif))
    assert b"serial" not in content
    assert _open(content).size == (80, 96)
    assert not _open(content).getexif()


@pytest.mark.parametrize("name", ["grey.png", "palette.gif", "alpha.png", "cmyk.jpg", "picture.bmp", "picture.tiff"])
@pytest.mark.parametrize(("format_", "lossless"), [("jpeg", "JPEG"), ("png", "PNG"), ("keep", "PNG")])
def test_other_modes_and_formats_become_rgb(tmp_path: Path, name: str, format_: str, lossless: str) -> None:
    mode = {"grey": "L", "palette": "P", "alpha": "RGBA", "cmyk": "CMYK", "picture": "RGB"}[Path(name).stem]
    Image.new("RGB", (64, 64), (200, 30, 30)).convert(mode).save(tmp_path / name)
    image = _open(_publish(tmp_path / name, Encoding(format=format_)))
    expected = "JPEG" if name == "cmyk.jpg" and format_ == "keep" else lossless
    assert (image.format, image.mode) == (expected, "RGB")


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.asarray(_open(_publish(tmp_path / "clear.png"))).min() >= 250


@pytest.mark.parametrize(("max_side", "size"), [(1024, (600, 300)), (200, (200, 100))])
def test_the_same_file_gives_the_same_bytes(
    save_image: Callable[..., Path], max_side: int, size: tuple[int, int]
) -> None:
    path = save_image("large.png", size=(600, 300), dpi=(1, 1))
    path.write_bytes(path.read_bytes() + b"trailing")
    content = _publish(path, Encoding(max_side))
    assert content == _publish(path, Encoding(max_side))
    assert (_open(content).format, _open(content).size) == ("JPEG", size)


def test_a_16_bit_png_is_published_with_8(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 40).astype(np.uint16).reshape(40, 64)
    Image.fromarray(values).save(tmp_path / "deep.png")
    published = np.asarray(_open(_publish(tmp_path / "deep.png"))).astype(int)
    assert np.abs(published - values[..., None] // 257).mean() < 2
