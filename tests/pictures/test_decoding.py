import io
import struct
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pictures import RefusedError
from pictures.decoding import decode


@pytest.fixture
def picture(save_image: Callable[..., Path]) -> Image.Image:
    with Image.open(save_image("picture.png")) as image:
        return image.convert("RGB")


def _encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, format_, **options)
    return target.getvalue()


def _png(width: int, height: int, bits: int, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    parts = [
        struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
        for kind, payload in (header, *chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _difference(one: Image.Image, other: Image.Image) -> float:
    assert one.mode == other.mode == "RGB"
    assert one.size == other.size
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean())


@pytest.mark.parametrize(
    ("format_", "options", "limit"),
    [
        ("JPEG", {"quality": 95}, 4), ("MPO", {"quality": 95, "save_all": True}, 4), ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0), ("GIF", {}, 8), ("BMP", {}, 0), ("TIFF", {}, 0),
        ("TIFF", {"compression": "jpeg"}, 8), ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("AVIF", {"quality": 95}, 4), ("HEIF", {"quality": 95}, 4),
    ],
)  # fmt: skip
def test_every_format_shows_the_same_picture(
    picture: Image.Image, format_: str, options: dict[str, object], limit: float
) -> None:
    if "save_all" in options:
        options = {**options, "append_images": [Image.new("RGB", picture.size)]}
    decoded = decode(_encoded(picture, format_, **options))
    assert _difference(decoded.image, picture) <= limit
    assert decoded.plain == (format_ in ("JPEG", "PNG", "WEBP"))


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_of_several_pictures_is_taken(picture: Image.Image, format_: str) -> None:
    others = [Image.new("RGB", picture.size, colour) for colour in ("black", "white")]
    content = _encoded(picture, format_, save_all=True, append_images=others)
    assert _difference(decode(content).image, picture) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF", "HEIF"])
def test_pictures_are_turned_upright(picture: Image.Image, format_: str, orientation: int) -> None:
    back = [None, 0, 3, 1, 5, 2, 6, 4][orientation - 1]
    lying = picture if back is None else picture.transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format_ == "WEBP" else {} if format_ == "PNG" else {"quality": 95}
    decoded = decode(_encoded(lying, format_, exif=exif.tobytes(), **options))
    assert _difference(decoded.image, picture) < 4
    assert decoded.plain == (orientation == 1 and format_ in ("JPEG", "PNG", "WEBP"))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1" * 40])
def test_broken_exif_loses_no_picture(picture: Image.Image, exif: bytes) -> None:
    assert _difference(decode(_encoded(picture, "JPEG", exif=exif, quality=95)).image, picture) < 4


def test_pixels_of_16_bits_are_scaled(picture: Image.Image) -> None:
    values = np.linspace(0, 65535, 64 * 40).astype(np.uint16).reshape(40, 64)
    expected = np.round(values / 257)
    for content in (
        _encoded(Image.fromarray(values), "PNG"),
        _encoded(Image.fromarray(values), "TIFF"),
        _encoded(Image.fromarray(values.astype(">u2")), "TIFF"),
    ):
        decoded = decode(content)
        assert not decoded.plain
        assert (np.asarray(decoded.image) == expected[..., None]).all()
    for colour, channels in ((2, 3), (6, 4)):
        deep = np.full((40, 64, channels), 65535, ">u2")
        deep[..., :3] = values[..., None]
        rows = b"".join(b"\0" + row.tobytes() for row in deep)
        decoded = decode(_png(64, 40, 16, colour, (b"IDAT", zlib.compress(rows))))
        assert not decoded.plain
        assert np.abs(np.asarray(decoded.image) - expected[..., None]).max() <= 1


def test_a_format_that_nobody_wants_is_named(picture: Image.Image) -> None:
    for format_ in ("ICO", "JPEG2000", "PPM"):
        with pytest.raises(RefusedError, match="format not read") as refusal:
            decode(_encoded(picture, format_))
        assert refusal.value.detail == format_
    for content, name in ((b"8BPS\0\1" + bytes(40), "PSD"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS")):
        with pytest.raises(RefusedError, match=f"format not read .{name}"):
            decode(content)


@pytest.mark.parametrize("tag", [(254, 1), (50706, b"\1\4\0\0")])
def test_the_thumbnail_of_a_raw_file_is_no_photograph(picture: Image.Image, tag: tuple[int, object]) -> None:
    with pytest.raises(RefusedError, match="raw file: develop it first"):
        decode(_encoded(picture, "TIFF", tiffinfo={tag[0]: tag[1]}))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_a_cut_file_is_refused(picture: Image.Image, format_: str) -> None:
    content = _encoded(picture, format_)
    for size in (20, len(content) // 2):
        with pytest.raises(RefusedError, match="damaged or truncated"):
            decode(content[:size])


class TestBombs:
    def test_many_pixels(self) -> None:
        for side in (10_001, 20_000, 2**31 - 1):
            with pytest.raises(RefusedError, match="too large"):
                decode(_png(side, side, 1, 0, (b"IDAT", zlib.compress(bytes(1000)))))

    @pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
    def test_text_and_profiles_that_unpack_to_much(self, kind: bytes) -> None:
        packed = zlib.compress(bytes(100_000_000), 9)
        payload = b"name\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"\0") + packed
        with pytest.raises(RefusedError, match=r"too large .text or profile"):
            decode(_png(64, 64, 8, 0, (kind, payload), (b"IDAT", zlib.compress(bytes(65 * 64)))))

    def test_many_texts(self) -> None:
        packed = [(b"zTXt", b"name\0\0" + zlib.compress(bytes(1_000_000), 9))] * 80
        with pytest.raises(RefusedError, match=r"too large .text or profile"):
            decode(_png(64, 64, 8, 0, *packed, (b"IDAT", zlib.compress(bytes(65 * 64)))))

    def test_a_second_picture_is_not_decoded(self) -> None:
        small, large = Image.new("L", (64, 64)), Image.new("L", (12_000, 12_000))
        content = _encoded(small, "TIFF", compression="tiff_deflate", save_all=True, append_images=[large])
        assert decode(content).image.size == (64, 64)


def test_decoders_say_nothing_and_leave_the_filters(picture: Image.Image, capfd: pytest.CaptureFixture[str]) -> None:
    lzw = bytearray(_encoded(picture, "TIFF", compression="tiff_lzw"))
    lzw[100:200] = b"\xff" * 100
    info = PngImagePlugin.PngInfo()
    info.add(b"acTL", b"\0\0\0\0\0\0\0\0")
    palette = picture.quantize(16)
    odd = [
        bytes(lzw),
        _encoded(picture, "PNG", pnginfo=info),
        _encoded(palette, "PNG", transparency=bytes([0, 9, 255])),
        _encoded(picture, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1" * 40),
    ]
    former = warnings.filters[:]

    def look(content: bytes) -> str:
        try:
            return decode(content).image.mode
        except RefusedError as refusal:
            return refusal.reason

    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(look, odd * 50))
    assert answers == {"RGB", "damaged or truncated"}
    assert warnings.filters == former
    assert capfd.readouterr() == ("", "")


class TestEnough:
    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
    def test_a_picture_with_more_than_enough_comes_smaller(self, picture: Image.Image, format_: str) -> None:
        large = picture.resize((960, 800), Image.Resampling.BICUBIC)
        content = _encoded(large, format_, **({"quality": 95} if format_ == "JPEG" else {}))
        assert decode(content).image.size == (960, 800)
        for enough, size in ((100, (120, 100)), (200, (240, 200)), (399, (480, 400)), (401, (960, 800))):
            decoded = decode(content, enough=enough)
            assert decoded.image.size == size
            assert _difference(decoded.image, large.resize(size, Image.Resampling.BOX)) < 3

    def test_it_is_the_shorter_side_of_the_upright_picture(self, picture: Image.Image) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        content = _encoded(picture.resize((900, 400)), "JPEG", exif=exif.tobytes())
        assert decode(content, enough=200).image.size == (200, 450)


def _with_scans(picture: Image.Image, more: int) -> bytes:
    content = _encoded(picture, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * more + b"\xff\xd9"


def test_a_small_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded(picture: Image.Image) -> None:
    with pytest.raises(RefusedError, match=r"too large .\d{4,} scans, more than 50"):
        decode(_with_scans(picture, 5000))
    assert decode(_with_scans(picture, 20)).image.size == picture.size


def test_what_a_phone_appends_to_a_jpeg_is_not_counted(picture: Image.Image) -> None:
    content = _encoded(picture, "JPEG", progressive=True, exif=b"Exif\0\0" + b"\xff\xda" * 200)
    assert decode(content + b"\xff\xda\0\2" * 1000).image.size == picture.size
