"""What an encoded picture carries besides the picture: JPEG segments, PNG chunks and WebP chunks, one by one.

The walk goes by the structure of the file, against lists of what is harmless: what is on no list is named. Layouts:
ITU-T T.81 Annex B and T.871 (JPEG, JFIF), the W3C's PNG specification, RFC 9649 (WebP), CIPA DC-008 (EXIF).
"""

import re
from collections.abc import Iterator
from typing import Literal

_DAMAGED = "damaged structure"
_TRAILING = "trailing data"

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
# Tables, frame headers, restart intervals, number of lines: what a decoder needs. SOS is walked by itself.
_JPEG_HARMLESS = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD} | set(range(0xC0, 0xD0)) - {0xC8}
_SOS, _EOI, _COMMENT = 0xDA, 0xD9, 0xFE
# Within a scan, 0xFF is followed by a stuffed zero, a restart marker or another 0xFF.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_NAMES = [
    (0xE1, b"Exif\0", "EXIF"),
    (0xE1, b"http://ns.adobe.com/x", "XMP"),
    (0xE2, b"ICC_PROFILE\0", "ICC profile"),
    (0xE2, b"MPF\0", "further pictures"),
    (0xE0, b"JFIF\0", "thumbnail"),
    (0xE0, b"JFXX\0", "thumbnail"),
    (0xEB, b"JP", "C2PA"),
    (0xED, b"Photoshop 3.0\0", "IPTC"),
]
# The longest that a chunk of the specification can be; a longer one carries something else.
_PNG_HARMLESS = {
    b"IHDR": 13, b"PLTE": 768, b"IDAT": 1 << 31, b"IEND": 0, b"tRNS": 256, b"cHRM": 32, b"gAMA": 4, b"sBIT": 4,
    b"sRGB": 1, b"bKGD": 6, b"hIST": 512, b"pHYs": 9,
}  # fmt: skip
_PNG_NAMES = {
    b"tEXt": "text", b"zTXt": "text", b"iTXt": "text", b"tIME": "time", b"eXIf": "EXIF", b"iCCP": "ICC profile",
    b"acTL": "further pictures", b"fcTL": "further pictures", b"fdAT": "further pictures", b"caBX": "C2PA",
}  # fmt: skip
_WEBP_HARMLESS = {b"VP8 ": 1 << 32, b"VP8L": 1 << 32, b"ALPH": 1 << 32, b"VP8X": 10}
_WEBP_NAMES = {
    b"EXIF": "EXIF", b"XMP ": "XMP", b"ICCP": "ICC profile", b"ANIM": "further pictures", b"ANMF": "further pictures",
    b"C2PA": "C2PA",
}  # fmt: skip


def metadata_in(content: bytes) -> list[str]:
    """Names what a JPEG, PNG or WebP file carries besides one picture.

    What somebody hides in the compressed pixels themselves is not looked for.

    Args:
        content: The whole file.

    Returns:
        Such as `["EXIF", "GPS", "XMP", "trailing data"]`, each name once, in the order of the file; empty when the
        file is clean.

    Raises:
        ValueError: Neither JPEG nor PNG nor WebP.
    """
    if content.startswith(_JPEG):
        names = _in_jpeg(content)
    elif content.startswith(_PNG):
        names = _in_png(content)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        names = _in_webp(content)
    else:
        raise ValueError("neither JPEG nor PNG nor WebP")
    return list(dict.fromkeys(names))


def _in_jpeg(content: bytes) -> Iterator[str]:
    at = len(_JPEG)
    while True:
        start = at
        while content[at + 1 : at + 2] == b"\xff":
            at += 1  # fill bytes
        if at + 2 > len(content) or content[at] != 0xFF or at - start > 16:
            yield _DAMAGED
            return
        marker = content[at + 1]
        if marker == _EOI:
            if at + 2 < len(content):
                yield _TRAILING
            return
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        payload = content[at + 4 : end]
        if end < at + 4 or end > len(content):
            yield _DAMAGED
            return
        at = end
        if marker == _SOS:
            found = _END_OF_SCAN.search(content, end)
            at = found.start() if found else len(content)
        elif not _is_harmless_segment(marker, payload):
            yield from _names_in_segment(marker, payload)


def _is_harmless_segment(marker: int, payload: bytes) -> bool:
    if marker == 0xE0:
        # Exactly the header: a thumbnail's pixels would follow it.
        return payload.startswith(b"JFIF\0") and len(payload) == 14
    if marker == 0xEE:
        return payload.startswith(b"Adobe") and len(payload) == 12
    return marker in _JPEG_HARMLESS


def _names_in_segment(marker: int, payload: bytes) -> Iterator[str]:
    if marker == _COMMENT:
        yield "comment"
        return
    known = (name for of, prefix, name in _JPEG_NAMES if marker == of and payload.startswith(prefix))
    application = f"APP{marker - 0xE0} segment" if 0xE0 <= marker <= 0xEF else f"segment {marker:02X}"
    yield from _with_place(next(known, application), payload)


def _in_png(content: bytes) -> Iterator[str]:
    at = len(_PNG)
    while True:
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        start, at = at + 8, at + 12 + size
        if at > len(content):
            yield _DAMAGED
            return
        if size > _PNG_HARMLESS.get(kind, -1):
            payload = content[start : at - 4]
            name = "XMP" if payload.startswith(b"XML:com.adobe.xmp\0") else _PNG_NAMES.get(kind, _unknown(kind))
            yield from _with_place(name, payload)
        if kind == b"IEND":
            if at < len(content):
                yield _TRAILING
            return


def _in_webp(content: bytes) -> Iterator[str]:
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        yield _DAMAGED
        return
    at = 12
    while at < end:
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        start, at = at + 8, at + 8 + size + size % 2
        if at > end:
            yield _DAMAGED
            return
        if size > _WEBP_HARMLESS.get(kind, -1):
            payload = content[start : start + size]
            yield from _with_place(_WEBP_NAMES.get(kind, _unknown(kind)), payload)
    if end < len(content):
        yield _TRAILING


def _unknown(kind: bytes) -> str:
    return f"chunk {kind.decode('ascii', 'backslashreplace')}"


def _with_place(name: str, payload: bytes) -> Iterator[str]:
    """Gives a name, and "GPS" after it when the EXIF or XMP block says where the picture was taken."""
    yield name
    if (name == "EXIF" and _has_gps(payload)) or (name == "XMP" and b"GPSLatitude" in payload):
        yield "GPS"


def _has_gps(block: bytes) -> bool:
    """Tells whether the first directory of an EXIF block points to a GPS directory (tag 0x8825)."""
    tiff = block.removeprefix(b"Exif\0\0")
    order: Literal["little", "big"] = "little" if tiff.startswith(b"II") else "big"
    directory = int.from_bytes(tiff[4:8], order)
    count = int.from_bytes(tiff[directory : directory + 2], order)
    entries = tiff[directory + 2 : directory + 2 + 12 * count]
    return (0x8825).to_bytes(2, order) in (entries[at : at + 2] for at in range(0, len(entries), 12))
