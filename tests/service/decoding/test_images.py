"""Encoded bytes to pixels: exact where nothing needs to change, an image error where it breaks."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodguard.models.errors import ImageError, ImageTooLarge, UndecodableImage
from oodguard.models.manifest import InputSpec
from oodguard.service.images.decode import read_image
from tests.service.pictures import claiming_webp, encode, noisy, plain, png_chunk

SPEC = InputSpec(height=64, width=64)
SAMPLES = {
    "PNG": encode(noisy(), "PNG"),
    "JPEG": encode(noisy(), "JPEG"),
    "WEBP": encode(noisy(), "WEBP"),
    "lossless WEBP": encode(noisy(), "WEBP", lossless=True),
}


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_an_image_of_the_model_s_size_keeps_its_pixels_exactly(
    kind: str, options: dict[str, bool]
) -> None:
    picture = noisy()
    pixels = read_image(encode(picture, kind, **options), SPEC, max_pixels=64 * 64)
    np.testing.assert_array_equal(pixels, np.asarray(picture))


@given(
    kind=st.sampled_from(sorted(SAMPLES)),
    position=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    length=st.floats(0, 1),
)
def test_damaged_files_give_pixels_or_an_image_error_and_nothing_else(
    kind: str, position: float, value: int, length: float
) -> None:
    data = bytearray(SAMPLES[kind])
    data[int(position * len(data))] = value
    damaged = bytes(data[: max(40, int(length * len(data)))])
    try:
        pixels = read_image(damaged, SPEC, max_pixels=10_000)
    except ImageError:
        return
    assert pixels.shape == (64, 64, 3)


def test_a_canvas_beyond_the_limit_is_refused_though_the_picture_in_it_is_small() -> None:
    with pytest.raises(ImageTooLarge, match="1000 x 1000 = 1000000 pixels came; at most 999999"):
        read_image(claiming_webp(1000, 1000), SPEC, max_pixels=999_999)


@pytest.mark.parametrize("order", [b"IDAT", b"IDAT PLTE"])
def test_a_png_of_palette_indices_needs_its_palette_before_them(order: bytes) -> None:
    chunks = {b"IDAT": zlib.compress(bytes(8 * 9)), b"PLTE": bytes(6)}
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 3, 0, 0, 0))
    body = b"".join(png_chunk(kind, chunks[kind]) for kind in order.split())
    data = b"\x89PNG\r\n\x1a\n" + header + body + png_chunk(b"IEND", b"")
    with pytest.raises(UndecodableImage, match="the PNG has no palette for its pixels"):
        read_image(data, SPEC, max_pixels=64)


def test_a_side_is_at_most_as_long_as_that_of_a_jpeg() -> None:
    assert read_image(encode(plain(size=(1, 65_535))), SPEC, max_pixels=10**6).shape == (64, 64, 3)
    with pytest.raises(ImageTooLarge, match="65536 x 1 pixels came; a side of at most 65535"):
        read_image(encode(plain(size=(65_536, 1))), SPEC, max_pixels=10**6)
