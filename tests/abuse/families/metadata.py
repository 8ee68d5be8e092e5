"""EXIF records, profiles and comments that are invalid or very large."""

import struct
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import ExifTags, Image

from tests.abuse.bodies import BLACK, png
from tests.abuse.case import DECODED, OK, Case, accept, once, posts, request
from tests.service.pictures import encode, plain, png_chunk

ORIENTATION, X_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x011A, 0x0128
SHORT, LONG, RATIONAL = 3, 4, 5
LONG_RECORD = 6 * 2**20
LONG_TEXT = 6_000_000


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for value in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 65_535]:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = value
        sent = request(encode(plain(size=(8, 5)), "JPEG", exif=exif), "image/jpeg")
        yield once(f"an orientation of {value}", sent, accept(OK))
    for name, record in _records(rng).items():
        for kind, data in {
            "jpeg": _jpeg_with(0xE1, b"Exif\0\0" + record),
            "png": png(png_chunk(b"eXIf", record), BLACK),
            "webp": _webp_with(b"EXIF", record),
        }.items():
            yield once(f"{name}, in a {kind}", request(data, f"image/{kind}"), DECODED)
    yield from _long_records()
    yield from posts(_segments(rng), "image/jpeg", DECODED)
    chunks = {
        "a webp profile of junk": _webp_with(b"ICCP", rng.bytes(1000)),
        "a webp XMP of 1 MiB": _webp_with(b"XMP ", b"<" * 2**20),
        "a webp chunk of unknown kind": _webp_with(b"juNk", rng.bytes(1000)),
    }
    yield from posts(chunks, "image/webp", DECODED)


def _entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack(">HHII", tag, kind, count, value)


def _directory(*entries: bytes, following: int = 0) -> bytes:
    head = b"MM\0*" + struct.pack(">IH", 8, len(entries))
    return head + b"".join(entries) + struct.pack(">I", following)


def _records(rng: np.random.Generator) -> Mapping[str, bytes]:
    upright = struct.pack(">HHIHH", ORIENTATION, SHORT, 1, 6, 0)
    return {
        "an empty record": b"",
        "a record of its mark alone": b"MM\0*",
        "a record in no byte order": b"XX\0*" + bytes(8),
        "a record of junk": b"II*\0" + rng.bytes(500),
        "a directory beyond the record": b"MM\0*" + struct.pack(">I", 2**31),
        "a directory within the mark": b"MM\0*" + struct.pack(">I", 2),
        "a directory of 65535 entries": b"MM\0*" + struct.pack(">IH", 8, 65_535),
        "a directory that follows itself": _directory(upright, following=8),
        "an orientation of 4 billion values": _directory(_entry(ORIENTATION, SHORT, 2**32 - 1, 8)),
        "an orientation that is a text": _directory(_entry(ORIENTATION, 2, 4, 0x61626364)),
        "an orientation that is a fraction": _directory(_entry(ORIENTATION, RATIONAL, 1, 8)),
        "an orientation beyond the record": _directory(_entry(ORIENTATION, LONG, 9, 2**31)),
        "an orientation of unknown kind": _directory(_entry(ORIENTATION, 99, 1, 6)),
        "two orientations": _directory(upright, upright),
        "an EXIF directory that is the first": _directory(upright, _entry(0x8769, LONG, 1, 8)),
        "a GPS directory beyond the record": _directory(upright, _entry(0x8825, LONG, 1, 2**31)),
        "a maker note of 4 GiB": _directory(upright, _entry(0x927C, 7, 2**32 - 1, 8)),
        "BigTIFF": b"MM\0+" + struct.pack(">HHQ", 8, 0, 16) + bytes(20),
    }


def _long_records() -> Iterator[Case]:
    """Yield records of as many values as a body may have, each an object for Pillow."""
    for kind, size in [(SHORT, 2), (LONG, 4), (RATIONAL, 8)]:
        values = struct.pack(">II", 30_001, 70_007) * (LONG_RECORD // 8)
        resolution = _entry(X_RESOLUTION, kind, LONG_RECORD // size, 50)
        unit = struct.pack(">HHIHH", RESOLUTION_UNIT, SHORT, 1, 2, 0)
        orientation = _entry(ORIENTATION, kind, LONG_RECORD // size, 50)
        record = _directory(orientation, resolution, unit) + values
        pieces = [record[start : start + 65_000] for start in range(0, len(record), 65_000)]
        joined = b"".join(_segment(0xE1, b"Exif\0\0" + piece) for piece in pieces)
        # Without the JFIF segment, Pillow takes the resolution from the record.
        jpeg = b"\xff\xd8" + joined + encode(plain(), "JPEG")[20:]
        for name, data in {
            "jpeg": jpeg,
            "png": png(png_chunk(b"eXIf", record), BLACK),
            "webp": _webp_with(b"EXIF", record),
        }.items():
            sent = request(data, f"image/{name}")
            yield once(f"a record of 6 MiB of values of type {kind}, in a {name}", sent, DECODED)
    for line in [b"4\n", b"41\n", b"4141\n"]:
        text = b"Raw profile type exif\0\n\n\n" + line * (LONG_TEXT // len(line))
        sent = request(png(png_chunk(b"tEXt", text), BLACK), "image/png")
        yield once(f"a record of 6 MB of lines of {len(line)} bytes, in a png", sent, DECODED)


def _segments(rng: np.random.Generator) -> Mapping[str, bytes]:
    plain_jpeg = encode(plain(), "JPEG")
    profile = b"ICC_PROFILE\0"
    return {
        "1000 comments": plain_jpeg[:2] + _segment(0xFE, b"c" * 1000) * 1000 + plain_jpeg[2:],
        "a segment of length 0": plain_jpeg[:2] + b"\xff\xe5\0\0" + plain_jpeg[2:],
        "a segment of length 1": plain_jpeg[:2] + b"\xff\xe5\0\1" + plain_jpeg[2:],
        "a profile of pieces out of order": _jpeg_with(0xE2, profile + b"\7\2" + rng.bytes(100)),
        "a profile whose piece 0 of 0": _jpeg_with(0xE2, profile + b"\0\0" + rng.bytes(100)),
        "an Adobe mark that is cut": _jpeg_with(0xEE, b"Adobe\0"),
        "an Adobe mark of unknown colours": _jpeg_with(0xEE, b"Adobe\0d\0\0\0\0\xff"),
        "a Photoshop record of junk": _jpeg_with(0xED, b"Photoshop 3.0\0" + rng.bytes(300)),
        "a Photoshop record that ends early": _jpeg_with(
            0xED, b"Photoshop 3.0\0008BIM\4\4\0\0\xff"
        ),
        "a JFIF of density 0": plain_jpeg.replace(b"JFIF\0\1\1\0\0\1\0\1", b"JFIF\0\1\1\1\0\0\0\0"),
        "an MPF index of junk": _jpeg_with(0xE2, b"MPF\0MM\0*" + rng.bytes(60)),
        "an MPF index of 4 billion": _jpeg_with(
            0xE2, b"MPF\0" + _directory(_entry(0xB001, LONG, 1, 2**32 - 1))
        ),
        "XMP with an orientation": _jpeg_with(
            0xE1, b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='99999999999999999999'/>"
        ),
    }


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def _jpeg_with(marker: int, content: bytes) -> bytes:
    data = encode(plain(), "JPEG")
    return data[:2] + _segment(marker, content) + data[2:]


def _webp_with(kind: bytes, content: bytes) -> bytes:
    """Return an extended WebP with every flag set and one chunk after its image."""
    padded = content + bytes(len(content) % 2)
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x2c\0\0\0" + b"\7\0\0\7\0\0"
    inner = encode(plain(), "WEBP", lossless=True)[12:]
    body = b"WEBP" + extended + inner + kind + struct.pack("<I", len(content)) + padded
    return b"RIFF" + struct.pack("<I", len(body)) + body
