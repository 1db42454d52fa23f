"""Nothing but pixels leaves: files that tell too much go in, and every published byte is read back."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dataset_card.build import build
from pictures.metadata import metadata_in

SECRET = "SERIAL-4711-BHUBANESWAR"
XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><exif:GPSLatitude>{SECRET}</exif:GPSLatitude></x:xmpmeta>'.encode()
# A profile that is not sRGB, and says who made it.
PROFILE = (
    ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    .tobytes()
    .replace(b"rXYZ", b"----")
    .replace(b"gXYZ", b"rXYZ")
    .replace(b"----", b"gXYZ")
) + SECRET.encode()


def _exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x013B] = orientation, SECRET, SECRET
    exif[0x8769] = {0xA431: SECRET, 0x927C: SECRET.encode()}
    exif[0x8825] = {1: "N", 2: (20.0, 14.0, 39.0), 0x1C: SECRET.encode()}
    return exif


def _save(image: Image.Image, format_: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, format_, **options)
    return target.getvalue()


def _segment(image: Image.Image, marker: int, payload: bytes) -> bytes:
    content = _save(image, "JPEG")
    return content[:2] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + content[2:]


def _png_text(add: Callable[[PngImagePlugin.PngInfo], None]) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    add(info)
    return info


def _webp_chunk(image: Image.Image, kind: bytes, payload: bytes) -> bytes:
    content = _save(image, "WEBP") + kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]


def _tiff_tags() -> ImageFileDirectory_v2:
    tags = ImageFileDirectory_v2()
    tags[270], tags[315], tags[700] = SECRET, SECRET, XMP
    return tags


def _zoo(draw: Callable[[], Image.Image]) -> Iterator[tuple[str, bytes]]:
    """Gives the name and the bytes of files that all hold the secret, each of a picture of its own."""
    secret = SECRET.encode()
    yield "exif.jpg", _save(draw(), "JPEG", exif=_exif())
    yield "turned.jpg", _save(draw(), "JPEG", exif=_exif(6))
    yield "grey.jpg", _save(draw().convert("L"), "JPEG", exif=_exif())
    yield "cmyk.jpg", _save(draw().convert("CMYK"), "JPEG", exif=_exif(), comment=secret)
    yield "xmp.jpg", _save(draw(), "JPEG", xmp=XMP)
    yield "comment.jpg", _save(draw(), "JPEG", comment=secret)
    yield "profile.jpg", _save(draw(), "JPEG", icc_profile=PROFILE)
    yield "large.jpg", _save(draw().resize((1500, 1200)), "JPEG", exif=_exif(), xmp=XMP)
    yield "two.mpo", _save(draw(), "MPO", save_all=True, append_images=[draw()], exif=_exif())
    yield "thumbnail.jpg", _segment(draw(), 0xE0, b"JFXX\0\x10" + secret)
    yield "iptc.jpg", _segment(draw(), 0xED, b"Photoshop 3.0\x008BIM\4\4\0\0\0\x1b\x1c\2\x50\0\x16" + secret)
    yield "c2pa.jpg", _segment(draw(), 0xEB, b"JP\0\1\0\0\0\1jumb" + secret)
    yield "maker.jpg", _segment(draw(), 0xE7, secret)
    yield "motion.jpg", _save(draw(), "JPEG") + b"\0\0\0\x18ftypmp42" + secret
    yield "zip.jpg", _save(draw(), "JPEG") + b"PK\3\4" + secret
    yield "text.png", _save(draw(), "PNG", pnginfo=_png_text(lambda info: info.add_text("Author", SECRET)))
    yield "packed.png", _save(draw(), "PNG", pnginfo=_png_text(lambda info: info.add_text("Author", SECRET, zip=True)))
    yield "unicode.png", _save(draw(), "PNG", pnginfo=_png_text(lambda info: info.add_itxt("Author", SECRET)))
    yield "private.png", _save(draw(), "PNG", pnginfo=_png_text(lambda info: info.add(b"prVt", secret)))
    yield "exif.png", _save(draw(), "PNG", exif=_exif(3))
    yield "profile.png", _save(draw(), "PNG", icc_profile=PROFILE)
    yield "palette.png", _save(draw().quantize(32), "PNG", transparency=1, exif=_exif())
    yield "trailing.png", _save(draw(), "PNG") + secret
    yield "frames.png", _save(draw(), "PNG", save_all=True, append_images=[draw()], exif=_exif())
    yield "exif.webp", _save(draw(), "WEBP", exif=_exif(), xmp=XMP, icc_profile=PROFILE)
    yield "alpha.webp", _save(draw().convert("RGBA"), "WEBP", exif=_exif())
    yield "frames.webp", _save(draw(), "WEBP", save_all=True, append_images=[draw()], exif=_exif())
    yield "unknown.webp", _webp_chunk(draw(), b"NOTE", secret)
    yield "trailing.webp", _save(draw(), "WEBP") + secret
    yield "comment.gif", _save(draw(), "GIF", comment=secret)
    yield "trailing.bmp", _save(draw(), "BMP") + secret
    yield "tags.tif", _save(draw(), "TIFF", tiffinfo=_tiff_tags(), exif=_exif())
    yield "exif.avif", _save(draw(), "AVIF", exif=_exif().tobytes(), xmp=XMP)
    yield "phone.heic", _save(draw(), "HEIF", exif=_exif().tobytes(), xmp=XMP)


def _holds_secret(content: bytes) -> bool:
    packed = (content[at + 4 :] for at in (content.find(b"zTXtAuthor"), content.find(b"iCCP")) if at >= 0)
    return SECRET.encode() in content or any(SECRET.encode() in _unpacked(tail) for tail in packed)


def _unpacked(tail: bytes) -> bytes:
    start = tail.index(b"\x78")
    return zlib.decompressobj().decompress(tail[start:])


@pytest.fixture
def draw() -> Callable[[], Image.Image]:
    random = np.random.default_rng(8)

    def another() -> Image.Image:
        blocks = random.integers(0, 190, (8, 8, 3), np.uint8)
        return Image.fromarray(blocks).resize((96, 80), Image.Resampling.BICUBIC)

    return another


def test_nothing_but_pixels_is_published(draw: Callable[[], Image.Image], tmp_path: Path) -> None:
    clean = {f"clean.{kind}": _save(draw(), kind) for kind in ("JPEG", "PNG", "WEBP")}
    zoo = dict(_zoo(draw))
    assert [name for name, content in zoo.items() if not _holds_secret(content)] == []
    for number, (name, content) in enumerate([*zoo.items(), *clean.items()]):
        path = tmp_path / "photos" / ("kathak" if number % 2 else "odissi") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    report = build(tmp_path / "photos", tmp_path / "dances", seed=8)
    assert report.curated.rejected.empty
    published = [
        row["bytes"]
        for part in sorted((tmp_path / "dances" / "data").iterdir())
        for row in pq.read_table(part, columns=["image"])["image"].to_pylist()
    ]
    assert len(published) == len(zoo) + len(clean)
    for content in published:
        assert metadata_in(content) == []
        with Image.open(io.BytesIO(content)) as image:
            assert (image.mode, not image.getexif(), image.info.get("icc_profile")) == ("RGB", True, None)
    assert {content for content in published if content in clean.values()} == set(clean.values())
    for path in (tmp_path / "dances").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
    assert metadata_in((tmp_path / "dances" / "figures" / "contact_sheet.jpg").read_bytes()) == []
