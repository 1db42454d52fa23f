import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from pictures.metadata import metadata_in

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><exif:GPSLatitude>20,14.6N</exif:GPSLatitude></x:xmpmeta>'


def _exif(gps: bool = True) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    if gps:
        exif.get_ifd(0x8825)[1] = "N"
        exif[0x8825] = exif.get_ifd(0x8825)
    return exif


def _encoded(format_: str, **options: object) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (40, 40), (200, 30, 30)).save(target, format_, **options)
    return target.getvalue()


def _segment(marker: int, payload: bytes) -> Callable[[bytes], bytes]:
    return lambda jpeg: jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + jpeg[2:]


def _chunk(kind: bytes, payload: bytes) -> Callable[[bytes], bytes]:
    chunk = struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
    return lambda png: png[:33] + chunk + png[33:]


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_a_plain_picture_is_clean(format_: str) -> None:
    assert metadata_in(_encoded(format_)) == []


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"dpi": (300, 300), "restart_marker_blocks": 2}),
        ("PNG", {"dpi": (300, 300)}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_how_a_picture_is_coded_is_no_metadata(format_: str, options: dict[str, object]) -> None:
    assert metadata_in(_encoded(format_, **options)) == []


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_what_every_container_can_carry_is_named(format_: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert metadata_in(_encoded(format_, exif=_exif())) == ["EXIF", "GPS"]
    assert metadata_in(_encoded(format_, exif=_exif(gps=False))) == ["EXIF"]
    assert metadata_in(_encoded(format_, icc_profile=profile)) == ["ICC profile"]
    assert metadata_in(_encoded(format_) + b"ftypmp42: a film") == ["trailing data"]
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    options = {"pnginfo": info} if format_ == "PNG" else {"xmp": XMP}
    assert metadata_in(_encoded(format_, **options)) == ["XMP", "GPS"]


@pytest.mark.parametrize(
    ("marker", "payload", "name"),
    [
        (0xFE, b"by Ravi", "comment"),
        (0xE0, b"JFXX\0\x10 thumbnail", "thumbnail"),
        (0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\1abc", "thumbnail"),
        (0xE2, b"MPF\0II", "further pictures"),
        (0xE5, b"a maker's note", "APP5 segment"),
        (0xEB, b"JP\0\1jumb", "C2PA"),
        (0xED, b"Photoshop 3.0\x008BIM", "IPTC"),
        (0xEE, b"Adobe\0\x64\0\0\0\0\1 and more", "APP14 segment"),
        (0xF7, b"reserved", "segment F7"),
    ],
)
def test_segments_of_jpeg_are_named(marker: int, payload: bytes, name: str) -> None:
    assert metadata_in(_segment(marker, payload)(_encoded("JPEG"))) == [name]


@pytest.mark.parametrize(
    ("kind", "payload", "name"),
    [
        (b"tEXt", b"Author\0Ravi", "text"),
        (b"zTXt", b"Author\0\0x", "text"),
        (b"iTXt", b"Author\0\0\0\0\0Ravi", "text"),
        (b"tIME", b"\x07\xea\x0b\x18\0\0\0", "time"),
        (b"acTL", b"\0\0\0\1\0\0\0\0", "further pictures"),
        (b"caBX", b"jumb", "C2PA"),
        (b"prVt", b"private", "chunk prVt"),
        (b"pHYs", b"\0\0\0\1\0\0\0\1\1 and more", "chunk pHYs"),
    ],
)
def test_chunks_of_png_are_named(kind: bytes, payload: bytes, name: str) -> None:
    assert metadata_in(_chunk(kind, payload)(_encoded("PNG"))) == [name]


def test_further_pictures_of_webp_are_named() -> None:
    frames = [Image.new("RGB", (40, 40), "black")]
    assert metadata_in(_encoded("WEBP", save_all=True, append_images=frames)) == ["further pictures"]


def test_a_name_comes_once_and_in_the_order_of_the_file() -> None:
    content = _segment(0xFE, b"one")(_segment(0xED, b"two")(_segment(0xFE, b"three")(_encoded("JPEG"))))
    assert metadata_in(content + b"four") == ["comment", "APP13 segment", "trailing data"]


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_a_file_cut_anywhere_is_damaged_and_ends_the_walk(format_: str) -> None:
    content = _encoded(format_)
    for size in range(12, len(content)):
        assert metadata_in(content[:size]) == ["damaged structure"]


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"RIFF\0\0\0\0WAVE", b"\x89PNG"])
def test_another_container_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="neither JPEG nor PNG nor WebP"):
        metadata_in(content)
