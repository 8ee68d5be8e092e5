"""Sizes read from headers are those that Pillow finds."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oodguard.models.errors import ImageError
from oodguard.service.images.header import read_header
from tests.service.pictures import encode, plain

KINDS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {},
    "progressive JPEG": {"progressive": True},
    "JPEG with EXIF": {"exif": b"Exif\x00\x00" + bytes(500)},
    "JPEG with a comment": {"comment": b"\xff\xc0 is no frame in here"},
    "WEBP": {},
    "lossless WEBP": {"lossless": True},
    "extended WEBP": {"exif": b"Exif\x00\x00" + bytes(500)},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (257, 2)])
def test_the_size_is_the_one_that_pillow_reads(kind: str, size: tuple[int, int]) -> None:
    name = next(name for name in ("PNG", "JPEG", "WEBP") if name in kind)
    data = encode(plain(size=size), name, **KINDS[kind])
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == size
    header = read_header(data)
    assert header.format == name
    assert (header.width, header.height) == size


def test_a_second_picture_within_a_jpeg_s_exif_is_not_taken_for_the_first() -> None:
    thumbnail = encode(plain(size=(3, 3)), "JPEG")
    data = encode(plain(size=(40, 30)), "JPEG", exif=b"Exif\x00\x00" + thumbnail)
    assert (read_header(data).width, read_header(data).height) == (40, 30)


@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBPVP8X", b"GIF89a"]),
    st.binary(max_size=64),
)
def test_any_bytes_are_a_header_or_an_image_error(start: bytes, rest: bytes) -> None:
    try:
        header = read_header(start + rest)
    except ImageError:
        return
    assert header.width > 0
    assert header.height > 0
