"""The number of segments, scans and chunks of an image is limited before Pillow reads it."""

import zlib

import pytest

from oodguard.models.errors import UndecodableImage
from oodguard.service.images.header import MAX_CHUNKS, MIN_IDAT_BYTES, read_header
from oodguard.service.images.jpeg_structure import (
    MAX_EXIF_SEGMENTS,
    MAX_SCANS,
    MAX_SEGMENTS,
    MAX_STRAY_BYTES,
)
from tests.service.pictures import encode, noisy, plain, png, png_chunk

JPEG = encode(plain(), "JPEG")
PROGRESSIVE = encode(noisy(), "JPEG", progressive=True)
LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]
PIXELS = png_chunk(b"IDAT", zlib.compress(bytes(8 * 25)))
RGB = (8, 8, 8, 2, 0, 0, 0)
WEBP = encode(plain(), "WEBP")

SEGMENTS = {
    "application": b"\xff\xed\x00\x02",
    "comment": b"\xff\xfe\x00\x02",
    "length of zero": b"\xff\xe3\x00\x00",
    "quantization table": b"\xff\xdb\x00\x02",
    "Huffman table": b"\xff\xc4\x00\x02",
    "restart interval": b"\xff\xdd\x00\x04\x00\x00",
    "restart marker": b"\xff\xd0",
}


def is_read(data: bytes) -> bool:
    try:
        read_header(data)
    except UndecodableImage:
        return False
    return True


@pytest.mark.parametrize("segment", SEGMENTS.values(), ids=SEGMENTS)
def test_jpeg_with_too_many_segments_is_rejected(segment: bytes) -> None:
    frame = JPEG.index(b"\xff\xc0")
    scan = JPEG.index(b"\xff\xda")
    for position in (2, frame, scan):
        start, end = JPEG[:position], JPEG[position:]
        assert is_read(start + segment * (MAX_SEGMENTS - 10) + end)
        with pytest.raises(UndecodableImage, match="more than 1000 segments"):
            read_header(start + segment * (MAX_SEGMENTS + 1) + end)


def test_jpeg_with_too_many_exif_segments_is_rejected() -> None:
    segment = b"\xff\xe1\x00\x08Exif\0\0"
    assert is_read(JPEG[:2] + segment * MAX_EXIF_SEGMENTS + JPEG[2:])
    with pytest.raises(UndecodableImage, match="more than 16 EXIF segments"):
        read_header(JPEG[:2] + segment * (MAX_EXIF_SEGMENTS + 1) + JPEG[2:])


@pytest.mark.parametrize("stray", [b"\xff", b"\x00", b"\xff\x00"])
def test_jpeg_with_too_many_stray_bytes_is_rejected(stray: bytes) -> None:
    assert is_read(JPEG[:20] + stray * (MAX_STRAY_BYTES // 2) + JPEG[20:])
    with pytest.raises(UndecodableImage, match="stray bytes"):
        read_header(JPEG[:20] + stray * (MAX_STRAY_BYTES + 1) + JPEG[20:])


def test_jpeg_with_too_many_scans_is_rejected() -> None:
    scans = PROGRESSIVE.count(b"\xff\xda")
    assert is_read(PROGRESSIVE[:-2] + LAST_SCAN * (MAX_SCANS - scans) + b"\xff\xd9")
    with pytest.raises(UndecodableImage, match="more than 100 scans"):
        read_header(PROGRESSIVE[:-2] + LAST_SCAN * (MAX_SCANS - scans + 1) + b"\xff\xd9")


def test_jpeg_with_too_many_segments_between_scans_is_rejected() -> None:
    comments = SEGMENTS["comment"] * MAX_SEGMENTS
    with pytest.raises(UndecodableImage, match="segments"):
        read_header(PROGRESSIVE[:-2] + comments + b"\xff\xd9")


def test_jpeg_limits_end_at_the_end_of_the_image() -> None:
    assert is_read(PROGRESSIVE + PROGRESSIVE * MAX_SCANS)
    assert is_read(JPEG + SEGMENTS["comment"] * MAX_SEGMENTS)


@pytest.mark.parametrize(
    "marker", [b"\xff\x01", b"\xff\xc8", b"\xff\xde", b"\xff\xf0", b"\xff\xd9"]
)
def test_jpeg_with_an_unexpected_marker_before_its_scan_is_rejected(marker: bytes) -> None:
    assert not is_read(JPEG[: JPEG.index(b"\xff\xda")] + marker + JPEG[JPEG.index(b"\xff\xda") :])


@pytest.mark.parametrize("before", [True, False])
def test_png_with_too_many_chunks_is_rejected(*, before: bool) -> None:
    def file(count: int) -> bytes:
        chunks = png_chunk(b"juNk", b"") * count
        return png(*((chunks, PIXELS) if before else (PIXELS, chunks)), header=RGB)

    assert is_read(file(MAX_CHUNKS - 1))
    with pytest.raises(UndecodableImage, match=f"has more than {MAX_CHUNKS} chunks"):
        read_header(file(MAX_CHUNKS))


def test_png_with_too_many_small_pixel_chunks_is_rejected() -> None:
    assert is_read(png(png_chunk(b"IDAT", bytes(MIN_IDAT_BYTES)) * 3 * MAX_CHUNKS, header=RGB))
    assert not is_read(png(png_chunk(b"IDAT", b"") * 2 * MAX_CHUNKS, header=RGB))


def test_webp_with_too_many_chunks_is_rejected() -> None:
    assert is_read(WEBP + b"junk\x01\0\0\0a\0" * (MAX_CHUNKS - 1))
    with pytest.raises(UndecodableImage, match=f"has more than {MAX_CHUNKS} chunks"):
        read_header(WEBP + b"junk\x01\0\0\0a\0" * MAX_CHUNKS)
