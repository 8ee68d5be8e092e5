"""Image headers: the size that Pillow reads, the limits, and the errors of invalid headers."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oodguard.models.errors import ImageError
from oodguard.service.images.header import EncodedImage, read_header
from tests.service.pictures import encode, plain

KINDS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {},
    "progressive JPEG": {"progressive": True},
    "JPEG with EXIF": {"exif": b"Exif\x00\x00" + bytes(500)},
    "JPEG with a comment": {"comment": b"\xff\xc0 is not a frame header here"},
    "WEBP": {},
    "lossless WEBP": {"lossless": True},
    "extended WEBP": {"exif": b"Exif\x00\x00" + bytes(500)},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (257, 2)])
def test_header_has_the_format_and_size_that_pillow_reads(kind: str, size: tuple[int, int]) -> None:
    name = next(name for name in ("PNG", "JPEG", "WEBP") if name in kind)
    data = encode(plain(size=size), name, **KINDS[kind])
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == size
    header = read_header(data)
    assert (header.format, header.width, header.height) == (name, *size)


def test_header_is_read_once() -> None:
    image = EncodedImage(data=encode(plain()))
    assert image.header is image.header


def test_header_of_jpeg_skips_the_thumbnail_in_exif() -> None:
    thumbnail = encode(plain(size=(3, 3)), "JPEG")
    data = encode(plain(size=(40, 30)), "JPEG", exif=b"Exif\x00\x00" + thumbnail)
    assert (read_header(data).width, read_header(data).height) == (40, 30)


@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBPVP8X", b"GIF89a"]),
    st.binary(max_size=64),
)
def test_header_of_any_bytes_is_valid_or_an_image_error(start: bytes, rest: bytes) -> None:
    try:
        header = read_header(start + rest)
    except ImageError:
        return
    assert header.width > 0
    assert header.height > 0
